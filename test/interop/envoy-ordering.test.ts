/**
 * The ordering rules of the ADS server against the client that they are for: a real Envoy under load
 * while clusters come, change and go.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, get, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import type { ResourceSet } from '@weft/model'
import { eventually, freePort } from '@weft/testkit'
import { type AdsServer, createAdsServer } from '@weft/xds'
import {
  testCluster,
  testEndpoints,
  testListener,
  testRoutes,
  testSet,
} from '../../packages/xds/src/testing.ts'
import { adsBootstrap, loopback, skip, startEnvoy } from './envoy.ts'

const SWAPS = 30
const NODE = { id: 'order', cluster: 'order', metadata: { WEFT_KIND: 'envoy' } }

for (const api of ['DELTA_GRPC', 'GRPC'] as const) {
  describe(`an Envoy over ${api} while clusters come and go`, () => {
    const dir = mkdtempSync(join(tmpdir(), 'weft-order-'))
    let backend: Server
    let backendPort = 0
    let server: AdsServer
    let envoy: AsyncDisposable
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
      eventually(() => assert.equal(server.connections()[0]?.ackedGeneration, name))

    before(async () => {
      if (skip) return
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
      envoy = startEnvoy(dir, {
        ...adsBootstrap(api, NODE, 'port' in bound ? bound.port : 0),
        admin: { address: loopback(adminPort) },
      })
      publish(mesh('c0'))
      await eventually(async () => assert.equal(await fetchText(port, '/'), 'ok'))
    })

    after(async () => {
      if (skip) return
      await envoy[Symbol.asyncDispose]()
      await server.close()
      backend.close()
      backend.closeAllConnections()
      rmSync(dir, { recursive: true, force: true })
    })

    test('no request fails while routes move to new clusters and old ones go', {
      skip,
    }, async () => {
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

    test('a change of the cluster alone does not wait for endpoints that never come (R7)', {
      skip,
    }, async () => {
      await accepted(publish(mesh(`c${SWAPS}`, 2_000)))
      const stats = await fetchText(adminPort, '/stats?filter=warming_clusters|update_rejected')
      for (const line of stats.trim().split('\n')) assert.match(line, /: 0$/)
    })

    test('a cluster that is added to one that shares its endpoints becomes warm', {
      skip,
    }, async () => {
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
