import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Latest, realClock, silentLogger } from '@weft/base'
import type { ResourceSet } from '@weft/model'
import { type AdsClient, createAdsClient, type XdsNode } from '@weft/xds'
import { type ControlPlane, startControlPlane } from './control-plane.ts'

const SERVICE = `apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {ports: [{port: 9080, name: http}], selector: {app: reviews}}
`

const RULE = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
`

const splitTo = (subset: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http: [{route: [{destination: {host: reviews, subset: ${subset}}}]}]
`

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'weft-control-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function open(t: TestContext, path: string, more: { stateDir?: string } = {}) {
  const any = { host: '127.0.0.1', port: 0 }
  const plane = await startControlPlane({ sources: [path], xds: any, admin: any, ...more })
  t.after(() => plane.close())
  return plane
}

function nodeOf(workload: string, version: string, offers: readonly object[] = []): XdsNode {
  return {
    id: `sidecar~127.0.0.1~${workload}.default~default.svc.cluster.local`,
    cluster: `${workload}.default`,
    locality: { region: '', zone: '', subZone: '' },
    metadata: {
      WEFT_KIND: 'weft',
      WEFT_ROLE: 'sidecar',
      NAMESPACE: 'default',
      WORKLOAD_NAME: workload,
      LABELS: { app: workload.replace(/-v\d$/, ''), version },
      WEFT_OUTBOUND: { address: '127.0.0.1', port: 15001 },
      WEFT_OFFERS: offers as never,
    },
    userAgentName: 'weft',
    features: [],
  }
}

function offer(service: string, listenPort: number) {
  return {
    service,
    port: 9080,
    protocol: 'http',
    address: '127.0.0.1',
    listenPort,
    appAddress: '127.0.0.1',
    appPort: 30_000,
  }
}

interface Proxy {
  readonly client: AdsClient
  /** Resolves with the first set that fits. */
  until(fits: (set: ResourceSet) => boolean): Promise<ResourceSet>
}

async function connect(
  t: TestContext,
  plane: ControlPlane,
  node: XdsNode,
  validate?: (type: string, name: string) => string | undefined,
): Promise<Proxy> {
  const sets = new Latest<ResourceSet>()
  const client = await createAdsClient(
    { node, connect: plane.xds },
    {
      clock: realClock,
      log: silentLogger,
      random: () => 0,
      onUpdate: ({ set }) => sets.set(set),
      ...(validate && { validate: (type, resource) => validate(type, resource.name) }),
    },
  )
  t.after(() => client.close())
  return {
    client,
    async until(fits) {
      for await (const set of sets.watch(AbortSignal.timeout(5_000))) if (fits(set)) return set
      throw new Error('the expected resources did not come')
    },
  }
}

function endpointsOf(set: ResourceSet, cluster: string): readonly number[] {
  const { localities = [] } = set.endpoints.get(cluster) ?? {}
  return localities.flatMap(({ endpoints }) => endpoints.map(({ address }) => address.port))
}

const ALL = 'outbound|9080||reviews.default.svc.cluster.local'
const V1 = 'outbound|9080|v1|reviews.default.svc.cluster.local'

async function ask(plane: ControlPlane, path: string, init: RequestInit = {}) {
  const headers = { ...init.headers, authorization: `Bearer ${plane.ownerToken}` }
  const response = await fetch(`http://127.0.0.1:${plane.admin.port}${path}`, { ...init, headers })
  return { status: response.status, body: JSON.parse(await response.text()) }
}

/** Asks until the answer fits: what proxies answer arrives when it arrives. */
async function askUntil(plane: ControlPlane, path: string, fits: (body: never) => boolean) {
  for (let i = 0; i < 200; i++) {
    const { body } = await ask(plane, path)
    if (fits(body as never)) return body
    await new Promise((resolve) => realClock.after(20, () => resolve(undefined)))
  }
  throw new Error(
    `${path} never said what was expected: ${JSON.stringify((await ask(plane, path)).body)}`,
  )
}

