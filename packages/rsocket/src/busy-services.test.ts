import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '@weft/testkit'
import { BusyServices } from './busy-services.ts'

function queue(count: number, service = 's') {
  const clock = new FakeClock()
  const busy = new BusyServices({ clock })
  const gone: number[] = []
  const leave = Array.from({ length: count }, (_, i) =>
    busy.join(service, false, () => gone.push(i)),
  )
  return { clock, busy, gone, leave }
}

test('each answer lets two go, in order; one, after a call that was let go was refused again', () => {
  const { busy, gone } = queue(9)
  busy.onAnswer('other')
  assert.equal(gone.length, 0)
  busy.onAnswer('s')
  assert.deepEqual(gone, [0, 1])
  busy.join('s', true, () => gone.push(9))
  busy.onAnswer('s')
  assert.deepEqual(gone, [0, 1, 2])
})

test('while nothing is answered one call at a time looks, less and less often', () => {
  const { clock, busy, gone } = queue(20)
  clock.advance(10)
  assert.deepEqual(gone, [0])
  clock.advance(19)
  assert.deepEqual(gone, [0])
  clock.advance(1)
  assert.deepEqual(gone, [0, 1])
  clock.advance(4_000)
  assert.ok(gone.length >= 10 && gone.length <= 16, `${gone.length} looked within 4 s`)
  assert.equal(busy.has('s'), true)
})

test('who leaves is not let go, and an empty queue holds nothing', () => {
  const { clock, busy, gone, leave } = queue(3)
  leave[0]?.()
  leave[2]?.()
  busy.onAnswer('s')
  assert.deepEqual(gone, [1])
  assert.equal(busy.has('s'), false)
  assert.equal(clock.pending, 0)
  const closing = queue(3)
  closing.busy.close()
  assert.deepEqual(closing.gone, [0, 1, 2])
  assert.equal(closing.clock.pending, 0)
})
