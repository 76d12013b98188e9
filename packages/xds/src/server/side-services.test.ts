/** Client status (P20) and load reports (P21), asked by a gRPC implementation that is not ours. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'
import { Client, credentials } from '@grpc/grpc-js'
import { realClock, silentLogger } from '@weft/base'
import { ClientResourceStatus } from '../gen/envoy/admin/v3/config_dump_shared_pb.js'
import { ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import {
  LoadStatsRequestSchema,
  LoadStatsResponseSchema,
} from '../gen/envoy/service/load_stats/v3/lrs_pb.js'
import {
  ClientStatusRequestSchema,
  ClientStatusResponseSchema,
  ConfigStatus,
} from '../gen/envoy/service/status/v3/csds_pb.js'
import { createAdsClient } from '../index.ts'
import { Mailbox, oneService, testNode } from '../testing.ts'
import type { Answer } from './ads-status.ts'
import type { LoadReport } from './load-reports.ts'
import { openAdsServer } from './open-ads-server.ts'
import { CDS, LDS } from './rules.ts'

const CLIENT_STATUS = '/envoy.service.status.v3.ClientStatusDiscoveryService'
const LOAD_REPORTS = '/envoy.service.load_stats.v3.LoadReportingService'

const loads = new Mailbox<{ node: string; reports: readonly LoadReport[] }>()
const answers = new Mailbox<Answer>()
const server = openAdsServer(
  { loadReportIntervalMs: 2_500 },
  {
    clock: realClock,
    log: silentLogger,
    viewOf: () => 'v',
    onAnswer: (answer) => answers.put(answer),
    onLoad: (node, reports) => loads.put({ node: node.id, reports }),
  },
)
const bound = await server.listen({ host: '127.0.0.1', port: 0 })
if (!('port' in bound)) throw new Error('Cannot test: no port')
const { port } = bound
const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
after(async () => {
  client.close()
  await server.close()
})

function encoder<T extends DescMessage>(schema: T) {
  return (init: MessageInitShape<T>) => Buffer.from(toBinary(schema, create(schema, init)))
}

function decoder<T extends DescMessage>(schema: T) {
  return (bytes: Buffer): MessageShape<T> => fromBinary(schema, bytes)
}

type StatusRequest = MessageInitShape<typeof ClientStatusRequestSchema>
type StatusResponse = MessageShape<typeof ClientStatusResponseSchema>

function fetchStatus(request: StatusRequest): Promise<StatusResponse> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      `${CLIENT_STATUS}/FetchClientStatus`,
      encoder(ClientStatusRequestSchema),
      decoder(ClientStatusResponseSchema),
      request,
      (error, value) => (value === undefined ? reject(error) : resolve(value)),
    )
  })
}

/** Takes clusters, refuses listeners. */
async function join(id: string): Promise<void> {
  const joined = await createAdsClient(
    { node: testNode('weft', id), connect: bound },
    {
      clock: realClock,
      log: silentLogger,
      random: () => 0,
      onUpdate: () => {},
      validate: (type) => (type === 'listener' ? 'no listeners here' : undefined),
    },
  )
  after(() => joined.close())
  await answers.next(({ node, error }) => node.id === id && error !== undefined)
}