test('a workload that registers itself serves from its first healthy report on', async (t) => {
  const path = folder(t)
  const plane = await open(t, path)
  const caller = await connect(t, plane, nodeOf('web-v1', 'v1'))
  await caller.until((set) => set.listener.has('weft:outbound'))
  const reviews = await connect(t, plane, nodeOf('reviews-v1', 'v1', [offer('reviews', 21_001)]))
  const own = await reviews.until((set) => set.listener.has('weft:inbound|9080'))
  assert.equal(own.cluster.get('inbound|9080||')?.discovery.kind, 'static')
  const before = await caller.until((set) => set.cluster.has(ALL))
  assert.deepEqual(endpointsOf(before, ALL), [])
  reviews.client.reportHealth(true, '')
  const after = await caller.until((set) => endpointsOf(set, ALL).length === 1)
  assert.deepEqual(endpointsOf(after, ALL), [21_001])
  reviews.client.reportHealth(false, 'stopping')
  await caller.until(
    (set) =>
      set.endpoints
        .get(ALL)
        ?.localities.every(({ endpoints }) =>
          endpoints.every(({ health }) => health === 'draining'),
        ) ?? false,
  )
})

test('a change of a file reaches a connected proxy, and its status says who applied it', async (t) => {
  const path = folder(t)
  writeFileSync(join(path, 'reviews.yaml'), `${SERVICE}---\n${RULE}`)
  const plane = await open(t, path)
  const proxy = await connect(t, plane, nodeOf('web-v1', 'v1'))
  await proxy.until((set) => set.cluster.has(V1))
  writeFileSync(join(path, 'route.yaml'), splitTo('v2'))
  await proxy.until((set) =>
    JSON.stringify([...(set.route.get('http_proxy')?.virtualHosts ?? [])]).includes('|v2|'),
  )
  const summary = 'applied by 1 of 1 proxies'
  await askUntil(
    plane,
    '/v1/status',
    ({ objects }: { objects: { kind: string; summary: string }[] }) =>
      objects.some((one) => one.kind === 'VirtualService' && one.summary === summary),
  )
})

test('a broken file changes nothing and its status says why and where', async (t) => {
  const path = folder(t)
  const file = join(path, 'reviews.yaml')
  writeFileSync(file, `${SERVICE}---\n${RULE}`)
  const plane = await open(t, path)
  const { generation } = plane.snapshot()
  writeFileSync(file, `${SERVICE}---\n${RULE}  - {name: [`)
  const { refused } = await askUntil(
    plane,
    '/v1/status',
    (body: { refused: unknown[] }) => body.refused.length > 0,
  )
  assert.equal(refused[0].file, file)
  assert.equal(refused[0].keptLastGood, true)
  assert.match(refused[0].reason, /^line \d+/)
  assert.equal(plane.snapshot().generation, generation)
  assert.ok(plane.statuses().every(({ summary }) => summary.startsWith('refused: line ')))
})

test('a route to a subset that does not exist waits, and takes effect when it does', async (t) => {
  const path = folder(t)
  writeFileSync(join(path, 'a.yaml'), SERVICE)
  const plane = await open(t, path)
  const proxy = await connect(t, plane, nodeOf('web-v1', 'v1'))
  await proxy.until((set) => set.cluster.has(ALL))
  const applied = await ask(plane, '/v1/apply?file=x.yaml', {
    method: 'POST',
    headers: { 'content-type': 'application/yaml' },
    body: splitTo('v2'),
  })
  assert.equal(applied.status, 200)
  assert.equal(applied.body.objects[0].outcome, 'created')
  const status = plane.statuses().find(({ kind }) => kind === 'VirtualService')
  assert.match(status?.summary ?? '', /ResolvedRefs=False .*subset v2 .*not in force/)
  assert.equal(plane.snapshot().virtualServices.length, 0)
  await ask(plane, '/v1/apply', {
    method: 'POST',
    headers: { 'content-type': 'application/yaml' },
    body: RULE,
  })
  assert.equal(plane.snapshot().virtualServices.length, 1)
  await proxy.until((set) =>
    JSON.stringify(set.route.get('http_proxy')?.virtualHosts).includes('|v2|'),
  )
})

