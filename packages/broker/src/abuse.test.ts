/** Peers that mean harm, over real sockets: the broker stays up, small, and useful to others. */
import assert from 'node:assert/strict'
import { connect as connectRaw } from 'node:net'
import { test } from 'node:test'
import { serverTlsContext } from '@weft/net'
import { createTestCa, eventually, seededRandom } from '@weft/testkit'
import { FRAME_FLAG, FRAME_TYPE, renderKeepalive, renderSetup } from '@weft/wire'
import { setupOf } from './broker-fixture.ts'
import {
  body,
  openRawBroker,
  plainSetup,
  type RawBroker,
  rawFrame,
  routeTo,
} from './raw-fixture.ts'

const { metadata: M, follows: F, next: N } = FRAME_FLAG
const NOTHING = Buffer.alloc(0)

/** Somebody else's calls work as ever. */
async function stillServes(raw: RawBroker): Promise<void> {
  const answerer = await raw.peer({ services: ['still'], instance: 'still' })
  const asker = await raw.peer()
  asker.ask(1, 'still.there', 'q')
  await asker.settled()
  await answerer.settled()
  answerer.item(2, N | FRAME_FLAG.complete, 'yes')
  await answerer.settled()
  await asker.settled()
  assert.deepEqual(asker.take(), ['1 payload CN yes'])
  asker.close()
  answerer.close()
}

test('random bytes and random frames, before and after SETUP: nothing but closed connections', async () => {
  const raw = await openRawBroker()
  const random = seededRandom(7)
  const int = (below: number) => Math.floor(random() * below)
  for (let round = 0; round < 150; round++) {
    const peer = await raw.silent()
    if (round % 3 > 0) peer.send(renderSetup(plainSetup()))
    for (let count = 0; count < 40; count++) {
      const content = Buffer.from(Array.from({ length: int(40) }, () => int(256)))
      const type = round % 3 === 2 ? 4 + int(8) : int(64)
      const id = int(4) === 0 ? 0 : int(5)
      peer.send(round % 5 === 0 ? content : rawFrame(id, type, int(0x400), content))
    }
    await new Promise<void>((resolve) => setImmediate(resolve))
    peer.close()
  }
  await eventually(() => assert.equal(raw.broker.connections, 0))
  assert.equal(raw.broker.openStreams, 0)
  await stillServes(raw)
  raw.broker.close()
})

test('those who say nothing are few, and not for long: over TCP and within a TLS handshake', async () => {
  const limits = { maxUnauthenticated: 8, setupTimeoutMs: 200 }
  const raw = await openRawBroker({ limits })
  const ca = createTestCa()
  const server = ca.issue({ dns: ['localhost'] })
  const context = serverTlsContext(
    {
      parameters: {},
      certificates: [{ chainPem: server.certPem, keyPem: server.keyPem }],
      alpn: [],
    },
    'none',
  )
  const address = { host: '127.0.0.1', port: 0 }
  const { port } = await raw.broker.listen({ kind: 'tcp', address, tls: () => context })
  const dial = (to: number) => {
    const socket = connectRaw({ host: '127.0.0.1', port: to })
    socket.on('error', () => {}).resume()
    return new Promise<void>((resolve) => socket.once('close', () => resolve()))
  }
  const ends = Array.from({ length: 20 }, (_, at) => dial(at % 2 === 0 ? raw.port : port))
  await Promise.all(ends)
  const { connectionsRefused, setupTimeouts, tlsFailures } = raw.broker.counters
  assert.equal(connectionsRefused, 12)
  assert.equal(setupTimeouts + tlsFailures, 8, 'the others had their time')
  await stillServes(raw)
  raw.broker.close()
})