describe('client status', () => {
  server.publish('v', oneService(80), 'g1')

  test('tells what a client took and what it refused, and why', async () => {
    await join('first')
    const { config } = await fetchStatus({})
    assert.equal(config[0]?.node?.id, 'first')
    const of = (typeUrl: string) =>
      config[0]?.genericXdsConfigs.find((one) => one.typeUrl === typeUrl)
    const cluster = of(CDS)
    assert.equal(cluster?.name, 'a')
    assert.equal(cluster.configStatus, ConfigStatus.SYNCED)
    assert.equal(cluster.clientStatus, ClientResourceStatus.ACKED)
    assert.equal(fromBinary(ClusterSchema, cluster.xdsConfig?.value ?? Buffer.alloc(0)).name, 'a')
    const listener = of(LDS)
    assert.equal(listener?.configStatus, ConfigStatus.ERROR)
    assert.equal(listener.clientStatus, ClientResourceStatus.NACKED)
    assert.match(listener.errorState?.details ?? '', /no listeners here/)
    assert.equal(listener.xdsConfig, undefined)
  })

  test('tells of the clients that were asked for, without contents when not wanted', async () => {
    await join('second')
    const matcher = (value: string) => ({
      nodeId: { matchPattern: { case: 'prefix' as const, value }, ignoreCase: true },
    })
    const { config } = await fetchStatus({
      nodeMatchers: [matcher('SEC')],
      excludeResourceContents: true,
    })
    assert.deepEqual(
      config.map(({ node }) => node?.id),
      ['second'],
    )
    const contents = config[0]?.genericXdsConfigs.map(({ xdsConfig }) => xdsConfig)
    assert.deepEqual(new Set(contents), new Set([undefined]))
    assert.deepEqual((await fetchStatus({ nodeMatchers: [matcher('x')] })).config, [])
  })

  test('refuses matchers that it does not have, instead of answering for everybody', async () => {
    const safeRegex = { case: 'safeRegex' as const, value: { regex: '.*' } }
    await assert.rejects(
      fetchStatus({ nodeMatchers: [{ nodeId: { matchPattern: safeRegex } }] }),
      /INVALID_ARGUMENT: node_id.safeRegex is not supported/,
    )
  })

  test('answers every request of a stream', async () => {
    await join('third')
    const stream = client.makeBidiStreamRequest(
      `${CLIENT_STATUS}/StreamClientStatus`,
      encoder(ClientStatusRequestSchema),
      decoder(ClientStatusResponseSchema),
    )
    const responses = new Mailbox<StatusResponse>()
    stream.on('data', (response: StatusResponse) => responses.put(response))
    for (let i = 0; i < 2; i++) {
      stream.write({ excludeResourceContents: true })
      const { config } = await responses.next()
      assert.ok(config.some(({ node }) => node?.id === 'third'))
    }
    const ended = new Promise((resolve) => stream.on('status', resolve))
    stream.end()
    assert.equal(Reflect.get(Object(await ended), 'code'), 0)
  })
})

describe('load reports', () => {
  type LoadResponse = MessageShape<typeof LoadStatsResponseSchema>

  function openReports() {
    const stream = client.makeBidiStreamRequest(
      `${LOAD_REPORTS}/StreamLoadStats`,
      encoder(LoadStatsRequestSchema),
      decoder(LoadStatsResponseSchema),
    )
    stream.on('error', () => {})
    return stream
  }

  test('are asked for of all clusters, and taken', async () => {
    const stream = openReports()
    const responses = new Mailbox<LoadResponse>()
    stream.on('data', (response: LoadResponse) => responses.put(response))
    stream.write({ node: { id: 'reporter' } })
    const asked = await responses.next()
    assert.equal(asked.sendAllClusters, true)
    assert.deepEqual(
      [asked.loadReportingInterval?.seconds, asked.loadReportingInterval?.nanos],
      [2n, 500_000_000],
    )
    const upstreamLocalityStats = [
      {
        locality: { zone: 'z' },
        totalIssuedRequests: 3n,
        totalSuccessfulRequests: 2n,
        totalErrorRequests: 1n,
      },
    ]
    stream.write({
      clusterStats: [{ clusterName: 'a', totalDroppedRequests: 4n, upstreamLocalityStats }],
    })
    const { node, reports } = await loads.next()
    assert.equal(node, 'reporter')
    const locality = { region: '', zone: 'z', subZone: '' }
    assert.deepEqual(reports, [
      {
        cluster: 'a',
        service: '',
        dropped: 4,
        localities: [{ locality, issued: 3, succeeded: 2, failed: 1, inProgress: 0 }],
      },
    ])
    stream.cancel()
  })

  test('of nobody are refused', async () => {
    const stream = openReports()
    const ended = new Promise((resolve) => stream.on('status', resolve))
    stream.on('data', () => {})
    stream.write({})
    assert.equal(Reflect.get(Object(await ended), 'code'), 3)
  })
})
