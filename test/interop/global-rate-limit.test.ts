/**
 * `mode: Global`: two sidecars, each a process of its own, share one limit that the control plane
 * counts; and what holds when it is gone.
 */
import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { eventually } from '@weft/testkit'
import { serviceYaml, startMesh } from './mesh.ts'

const LIMIT = 40

const POLICIES = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [web.default.svc.cluster.local]
  http:
  - name: free
    match: [{uri: {prefix: /free}}]
    route: [{destination: {host: web.default.svc.cluster.local}}]
  - name: strict
    match: [{uri: {prefix: /strict}}]
    route: [{destination: {host: web.default.svc.cluster.local}}]
  - name: rest
    route: [{destination: {host: web.default.svc.cluster.local}}]
---
apiVersion: weft.io/v1
kind: RateLimit
metadata: {name: shop, namespace: default}
spec:
  targetRefs: [{kind: VirtualService, name: shop, sectionName: rest}]
  mode: Global
  limits: [{requests: ${LIMIT}, per: 1h, by: [{type: Header, name: x-user}]}]
---
apiVersion: weft.io/v1
kind: RateLimit
metadata: {name: strict, namespace: default}
spec:
  targetRefs: [{kind: VirtualService, name: shop, sectionName: strict}]
  mode: Global
  failureMode: Closed
  limits: [{requests: 1000, per: 1s}]
`

function statusOf(port: number, path: string, user: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const url = `http://web.default.svc.cluster.local${path}`
    const headers = { host: 'web.default.svc.cluster.local', 'x-user': user }
    const sent = request(
      { host: '127.0.0.1', port, path: url, headers, agent: false },
      (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
      },
    )
    sent.on('error', reject).end()
  })
}

test('proxies share a limit, and say what holds without a control plane', async (t) => {
  const app = createServer((asked, answer) => {
    asked.resume().on('end', () => answer.end('ok'))
  })
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    app.closeAllConnections()
    app.close()
  })
  const { port: to } = app.address() as AddressInfo
  await using mesh = await startMesh()
  mesh.write('service.yaml', serviceYaml('web', 'default', [{ name: 'http', port: 80, to: [to] }]))
  mesh.write('policies.yaml', POLICIES)
  const proxies = [await mesh.startSidecar('first'), await mesh.startSidecar('second')]
  const ports = proxies.map(({ port }) => port)
  for (const port of ports) {
    await eventually(async () => assert.equal(await statusOf(port, '/free', 'x'), 200))
  }
  const askAll = async (path: string, user: string, count: number) => {
    const statuses = await Promise.all(
      Array.from({ length: count }, (_, i) => statusOf(ports[i % 2] ?? 0, path, user)),
    )
    const counts: Record<number, number> = {}
    for (const status of statuses) counts[status] = (counts[status] ?? 0) + 1
    return counts
  }
  let allowed = 0
  let refused = 0
  for (let round = 0; round < 12; round++) {
    const counts = await askAll('/', 'ann', 10)
    allowed += counts[200] ?? 0
    refused += counts[429] ?? 0
  }
  assert.equal(allowed + refused, 120)
  // An hour's limit does not refill within the test by more than one.
  assert.ok(allowed <= LIMIT + 1, `${allowed}`)
  // A share that one of them holds at the end is all that may be missing.
  assert.ok(allowed >= LIMIT * 0.75, `${allowed}`)
  // Another value has a count of its own.
  assert.equal((await askAll('/', 'bob', 2))[200], 2)
  assert.equal((await askAll('/strict', 'ann', 4))[200], 4)

  await mesh.control[Symbol.asyncDispose]()
  await eventually(async () => {
    assert.equal(await statusOf(ports[0] ?? 0, '/strict', 'ann'), 500)
    assert.equal(await statusOf(ports[0] ?? 0, '/', 'ann'), 200)
  })
})
