import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { SocketAddress } from '@weft/model'
import type { Socket, SocketHandler, Transport } from '@weft/net'
import { FakeClock } from '@weft/testkit'
import { clusterOf, engineDeps, upstreamOf } from '../exchange/engine-fixture.ts'
import type { UpstreamConnection } from './connection.ts'
import { MAX_IDLE_CONNECTIONS } from './pool.ts'
import type { UpstreamUser } from './upstream-user.ts'

const ADDRESS: SocketAddress = { host: '127.0.0.1', port: 1 }

/** An upstream that accepts everything at once and closes when a test says so. */
function openPool() {
  const clock = new FakeClock()
  let dials = 0
  const dialled: SocketHandler[] = []
  const transport: Transport = {
    name: 'memory',
    listen: () => Promise.reject(new Error('nobody listens here')),
    connect(_address, handler) {
      dials++
      dialled.push(handler)
      const socket = {
        closed: false,
        close() {
          if (this.closed) return
          this.closed = true
          handler.onClose(undefined)
        },
      }
      return socket as unknown as Socket
    },
  }
  const cluster = upstreamOf(clusterOf('a', [ADDRESS]), engineDeps(transport, clock))
  const host = cluster.pick({ hash: undefined, tried: undefined })
  assert.ok(host)
  const pool = cluster.poolOf(host)

  function take(once = false): UpstreamConnection {
    let ready: UpstreamConnection | undefined
    const user = {
      onUpstreamReady(connection: UpstreamConnection) {
        ready = connection
      },
    } as unknown as UpstreamUser
    const before = dialled.length
    pool.acquire(user, false, clock.monotonicMs(), once)
    for (const handler of dialled.slice(before)) handler.onOpen()
    assert.ok(ready)
    return ready
  }
  return {
    clock,
    pool,
    dialled,
    dials: () => dials,
    take,
    giveBack: (connection: UpstreamConnection) => connection.release(clock.monotonicMs()),
    /** One request, a rest, and whether the next one needs a new connection. */
    reconnectsAfter(restMs: number): boolean {
      this.giveBack(take())
      clock.advance(restMs)
      const before = dials
      this.giveBack(take())
      return dials > before
    },
    /** One request, a rest, and the peer closes. */
    peerClosesAfter(restMs: number): void {
      const connection = take()
      this.giveBack(connection)
      clock.advance(restMs)
      connection.onEnd()
    },
  }
}

describe('how long upstream connections rest', () => {
  test('a restart of the upstream teaches nothing', () => {
    const upstream = openPool()
    const resting = [upstream.take(), upstream.take(), upstream.take()]
    for (const connection of resting) upstream.giveBack(connection)
    upstream.clock.advance(600)
    for (const connection of resting) connection.onEnd()
    assert.equal(upstream.reconnectsAfter(60_000), false)
  })

  test('restarts after rests of different length teach nothing', () => {
    const upstream = openPool()
    for (const restMs of [600, 30_000, 2_000]) upstream.peerClosesAfter(restMs)
    assert.equal(upstream.reconnectsAfter(60_000), false)
  })

  test('two closes after the same rest are a limit, and we close before it', () => {
    const upstream = openPool()
    upstream.peerClosesAfter(5_000)
    upstream.peerClosesAfter(5_050)
    assert.equal(upstream.reconnectsAfter(4_500), true)
    assert.equal(upstream.reconnectsAfter(3_500), false)
  })

  test('what closes taught is forgotten, so that a changed upstream is found out', () => {
    const upstream = openPool()
    upstream.peerClosesAfter(5_000)
    upstream.peerClosesAfter(5_000)
    assert.equal(upstream.reconnectsAfter(60_000), true)
    upstream.clock.advance(600_000)
    assert.equal(upstream.reconnectsAfter(60_000), false)
  })

  test('the newest Keep-Alive timeout counts, also a longer one', () => {
    const upstream = openPool()
    upstream.pool.noteKeepAlive(5_000)
    assert.equal(upstream.reconnectsAfter(10_000), true)
    upstream.pool.noteKeepAlive(60_000)
    assert.equal(upstream.reconnectsAfter(10_000), false)
  })
})

