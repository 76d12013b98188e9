import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OutgoingFrames } from './carrier.ts'

function transport() {
  const sent: string[] = []
  const flushes: (() => void)[] = []
  const state = { hasRoom: true }
  const outgoing = new OutgoingFrames({
    schedule: (flush) => void flushes.push(flush),
    send(frames) {
      sent.push(frames.map((frame) => frame[0]).join(' '))
      return state.hasRoom
    },
  })
  return { outgoing, sent, state, turn: () => flushes.splice(0).forEach((flush) => void flush()) }
}

test('what one turn writes leaves together', () => {
  const { outgoing, sent, turn } = transport()
  for (const byte of [1, 2, 3]) outgoing.write(Uint8Array.of(byte))
  assert.deepEqual(sent, [])
  turn()
  outgoing.write(Uint8Array.of(4))
  turn()
  assert.deepEqual(sent, ['1 2 3', '4'])
})

test('it is known which frames have certainly not left', () => {
  const { outgoing, sent, state, turn } = transport()
  state.hasRoom = false
  outgoing.write(Uint8Array.of(1))
  assert.equal(outgoing.wasGiven(0), false)
  turn()
  assert.equal(outgoing.wasGiven(0), true)
  const second = outgoing.taken
  outgoing.write(Uint8Array.of(2))
  turn()
  assert.equal(outgoing.wasGiven(second), false, 'there was no room')
  let told = 0
  outgoing.afterSend(() => told++)
  outgoing.close()
  assert.equal(told, 1)
  assert.equal(outgoing.wasGiven(second), false, 'and never will be')
  assert.deepEqual(sent, ['1'])
})

test('whoever makes items waits while much waits', async () => {
  const { outgoing, state, turn } = transport()
  assert.equal(outgoing.whenRoom(), undefined)
  state.hasRoom = false
  outgoing.write(new Uint8Array(10))
  turn()
  outgoing.write(new Uint8Array(2_000_000))
  const room = outgoing.whenRoom()
  assert.ok(room)
  state.hasRoom = true
  outgoing.onRoom()
  await room
  assert.equal(outgoing.whenRoom(), undefined)
})