test('a proxy that refuses a resource is named with its reason', async (t) => {
  const path = folder(t)
  writeFileSync(join(path, 'reviews.yaml'), `${SERVICE}---\n${RULE}`)
  const plane = await open(t, path)
  await connect(t, plane, nodeOf('web-v1', 'v1'), (_type, name) =>
    name === V1 ? 'cannot run subset v1' : undefined,
  )
  const body = await askUntil(
    plane,
    '/v1/status',
    ({ objects }: { objects: { kind: string; summary: string }[] }) =>
      objects.some((one) => one.summary.includes('rejected it')),
  )
  const rule = body.objects.find((one: { kind: string }) => one.kind === 'DestinationRule')
  assert.match(
    rule.summary,
    /applied by 0 of 1 proxies; web-v1 rejected it: .*cannot run subset v1/,
  )
  const { proxies } = (await ask(plane, '/v1/proxies')).body
  assert.equal(proxies[0].isSynced, false)
  assert.equal(proxies[0].rejected[0].resource, `cluster/${V1}`)
})

test('a restart forgets neither self-registered endpoints nor the last good form of a file', async (t) => {
  const path = folder(t)
  const stateDir = folder(t)
  const file = join(path, 'reviews.yaml')
  writeFileSync(file, `${SERVICE}---\n${RULE}`)
  const first = await open(t, path, { stateDir })
  const reviews = await connect(t, first, nodeOf('reviews-v1', 'v1', [offer('reviews', 21_001)]))
  reviews.client.reportHealth(true, '')
  await reviews.until((set) => endpointsOf(set, V1).length === 1)
  const { generation } = first.snapshot()
  await reviews.client.close()
  await first.close()
  writeFileSync(file, 'kind: [')
  const second = await open(t, path, { stateDir })
  assert.equal(second.snapshot().generation, generation)
  const caller = await connect(t, second, nodeOf('web-v1', 'v1'))
  assert.deepEqual(endpointsOf(await caller.until((set) => set.cluster.has(V1)), V1), [21_001])
})

test('the admin port answers by address and by localhost only, and to nobody from elsewhere', async (t) => {
  const plane = await open(t, folder(t))
  const statusFor = (headers: Record<string, string>, method = 'GET') =>
    new Promise<number>((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        port: plane.admin.port,
        path: '/v1/status',
        headers: { ...headers, authorization: `Bearer ${plane.ownerToken}` },
        method,
      }
      request(options, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
        .on('error', reject)
        .end()
    })
  assert.equal(await statusFor({}), 200)
  assert.equal(await statusFor({ host: 'localhost:15014' }), 200)
  assert.equal(await statusFor({ host: 'evil.example:15014' }), 421)
  assert.equal(await statusFor({ origin: 'http://evil.example' }), 403)
  assert.equal(await statusFor({}, 'POST'), 405)
})

test('a target that names no endpoint is the fault of who asks', async (t) => {
  const plane = await open(t, folder(t))
  const { host, port } = plane.admin
  const statusFor = (path: string, method = 'GET') =>
    new Promise<number>((resolve, reject) => {
      const headers = { authorization: `Bearer ${plane.ownerToken}` }
      request({ host, port, path, method, headers }, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
        .on('error', reject)
        .end()
    })
  assert.equal(await statusFor('//'), 404)
  assert.equal(await statusFor('//evil.example/v1/status'), 404)
  assert.equal(await statusFor('*', 'OPTIONS'), 400)
  assert.equal(await statusFor('http://127.0.0.1/v1/status'), 200)
})

test('metrics have the names that dashboards of Istio read', async (t) => {
  const path = folder(t)
  writeFileSync(join(path, 'reviews.yaml'), `${SERVICE}---\n${RULE}`)
  const plane = await open(t, path)
  const proxy = await connect(t, plane, nodeOf('web-v1', 'v1'))
  await proxy.until((set) => set.cluster.has(V1))
  await askUntil(
    plane,
    '/debug/syncz',
    (rows: { cluster_status: string }[]) => rows[0]?.cluster_status === 'SYNCED',
  )
  const response = await fetch(`http://127.0.0.1:${plane.admin.port}/metrics`, {
    headers: { authorization: `Bearer ${plane.ownerToken}` },
  })
  const text = await response.text()
  assert.match(text, /^pilot_xds 1$/m)
  assert.match(text, /^pilot_xds_pushes\{type="cds"\} [1-9]/m)
  assert.match(text, /^pilot_k8s_cfg_events\{type="DestinationRule",event="add"\} 1$/m)
  assert.match(text, /^galley_validation_passed\{resource="Service"\} 1$/m)
  assert.match(text, /^pilot_services 1$/m)
})
