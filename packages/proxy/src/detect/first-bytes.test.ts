import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryTransport, TimerWheel } from '@weft/net'
import { FakeClock } from '@weft/testkit'
import type { FirstBytes } from '@weft/wire'
import { engineDeps } from '../exchange/engine-fixture.ts'
import { FirstBytesReader } from './first-bytes.ts'

const SILENT_MS = 10_000
const STALLED_MS = 1_000
const TICK_MS = 100

/** A client's connection at the moment it is accepted, and what is found out about it. */
async function accepted() {
  const transport = createMemoryTransport()
  const clock = new FakeClock()
  const deps = { ...engineDeps(transport, clock), wheel: new TimerWheel(clock) }
  const found: { protocol: FirstBytes; bytes: string }[] = []
  let gone = false
  const address = { host: '127.0.0.1', port: 9_000 }
  await transport.listen({ address }, (socket) => {
    return new FirstBytesReader(socket, undefined, deps, {
      decided: ({ protocol, bytes }) =>
        void found.push({ protocol, bytes: bytes.toString('latin1') }),
      gone() {
        gone = true
      },
    })
  })
  const silent = { onOpen() {}, onData() {}, onEnd() {}, onDrain() {}, onClose() {} }
  const client = transport.connect(address, silent)
  const settle = async () => {
    for (let i = 0; i < 10; i++) await new Promise(setImmediate)
  }
  await settle()
  const send = async (text: string) => {
    client.write(Buffer.from(text, 'latin1'))
    await settle()
  }
  return { client, clock, found, send, settle, isGone: () => gone }
}

test('what a client speaks is known with its first bytes, without waiting', async () => {
  const { found, send } = await accepted()
  await send('GET / HT')
  assert.deepEqual(found, [{ protocol: 'http1', bytes: 'GET / HT' }])
})

test('any cut of the first bytes gives the same answer and loses none', async () => {
  const { found, send } = await accepted()
  for (const byte of 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') await send(byte)
  assert.deepEqual(
    found.map(({ protocol }) => protocol),
    ['http2'],
  )
  assert.ok('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'.startsWith(found[0]?.bytes ?? 'nothing'))
})

test('a client that stays silent where nothing can be dialled is let through once, at last', async () => {
  const { clock, found, send } = await accepted()
  clock.advance(SILENT_MS - 2 * TICK_MS)
  assert.deepEqual(found, [])
  clock.advance(4 * TICK_MS)
  assert.deepEqual(found, [{ protocol: 'unknown', bytes: '' }])
  await send('GET / HTTP/1.1\r\n')
  clock.advance(SILENT_MS)
  assert.equal(found.length, 1)
})

test('half a word is let through as it is when nothing follows', async () => {
  const { clock, found, send } = await accepted()
  await send('PR')
  clock.advance(STALLED_MS - 2 * TICK_MS)
  await send('OP')
  clock.advance(STALLED_MS - 2 * TICK_MS)
  assert.deepEqual(found, [])
  clock.advance(4 * TICK_MS)
  assert.deepEqual(found, [{ protocol: 'unknown', bytes: 'PROP' }])
})

test('a client that leaves before it spoke is nobody’s any more', async () => {
  const { client, clock, found, settle, isGone } = await accepted()
  client.close()
  await settle()
  assert.ok(isGone())
  clock.advance(2 * SILENT_MS)
  assert.deepEqual(found, [])
})