test('whoever is not let in yet cannot make the broker hold much', async () => {
  let admit = () => {}
  const asked = new Promise<void>((resolve) => {
    admit = resolve
  })
  const raw = await openRawBroker(
    {},
    { authenticate: () => asked.then(() => ({ principal: undefined, claims: undefined })) },
  )
  const peer = await raw.silent()
  const megabyte = Buffer.alloc(1_000_000)
  peer.send(renderSetup(plainSetup()))
  for (let count = 0; count < 64; count++) peer.frame(3, FRAME_TYPE.payload, N, megabyte)
  await eventually(() => assert.ok(peer.socket.bytesWritten > 0))
  for (let turn = 0; turn < 50; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
  assert.ok(peer.socket.writableLength > 32_000_000, 'most of it waits at the sender')
  admit()
  await eventually(() => assert.equal(peer.socket.writableLength, 0))
  peer.close()
  raw.broker.close()
})

test('keepalives whose answers nobody reads, and endless fragments: memory has a ceiling', async () => {
  const limits = { maxKeepalivesPerSecond: 1_000_000, softOutboxBytes: 65_536 }
  const raw = await openRawBroker({ limits })
  const greedy = await raw.peer()
  greedy.socket.pause()
  const keepalive = renderKeepalive(true, 0, Buffer.alloc(10_000))
  const many = Buffer.concat(Array.from({ length: 1_000 }, () => keepalive))
  greedy.socket.write(many)
  greedy.socket.write(many)
  greedy.socket.write(many)
  const [leg] = raw.broker.legs
  await eventually(() => assert.ok(raw.broker.counters.pauses > 0))
  let most = 0
  for (let turn = 0; turn < 200; turn++) {
    most = Math.max(most, leg?.outbox.bytes ?? 0)
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  assert.ok(most > 0 && most < 1_000_000, `${most} bytes waited`)
  greedy.close()

  const answerer = await raw.peer({ services: ['s'] })
  const trickling = await raw.peer()
  const head = body({ metadata: routeTo('s.m').subarray(0, 4) })
  for (let id = 1; id < 200; id += 2) {
    trickling.frame(id, FRAME_TYPE.requestResponse, M | F, head)
    for (let part = 0; part < 100; part++) {
      trickling.frame(id, FRAME_TYPE.payload, M | F, body({ metadata: NOTHING }))
    }
  }
  await trickling.settled()
  assert.equal(trickling.take().length, 100, 'each of them has ended')
  assert.equal(raw.broker.counters.shortFragments, 100)
  answerer.close()
  trickling.close()
  raw.broker.close()
})

test('metadata without end, and more streams than a connection may have', async () => {
  const raw = await openRawBroker({ limits: { maxStreams: 10, maxMetadataBytes: 1_000 } })
  const answerer = await raw.peer({ services: ['s'] })
  const asker = await raw.peer()
  const part = body({ metadata: Buffer.alloc(400) })
  asker.frame(1, FRAME_TYPE.requestResponse, M | F, part)
  for (let count = 0; count < 5; count++) asker.frame(1, FRAME_TYPE.payload, M | F, part)
  for (let id = 3; id < 3 + 2 * 12; id += 2) asker.ask(id, 's.m')
  await asker.settled()
  assert.deepEqual(asker.take(), [
    '1 error 204 the metadata is too long',
    '23 error 202 WEFT-429 too many open streams',
    '25 error 202 WEFT-429 too many open streams',
  ])
  await answerer.settled()
  assert.equal(answerer.take().length, 10)
  raw.broker.close()
})

test('setups by the hundred leave nothing behind', async () => {
  const raw = await openRawBroker()
  for (let round = 0; round < 4; round++) {
    const peers = await Promise.all(
      Array.from({ length: 50 }, async (_, at) => {
        const peer = await raw.silent()
        peer.send(renderSetup(setupOf({ services: [`s${at}`], instance: `i${at}` })))
        return peer
      }),
    )
    if (round % 2 === 0) for (const peer of peers) await peer.settled()
    for (const peer of peers) peer.close()
  }
  await eventually(() => assert.equal(raw.broker.connections, 0))
  assert.equal(raw.broker.registry.legs.length, 0)
  assert.equal(raw.broker.registry.services.size, 0)
  await stillServes(raw)
  raw.broker.close()
})