test('no more than a bounded number of connections rests, the freshest ones', () => {
  const upstream = openPool()
  const taken = Array.from({ length: MAX_IDLE_CONNECTIONS + 3 }, () => upstream.take())
  for (const connection of taken) upstream.giveBack(connection)
  assert.equal(upstream.pool.connections, MAX_IDLE_CONNECTIONS)
  assert.deepEqual(
    taken.slice(0, 4).map(({ socket }) => socket.closed),
    [true, true, true, false],
  )
  const dials = upstream.dials()
  assert.equal(upstream.take(), taken.at(-1))
  assert.equal(upstream.dials(), dials)
})

describe('requests that must not be sent twice', () => {
  test('use a connection that rested a moment, not one that rested long', () => {
    const { clock, take, giveBack, dials } = openPool()
    giveBack(take())
    clock.advance(400)
    giveBack(take(true))
    assert.equal(dials(), 1)
    clock.advance(600)
    giveBack(take(true))
    assert.equal(dials(), 2)
  })

  test('use one that rested about as long as others that came back with an answer', () => {
    const { clock, take, giveBack, dials } = openPool()
    giveBack(take())
    clock.advance(10_000)
    giveBack(take())
    clock.advance(7_900)
    giveBack(take(true))
    assert.equal(dials(), 1)
    clock.advance(8_100)
    take(true)
    assert.equal(dials(), 2)
  })

  test('leave a connection that they do not trust to others', () => {
    const { clock, take, giveBack, dials } = openPool()
    const first = take()
    giveBack(first)
    clock.advance(600)
    take(true)
    assert.equal(dials(), 2)
    assert.equal(take(), first)
  })
})

describe('a request that ends before its connection is open', () => {
  const userOf = () => {
    const heard: UpstreamConnection[] = []
    const user = {
      onUpstreamReady: (connection: UpstreamConnection) => void heard.push(connection),
      onUpstreamFailed: () => assert.fail('it does not wait any more'),
    } as unknown as UpstreamUser
    return { user, heard }
  }

  test('hears nothing of it; the connection rests', () => {
    const { pool, dialled, take } = openPool()
    const { user, heard } = userOf()
    pool.acquire(user, false, 0)
    pool.abandon(user)
    dialled[0]?.onOpen()
    assert.deepEqual(heard, [])
    take()
    assert.equal(dialled.length, 1)
  })

  test('leaves it to whoever comes next, and a flood of such dials once', () => {
    const { pool, dialled } = openPool()
    for (let i = 0; i < 100; i++) {
      const { user, heard } = userOf()
      pool.acquire(user, false, 0)
      pool.abandon(user)
      assert.deepEqual(heard, [])
    }
    const { user, heard } = userOf()
    pool.acquire(user, false, 0)
    dialled[0]?.onOpen()
    assert.deepEqual([dialled.length, heard.length, pool.connections], [1, 1, 1])
  })

  test('hears of the connection of its next request only', () => {
    const { pool, dialled } = openPool()
    const first = userOf()
    const second = userOf()
    pool.acquire(first.user, false, 0)
    pool.abandon(first.user)
    pool.acquire(second.user, false, 0)
    // The same object again, for another request.
    pool.acquire(first.user, false, 0)
    for (const handler of dialled) handler.onOpen()
    assert.deepEqual([first.heard.length, second.heard.length], [1, 1])
    assert.notEqual(first.heard[0], second.heard[0])
  })

  test('does not hear that the connection failed either', () => {
    const { pool, dialled } = openPool()
    const { user } = userOf()
    pool.acquire(user, false, 0)
    pool.abandon(user)
    dialled[0]?.onClose(new Error('refused'))
    assert.equal(pool.connections, 0)
  })
})
