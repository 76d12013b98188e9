/** A client that does not read costs a bounded amount of memory, and gets the newest when it does. */
import assert from 'node:assert/strict'
import { connect } from 'node:http2'
import { after, test } from 'node:test'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { silentLogger } from '@weft/base'
import { FakeClock } from '@weft/testkit'
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.js'
import { Mailbox, testCluster, testSet } from '../testing.ts'
import { FrameReader, frame } from '../wire/grpc-frames.ts'
import { openAdsServer } from './open-ads-server.ts'
import { CDS } from './rules.ts'

const PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'

const clock = new FakeClock()
const gone = new Mailbox<string>()
const server = openAdsServer(
  {},
  { clock, log: silentLogger, viewOf: () => 'v', onGone: (node) => gone.put(node.id) },
)
const bound = await server.listen({ host: '127.0.0.1', port: 0 })
after(() => server.close())

/** Enough clusters for several responses of a megabyte. */
function publish(connectTimeoutMs: number): void {
  const names = Array.from({ length: 400 }, (_, i) => `${i}-${'x'.repeat(10_000)}`)
  const clusters = names.map((name) => testCluster(name, connectTimeoutMs))
  server.publish('v', testSet({ clusters }), String(connectTimeoutMs))
}

/** Acknowledges what it has not read yet, which no honest client does. */
function dishonest(id: string) {
  const session = connect(`http://127.0.0.1:${'port' in bound ? bound.port : 0}`)
  session.on('error', () => {})
  const stream = session.request({
    ':method': 'POST',
    ':path': PATH,
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  stream.on('error', () => {})
  stream.pause()
  const send = (init: object) => {
    const message = create(DeltaDiscoveryRequestSchema, { typeUrl: CDS, ...init })
    stream.write(frame([toBinary(DeltaDiscoveryRequestSchema, message)]))
  }
  send({ node: { id, cluster: 'c' } })
  return { session, stream, send }
}

test('a client that never reads is cut off after a minute', async () => {
  publish(1)
  const { session, send } = dishonest('deaf')
  // ACKs for every nonce the server may have used make it go on as if all had arrived.
  for (let nonce = 1; nonce < 40; nonce++) send({ responseNonce: String(nonce) })
  while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve))
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
  const { bytesSent } = server.stats()
  assert.ok(bytesSent < 4 * 1_048_576, `${bytesSent} bytes are waiting`)
  publish(2)
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  clock.advance(61_000)
  assert.equal(await gone.next(), 'deaf')
  session.destroy()
})

test('a client that reads late gets all of the newest', async () => {
  publish(3)
  const { session, stream, send } = dishonest('late')
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  publish(4)
  const reader = new FrameReader(64 * 1_048_576)
  const versions = new Map<string, string>()
  const done = new Promise<void>((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      for (const message of reader.read(chunk)) {
        const response = fromBinary(DeltaDiscoveryResponseSchema, message)
        for (const { name, version } of response.resources) versions.set(name, version)
        send({ responseNonce: response.nonce })
        const current = server.connections().find(({ node }) => node.id === 'late')
        const acked = current?.types[0]?.resources.filter(({ state }) => state !== 'pending')
        if (versions.size === 400 && acked?.length === 400) resolve()
      }
    })
  })
  stream.resume()
  await done
  session.destroy()
})
