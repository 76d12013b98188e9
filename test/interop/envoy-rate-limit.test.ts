/** A real Envoy asks Weft's control plane for global limits, as any rate limit service. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startControlPlane } from '@weft/control'
import { eventually, freePort } from '@weft/testkit'
import { adsBootstrap, skip, startEnvoy } from './envoy.ts'

const DEADLINE_MS = 20_000
const NODE = {
  id: 'router~127.0.0.1~gateway.default~default.svc.cluster.local',
  cluster: 'gateway.default',
  metadata: { NAMESPACE: 'default', LABELS: { istio: 'ingressgateway' } },
}

function mesh(port: number, appPort: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: shop, namespace: default }
spec:
  hosts: [shop.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${appPort} } }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: ${port}, name: http, protocol: HTTP }, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: default }
spec:
  hosts: ["*"]
  gateways: [front]
  http:
  - name: free
    match: [{ uri: { prefix: /free } }]
    route: [{ destination: { host: shop.example.com } }]
  - name: counted
    route: [{ destination: { host: shop.example.com } }]
---
apiVersion: weft.io/v1
kind: RateLimit
metadata: { name: shop, namespace: default }
spec:
  targetRefs: [{ kind: VirtualService, name: shop, sectionName: counted }]
  mode: Global
  failureMode: Closed
  headers: true
  limits:
  - { requests: 5, per: 1h, by: [{ type: Header, name: x-user }] }
  - { requests: 3, per: 1h }
`
}

test('a real Envoy counts by the control plane', { skip }, async (t) => {
  const app = createServer((_request, response) => response.end('ok'))
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  const dir = mkdtempSync(join(tmpdir(), 'weft-envoy-'))
  const port = await freePort()
  writeFileSync(join(dir, 'mesh.yaml'), mesh(port, (app.address() as AddressInfo).port))
  const loopback = { host: '127.0.0.1', port: 0 }
  const control = await startControlPlane({ sources: [dir], xds: loopback, admin: loopback })
  const bootstrap = adsBootstrap('DELTA_GRPC', NODE, control.xds.port)
  const { clusters } = bootstrap.static_resources
  const again = clusters.map((cluster) => ({ ...cluster, name: 'weft-control' }))
  const envoy = startEnvoy(dir, {
    ...bootstrap,
    static_resources: { clusters: [...clusters, ...again] },
  })
  t.after(async () => {
    await envoy[Symbol.asyncDispose]()
    await control.close()
    app.close()
    rmSync(dir, { recursive: true, force: true })
  })
  const ask = (path: string, user?: string) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      headers: user === undefined ? {} : { 'x-user': user },
    })
  await eventually(async () => assert.equal((await ask('/free')).status, 200), DEADLINE_MS)
  const statuses = async (count: number, user?: string) => {
    const found: number[] = []
    for (let i = 0; i < count; i++) found.push((await ask('/', user)).status)
    return found
  }
  assert.deepEqual(await statuses(7, 'ann'), [200, 200, 200, 200, 200, 429, 429])
  const last = await ask('/', 'ann')
  assert.equal(last.headers.get('x-envoy-ratelimited'), 'true')
  assert.match(last.headers.get('x-ratelimit-limit') ?? '', /^5, 5;w=3600/)
  assert.equal(last.headers.get('x-ratelimit-remaining'), '0')
  assert.deepEqual(await statuses(1, 'bob'), [200])
  assert.deepEqual(await statuses(4), [200, 200, 200, 429])
  assert.equal((await ask('/free', 'ann')).status, 200)
})
