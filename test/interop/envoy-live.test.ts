/**
 * A real Envoy as the gateway, steered by Weft's control plane over delta ADS and over
 * state-of-the-world ADS: real files, real requests, a change while it runs, a control plane that
 * goes away.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type ControlPlane, startControlPlane } from '@weft/control'
import { findEnvoy } from './find-envoy.ts'

const envoyPath = findEnvoy()
/** On each test, not on the suite: a skipped suite is not counted. */
const skip = envoyPath === undefined ? 'no envoy on PATH' : false
const DEADLINE_MS = 20_000

for (const api of ['DELTA_GRPC', 'GRPC']) {
  describe(`a real Envoy over ${api}`, () => {
    const dir = mkdtempSync(join(tmpdir(), 'weft-envoy-'))
    const backends: Server[] = []
    let control: ControlPlane
    let envoy: ChildProcess
    let port = 0

    before(async () => {
      if (skip) return
      for (const version of ['v1', 'v2']) {
        const server = createServer((_request, response) => response.end(version))
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
        backends.push(server)
      }
      port = await freePort()
      writeFileSync(join(dir, 'mesh.yaml'), mesh(port, backends.map(portOf)))
      writeFileSync(join(dir, 'route.yaml'), route('v1'))
      control = await startControlPlane({
        sources: [dir],
        xds: { host: '127.0.0.1', port: 0 },
        admin: { host: '127.0.0.1', port: 0 },
      })
      const bootstrap = join(dir, 'envoy.json')
      writeFileSync(bootstrap, JSON.stringify(bootstrapFor(api, control.xds.port)))
      envoy = spawn(
        envoyPath ?? '',
        ['-c', bootstrap, '--concurrency', '1', '--log-level', 'warn', '--disable-hot-restart'],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      )
      envoy.stderr?.resume()
    })

    after(async () => {
      if (skip) return
      if (envoy.exitCode === null) {
        const gone = new Promise((resolve) => envoy.once('exit', resolve))
        envoy.kill('SIGKILL')
        await gone
      }
      await control.close()
      for (const server of backends) server.close()
      rmSync(dir, { recursive: true, force: true })
    })

    test('routes by the VirtualService', { skip }, async () => {
      await eventually(async () => assert.equal(await get(port), 'v1'))
    })

    test('a change of the file changes the traffic, and Envoy acknowledged all of it', {
      skip,
    }, async () => {
      writeFileSync(join(dir, 'route.yaml'), route('v2'))
      await eventually(async () => assert.equal(await get(port), 'v2'))
      await eventually(async () => {
        const status = control.statuses().find(({ kind }) => kind === 'VirtualService')
        assert.equal(status?.applied?.acknowledged, 1, status?.summary ?? 'no status yet')
      })
    })

    test('goes on without the control plane', { skip }, async () => {
      await control.close()
      for (let i = 0; i < 20; i++) assert.equal(await get(port), 'v2')
    })
  })
}

/** Repeats `check` until it passes; what it threw last is the failure. */
async function eventually(check: () => Promise<void>): Promise<void> {
  const untilMs = Date.now() + DEADLINE_MS
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > untilMs) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

async function get(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/anything`)
  return response.ok ? response.text() : `status ${response.status}`
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const port = portOf(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

function bootstrapFor(api: string, xdsPort: number) {
  const address = { socket_address: { address: '127.0.0.1', port_value: xdsPort } }
  const http2 = {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  }
  const ads = { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' }
  return {
    node: {
      id: 'router~127.0.0.1~gateway.default~default.svc.cluster.local',
      cluster: 'gateway.default',
      metadata: { NAMESPACE: 'default', LABELS: { istio: 'ingressgateway' } },
    },
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
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': http2,
          },
          load_assignment: {
            cluster_name: 'xds',
            endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
          },
        },
      ],
    },
  }
}

function mesh(port: number, ports: readonly number[]): string {
  const entry = (version: string, index: number) => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: shop-${version}, namespace: default, labels: { app: shop, version: ${version} } }
spec:
  address: 127.0.0.1
  ports: { http: ${ports[index]} }
  labels: { app: shop, version: ${version} }
---`
  return `${entry('v1', 0)}${entry('v2', 1)}
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: shop, namespace: default }
spec:
  hosts: [shop.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  workloadSelector: { labels: { app: shop } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: shop, namespace: default }
spec:
  host: shop.example.com
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: ${port}, name: http, protocol: HTTP }, hosts: ["*"] }]
`
}

function route(version: string): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: default }
spec:
  hosts: ["*"]
  gateways: [front]
  http:
    - route: [{ destination: { host: shop.example.com, subset: ${version} } }]
`
}
