/**
 * A real Envoy as the gateway, steered by Weft's control plane over delta ADS and over
 * state-of-the-world ADS: real files, real requests, a change while it runs, a control plane that
 * goes away.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type ControlPlane, startControlPlane } from '@weft/control'
import { eventually, freePort } from '@weft/testkit'
import { adsBootstrap, skip, startEnvoy } from './envoy.ts'

const DEADLINE_MS = 20_000
const NODE = {
  id: 'router~127.0.0.1~gateway.default~default.svc.cluster.local',
  cluster: 'gateway.default',
  metadata: { NAMESPACE: 'default', LABELS: { istio: 'ingressgateway' } },
}

for (const api of ['DELTA_GRPC', 'GRPC'] as const) {
  describe(`a real Envoy over ${api}`, () => {
    const dir = mkdtempSync(join(tmpdir(), 'weft-envoy-'))
    const backends: Server[] = []
    let control: ControlPlane
    let envoy: AsyncDisposable
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
      envoy = startEnvoy(dir, adsBootstrap(api, NODE, control.xds.port))
    })

    after(async () => {
      if (skip) return
      await envoy[Symbol.asyncDispose]()
      await control.close()
      for (const server of backends) server.close()
      rmSync(dir, { recursive: true, force: true })
    })

    test('routes by the VirtualService', { skip }, async () => {
      await eventually(async () => assert.equal(await get(port), 'v1'), DEADLINE_MS)
    })

    test('a change of the file changes the traffic, and Envoy acknowledged all of it', {
      skip,
    }, async () => {
      writeFileSync(join(dir, 'route.yaml'), route('v2'))
      await eventually(async () => assert.equal(await get(port), 'v2'), DEADLINE_MS)
      await eventually(() => {
        const status = control.statuses().find(({ kind }) => kind === 'VirtualService')
        assert.equal(status?.applied?.acknowledged, 1, status?.summary ?? 'no status yet')
      }, DEADLINE_MS)
    })

    test('goes on without the control plane', { skip }, async () => {
      await control.close()
      for (let i = 0; i < 20; i++) assert.equal(await get(port), 'v2')
    })
  })
}

async function get(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/anything`)
  return response.ok ? response.text() : `status ${response.status}`
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
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
