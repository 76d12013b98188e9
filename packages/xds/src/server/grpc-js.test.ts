/** The server against a gRPC implementation that is not ours. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'
import { type ClientDuplexStream, credentials, makeGenericClientConstructor } from '@grpc/grpc-js'
import { realClock, silentLogger } from '@weft/base'
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.js'
import { Mailbox, oneService, testCluster, testSet } from '../testing.ts'
import { openAdsServer } from './open-ads-server.ts'
import { CDS, EDS, LDS, RDS } from './rules.ts'

const SERVICE = '/envoy.service.discovery.v3.AggregatedDiscoveryService'
const node = { id: 'grpc-js', cluster: 'c', metadata: { WEFT_KIND: 'grpc' } }

const server = openAdsServer(
  {},
  { clock: realClock, log: silentLogger, viewOf: ({ cluster }) => cluster },
)
const bound = await server.listen({ host: '127.0.0.1', port: 0 })
const address = 'port' in bound ? `127.0.0.1:${bound.port}` : ''
after(() => server.close())

function method<In extends DescMessage, Out extends DescMessage>(
  name: string,
  input: In,
  output: Out,
) {
  return {
    path: `${SERVICE}/${name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (message: MessageShape<In>) => Buffer.from(toBinary(input, message)),
    requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes),
    responseSerialize: (message: MessageShape<Out>) => Buffer.from(toBinary(output, message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
  }
}

const Client = makeGenericClientConstructor(
  {
    sotw: method('StreamAggregatedResources', DiscoveryRequestSchema, DiscoveryResponseSchema),
    delta: method(
      'DeltaAggregatedResources',
      DeltaDiscoveryRequestSchema,
      DeltaDiscoveryResponseSchema,
    ),
    unknown: method('NoSuchMethod', DiscoveryRequestSchema, DiscoveryResponseSchema),
  },
  'Ads',
)

type SotwRequest = MessageShape<typeof DiscoveryRequestSchema>
type SotwResponse = MessageShape<typeof DiscoveryResponseSchema>
type DeltaResponse = MessageShape<typeof DeltaDiscoveryResponseSchema>

function dial(call: 'sotw' | 'delta' | 'unknown') {
  const client = new Client(address, credentials.createInsecure())
  const open = client[call] as (() => ClientDuplexStream<unknown, unknown>) | undefined
  if (open === undefined) throw new Error(`no method ${call}`)
  return { client, stream: open.call(client) }
}

function sotw(cluster: string) {
  const { client, stream } = dial('sotw')
  const responses = new Mailbox<SotwResponse>()
  stream.on('data', (response: SotwResponse) => responses.put(response))
  stream.on('error', () => {})
  let first = true
  return {
    next: () => responses.next(),
    send(typeUrl: string, resourceNames: string[], extra: Partial<SotwRequest> = {}) {
      const { responseNonce = '', versionInfo = '', errorDetail } = extra
      stream.write(
        create(DiscoveryRequestSchema, {
          typeUrl,
          resourceNames,
          responseNonce,
          versionInfo,
          ...(errorDetail === undefined ? {} : { errorDetail }),
          ...(first ? { node: { ...node, cluster } } : {}),
        }),
      )
      first = false
    },
    ack(response: SotwResponse, resourceNames: string[]) {
      const { typeUrl, nonce, versionInfo } = response
      this.send(typeUrl, resourceNames, { responseNonce: nonce, versionInfo })
    },
    close() {
      stream.cancel()
      client.close()
    },
  }
}

describe('grpc-js, state of the world', () => {
  test('takes all clusters and listeners, endpoints and routes by name', async () => {
    server.publish('s1', oneService(80), 'g1')
    const client = sotw('s1')
    for (const [typeUrl, names] of [
      [CDS, []],
      [EDS, ['a']],
      [LDS, []],
      [RDS, ['r']],
    ] as const) {
      client.send(typeUrl, [...names])
      const response = await client.next()
      assert.equal(response.typeUrl, typeUrl)
      assert.deepEqual(
        response.resources.map((any) => any.typeUrl),
        [typeUrl],
      )
      client.ack(response, [...names])
    }
    server.publish('s1', oneService(81), 'g2')
    const pushed = await client.next()
    assert.equal(pushed.typeUrl, EDS, 'only what changed')
    client.close()
  })

  test('gets all clusters again when one changes, and the rest when one goes', async () => {
    const clusters = (...names: string[]) =>
      testSet({ clusters: names.map((name) => testCluster(name)) })
    server.publish('s2', clusters('a', 'b'), 'g1')
    const client = sotw('s2')
    client.send(CDS, [])
    const first = await client.next()
    assert.equal(first.resources.length, 2)
    client.ack(first, [])
    server.publish('s2', clusters('a', 'b', 'c'), 'g2')
    const second = await client.next()
    assert.equal(second.resources.length, 3)
    client.ack(second, [])
    server.publish('s2', clusters('a'), 'g3')
    const third = await client.next()
    assert.equal(third.resources.length, 1)
    assert.notEqual(third.versionInfo, second.versionInfo)
    client.close()
  })

  test('is answered for endpoints that nobody has, with none', async () => {
    server.publish('s3', testSet({}), 'g1')
    const client = sotw('s3')
    client.send(EDS, ['missing'])
    const response = await client.next()
    assert.equal(response.resources.length, 1)
    client.close()
  })

  test('gets new names at once and is not disturbed by its own late answers', async () => {
    server.publish('s4', oneService(80), 'g1')
    const client = sotw('s4')
    client.send(EDS, ['a'])
    const first = await client.next()
    client.send(EDS, ['a', 'b'], { responseNonce: 'long-ago' })
    client.ack(first, ['a', 'b'])
    const second = await client.next()
    assert.equal(second.resources.length, 1, 'only the new name')
    client.ack(second, ['a', 'b'])
    server.publish('s4', oneService(81), 'g2')
    assert.equal((await client.next()).resources.length, 1)
    client.close()
  })

  test('is not sent again what it refused, but what replaces it', async () => {
    server.publish('s5', oneService(80), 'g1')
    const client = sotw('s5')
    client.send(EDS, ['a'])
    const first = await client.next()
    const errorDetail = create(DiscoveryRequestSchema, {
      errorDetail: { code: 3, message: 'a: no' },
    }).errorDetail
    client.send(EDS, ['a'], {
      responseNonce: first.nonce,
      ...(errorDetail === undefined ? {} : { errorDetail }),
    })
    server.publish('s5', oneService(80), 'g2')
    server.publish('s5', oneService(82), 'g3')
    const second = await client.next()
    assert.notDeepEqual(second.resources, first.resources)
    client.close()
  })
})

describe('grpc-js, delta', () => {
  test('subscribes, gets the removal of what does not exist, and the thing when it appears', async () => {
    server.publish('d1', testSet({}), 'g1')
    const { client, stream } = dial('delta')
    const responses = new Mailbox<DeltaResponse>()
    stream.on('data', (response: DeltaResponse) => responses.put(response))
    stream.on('error', () => {})
    const send = (init: object) => stream.write(create(DeltaDiscoveryRequestSchema, init))
    send({ typeUrl: RDS, resourceNamesSubscribe: ['r'], node: { ...node, cluster: 'd1' } })
    const missing = await responses.next()
    assert.deepEqual(missing.removedResources, ['r'])
    send({ typeUrl: RDS, responseNonce: missing.nonce })
    server.publish('d1', oneService(80), 'g2')
    const found = await responses.next()
    assert.deepEqual(
      found.resources.map(({ name }) => name),
      ['r'],
    )
    send({ typeUrl: RDS, responseNonce: found.nonce })
    // P8: asking again is answered though nothing changed.
    send({ typeUrl: RDS, resourceNamesSubscribe: ['r'] })
    assert.deepEqual(
      (await responses.next()).resources.map(({ version }) => version),
      [found.resources[0]?.version],
    )
    stream.cancel()
    client.close()
  })
})

test('a method that does not exist is UNIMPLEMENTED, a stream without node INVALID_ARGUMENT', async () => {
  const statusOf = (call: 'unknown' | 'sotw') =>
    new Promise((resolve) => {
      const { client, stream } = dial(call)
      stream.on('error', (error) => {
        resolve(Reflect.get(error, 'code'))
        client.close()
      })
      stream.on('data', () => {})
      stream.write(create(DiscoveryRequestSchema, { typeUrl: CDS }))
    })
  assert.equal(await statusOf('unknown'), 12)
  assert.equal(await statusOf('sotw'), 3)
})
