import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SocketAddress } from '@weft/model'
import type { Socket, SocketHandler, Transport } from '@weft/net'
import { FakeClock } from '@weft/testkit'
import { startAppProbe } from './app-probe.ts'

const settle = () => new Promise((resolve) => setImmediate(resolve))

/** A transport that can only connect, and does what `mode` says. */
function fakeTransport() {
  const state = { mode: 'refuse' as 'refuse' | 'accept' | 'silence', connects: 0 }
  const transport: Transport = {
    name: 'memory',
    listen: () => Promise.reject(new Error('not here')),
    connect(_address: SocketAddress, handler: SocketHandler) {
      state.connects++
      const { mode } = state
      queueMicrotask(() => {
        if (mode === 'accept') handler.onOpen()
        if (mode === 'refuse') handler.onClose(new Error('ECONNREFUSED'))
      })
      return { close() {} } as Socket
    },
  }
  return { state, transport }
}

test('an application becomes healthy when it listens and unhealthy after three failures', async () => {
  const clock = new FakeClock()
  const { state, transport } = fakeTransport()
  const seen: string[] = []
  const stop = startAppProbe(
    { targets: [{ host: '127.0.0.1', port: 1 }], intervalMs: 1_000, timeoutMs: 500 },
    { transport, clock, onHealth: (healthy, message) => seen.push(`${healthy} ${message}`) },
  )
  await settle()
  assert.deepEqual(seen, ['false 127.0.0.1:1 refuses connections: ECONNREFUSED'])

  state.mode = 'accept'
  clock.advance(100)
  await settle()
  assert.equal(seen[1], 'true ')

  state.mode = 'silence'
  clock.advance(1_000)
  for (let failure = 0; failure < 3; failure++) {
    assert.equal(seen.length, 2, `after ${failure} failures`)
    clock.advance(500)
    await settle()
    clock.advance(100)
    await settle()
  }
  assert.equal(seen[2], 'false 127.0.0.1:1 does not answer within 500 ms')

  stop()
  const { connects } = state
  clock.advance(10_000)
  await settle()
  assert.equal(state.connects, connects)
})

test('every port must answer', async () => {
  const clock = new FakeClock()
  const { transport, state } = fakeTransport()
  state.mode = 'accept'
  const seen: boolean[] = []
  const listening = new Set([1])
  const picky: Transport = {
    ...transport,
    connect(address, handler) {
      state.mode = listening.has(address.port) ? 'accept' : 'refuse'
      return transport.connect(address, handler)
    },
  }
  const targets = [1, 2].map((port) => ({ host: '127.0.0.1', port }))
  const stop = startAppProbe(
    { targets, intervalMs: 1_000, timeoutMs: 500 },
    { transport: picky, clock, onHealth: (healthy) => seen.push(healthy) },
  )
  await settle()
  listening.add(2)
  clock.advance(100)
  await settle()
  assert.deepEqual(seen, [false, true])
  stop()
})
