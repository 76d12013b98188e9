import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { silentLogger } from '@weft/base'
import type { Listener } from '@weft/model'
import { FakeClock } from '@weft/testkit'
import { drainInbound } from './drain.ts'
import { ListenerSlot } from './listen/listener-slot.ts'
import type { OpenListener } from './listen/open-listener.ts'
import { OpenListeners } from './open-listeners.ts'

const OPTIONS = { role: 'sidecar', noticeMs: 300, busyMs: 4_000, drainMs: 30_000 } as const

async function newStage(direction: Listener['direction'] = 'inbound') {
  const clock = new FakeClock()
  const told: string[] = []
  const requests = { active: 0, begun: 0 }
  const slot = new ListenerSlot()
  const socket: OpenListener = {
    address: { host: '127.0.0.1', port: 9080 },
    handle: undefined,
    handles: [],
    adopt: async () => undefined,
    discard: () => undefined,
    slot,
    connections: 1,
    requests,
    stopAccepting: async () => void told.push('stopped'),
    closeIdle: () => void told.push('idle closed'),
    shortenIdle: () => undefined,
    addHoldings: () => undefined,
    drain: async () => undefined,
    close: async () => undefined,
  }
  const listeners = new OpenListeners({ clock, log: silentLogger, open: async () => socket })
  await listeners.hold('one', socket.address, direction)
  /** @param begin How many requests begin in each step of 50 ms. */
  const pass = async (ms: number, begin = 0) => {
    for (let at = 0; at < ms; at += 50) {
      requests.begun += begin
      clock.advance(50)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { clock, told, requests, slot, listeners, pass }
}

describe('a drain of what comes in', () => {
  test('goes on after the notice when nobody calls', async () => {
    const { clock, told, slot, listeners, pass } = await newStage()
    let isOver = false
    void drainInbound(listeners, OPTIONS, clock).then(() => {
      isOver = true
    })
    assert.equal(slot.draining, true)
    await pass(250)
    assert.deepEqual(told, [])
    await pass(50)
    assert.deepEqual(told, ['stopped', 'idle closed'])
    assert.equal(isOver, true)
  })

  test('waits for callers who have not heard', async () => {
    const { clock, told, listeners, pass } = await newStage()
    void drainInbound(listeners, OPTIONS, clock)
    await pass(2_000, 1)
    await pass(250)
    assert.deepEqual(told, [])
    await pass(50)
    assert.deepEqual(told, ['stopped', 'idle closed'])
  })

  test('waits for answers that are under way', async () => {
    const { clock, told, requests, listeners, pass } = await newStage()
    requests.active = 1
    let isOver = false
    void drainInbound(listeners, OPTIONS, clock).then(() => {
      isOver = true
    })
    await pass(1_000)
    assert.deepEqual([told, isOver], [['stopped', 'idle closed'], false])
    requests.active = 0
    await pass(50)
    assert.equal(isOver, true)
    assert.equal(clock.pending, 0)
  })

  test('does not wait for ever', async () => {
    const { clock, requests, told, listeners, pass } = await newStage()
    requests.active = 1
    let isOver = false
    void drainInbound(listeners, OPTIONS, clock).then(() => {
      isOver = true
    })
    await pass(4_200, 1)
    assert.deepEqual([told, isOver], [[], false])
    await pass(150, 1)
    assert.deepEqual([told, isOver], [['stopped', 'idle closed'], true])
  })

  test('leaves the way out open, and does not count what goes there', async () => {
    const { clock, told, listeners, pass } = await newStage('outbound')
    let isOver = false
    void drainInbound(listeners, OPTIONS, clock).then(() => {
      isOver = true
    })
    await pass(300, 1)
    assert.deepEqual([told, isOver], [[], true])
  })

  test('a gateway does not wait for clients, who hear nothing', async () => {
    const { clock, told, listeners, pass } = await newStage()
    void drainInbound(listeners, { ...OPTIONS, role: 'gateway' }, clock)
    await pass(300, 1)
    assert.equal(told[0], 'stopped')
  })
})
