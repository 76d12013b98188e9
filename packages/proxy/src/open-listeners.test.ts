import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { silentLogger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import { FakeClock } from '@weft/testkit'
import type { ListenerRuntime } from './exchange/contract.ts'
import { ListenerSlot } from './listen/listener-slot.ts'
import type { OpenListener } from './listen/open-listener.ts'
import { OpenListeners, type WantedListener } from './open-listeners.ts'

const everything = () => true

/** Sockets that exist in a map only; the test says which ports are taken. */
function fixture() {
  const clock = new FakeClock()
  const bound = new Set<number>()
  const taken = new Set<number>()
  const slots: ListenerSlot[] = []
  const connections = new Map<ListenerSlot, number>()
  let nextPort = 50_000
  const open = async (wanted: SocketAddress): Promise<OpenListener> => {
    const port = wanted.port === 0 ? nextPort++ : wanted.port
    if (taken.has(port) || bound.has(port)) throw new Error('EADDRINUSE')
    bound.add(port)
    const slot = new ListenerSlot()
    slots.push(slot)
    const stopAccepting = async () => {
      bound.delete(port)
    }
    return {
      address: { host: wanted.host, port },
      handle: undefined,
      handles: [],
      adopt: async () => undefined,
      discard: () => undefined,
      slot,
      get connections() {
        return connections.get(slot) ?? 0
      },
      requests: { active: 0, begun: 0 },
      stopAccepting,
      closeIdle: () => undefined,
      shortenIdle: () => undefined,
      addHoldings: () => undefined,
      drain: async () => {},
      close: stopAccepting,
    }
  }
  const listeners = new OpenListeners({ clock, log: silentLogger, open })
  return { clock, bound, taken, slots, connections, listeners }
}

const at = (port: number): SocketAddress => ({ host: '127.0.0.1', port })

function runtime(name: string): ListenerRuntime {
  return { name, direction: 'outbound', chains: [] }
}

function wanted(...list: readonly [string, number, ListenerRuntime?][]) {
  return new Map<string, WantedListener>(
    list.map(([name, port, tree]) => [name, { address: at(port), runtime: tree ?? runtime(name) }]),
  )
}

describe('open listeners', () => {
  test('a held listener is taken over by the configuration for its address, chosen port and all', async () => {
    const { listeners, slots, bound } = fixture()
    const address = await listeners.hold('outbound', at(0), 'outbound')
    assert.equal(slots[0]?.current, undefined)
    const tree = runtime('weft:outbound')
    await listeners.apply(wanted(['weft:outbound', address.port, tree]))
    assert.equal(slots.length, 1)
    assert.equal(slots[0]?.current, tree)
    assert.deepEqual([...bound], [address.port])
    assert.deepEqual(
      listeners.list().map(({ name, address }) => [name, address.port]),
      [['weft:outbound', address.port]],
    )
  })

  test('an equal tree is not published again', async () => {
    const { listeners, slots } = fixture()
    const tree = runtime('a')
    await listeners.apply(wanted(['a', 80, tree]))
    let woken = 0
    slots[0]?.whenPublished(() => woken++)
    await listeners.apply(wanted(['a', 80, tree]))
    assert.equal(woken, 0)
    await listeners.apply(wanted(['a', 80, runtime('a')]))
    assert.equal(woken, 1)
  })

  test('a listener that is gone stops accepting and lets its connections end', async () => {
    const { listeners, slots, bound, connections } = fixture()
    await listeners.apply(wanted(['a', 80], ['b', 81]))
    const [a] = slots
    assert.ok(a)
    connections.set(a, 1)
    await listeners.apply(wanted(['b', 81]))
    assert.deepEqual([...bound], [81])
    assert.equal(a.draining, true)
    assert.equal(listeners.connections, 1)
    assert.equal(listeners.list().length, 1)
  })

  test('a listener that moves opens at its new place before the old one stops', async () => {
    const { listeners, bound, taken, slots } = fixture()
    await listeners.apply(wanted(['a', 80]))
    taken.add(81)
    await listeners.apply(wanted(['a', 81]))
    assert.match(listeners.problems.get('a') ?? '', /^cannot bind '127\.0\.0\.1:81': EADDRINUSE/)
    assert.equal(slots[1]?.current, undefined)
    taken.delete(81)
    await listeners.apply(wanted(['a', 81]))
    assert.deepEqual([...bound], [81])
    assert.equal(listeners.problems.size, 0)
  })

  test('a taken port is tried again until it is free', async () => {
    const { listeners, taken, bound, clock } = fixture()
    taken.add(80)
    await listeners.apply(wanted(['a', 80]))
    clock.advance(1_000)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(bound.size, 0)
    taken.delete(80)
    clock.advance(1_000)
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([...bound], [80])
    assert.equal(clock.pending, 0)
  })

  test('a held listener outlives configurations that do not name it', async () => {
    const { listeners, bound } = fixture()
    await listeners.hold('outbound', at(80), 'outbound')
    await listeners.apply(wanted(['x', 81]))
    await listeners.apply(new Map())
    assert.deepEqual([...bound], [80])
  })

  test('configurations that come while one is applied are merged: the newest counts', async () => {
    const { listeners, bound } = fixture()
    await Promise.all([
      listeners.apply(wanted(['a', 80])),
      listeners.apply(wanted(['b', 81])),
      listeners.apply(wanted(['c', 82])),
    ])
    assert.deepEqual([...bound], [82])
  })

  test('draining is told first, sockets close when asked to', async () => {
    const { listeners, bound, slots } = fixture()
    await listeners.apply(wanted(['a', 80]))
    listeners.announceDrain(everything)
    assert.equal(slots[0]?.draining, true)
    assert.equal(bound.size, 1)
    await listeners.stopAccepting((direction) => direction === 'inbound')
    assert.equal(bound.size, 1)
    await listeners.stopAccepting(everything)
    assert.equal(bound.size, 0)
  })
})
