/**
 * Random AuthorizationPolicies × callers over real sockets: written as YAML is, translated, sent as
 * Envoy's protobuf, enforced by a proxy that ends mutual TLS. Who gets through must be who the
 * model by enumeration lets through.
 */
import assert from 'node:assert/strict'
import { Agent, request } from 'node:https'
import { after, before, test } from 'node:test'
import { createTestCa, freePort, seededRandom } from '@weft/testkit'
import { parseDocuments } from '../../packages/config/src/index.ts'
import { buildSnapshot } from '../../packages/control/src/snapshot/build.ts'
import { DEFAULT_PROXY } from '../../packages/control/src/translate/proxy-view.ts'
import { translate } from '../../packages/control/src/translate/translate.ts'
import type { HttpConnectionManager, Listener, Secret } from '../../packages/model/src/index.ts'
import { openApp, openProxy, REVIEWS } from '../../packages/proxy/src/test-proxy.ts'
import { cluster, endpoints, setOf, table } from '../../packages/proxy/src/test-resources.ts'
import { codec } from '../../packages/xds/src/codec/codec.ts'
import {
  type Call,
  isAllowed,
  type Operation,
  type Policy,
  type Rule,
  type Source,
} from './authorization-model.ts'

const SEED = Number(process.env.WEFT_SEED ?? 1)
const ROUNDS = Number(process.env.WEFT_RUNS ?? 40)
const random = seededRandom(SEED)
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
const maybe = <T>(share: number, make: () => T): T | undefined =>
  random() < share ? make() : undefined
const few = <T>(list: readonly T[]): T[] =>
  Array.from({ length: random() < 0.7 ? 1 : 2 }, () => pick(list))

const IDENTITIES = [
  undefined,
  { domain: 'cluster.local', namespace: 'shop', account: 'web' },
  { domain: 'cluster.local', namespace: 'default', account: 'cart' },
  { domain: 'other.example', namespace: 'shop-eu', account: 'web' },
] as const
const PATHS = ['/', '/a', '/a/b', '/a/b/c.html', '/admin', '/admin/users?all=1', '/x%20y', '/A']
const HEADERS: readonly Call['headers'][] = [
  {},
  { 'x-tier': ['gold'] },
  { 'x-tier': ['gold', 'lead'] },
  { 'x-tier': ['lead', 'golden'] },
]

function source(): Source {
  const principals = ['*', 'cluster.local/ns/shop/sa/web', '*/sa/web', 'cluster.local/*', '*/sa/x']
  const fields = {
    principals: maybe(0.35, () => few(principals)),
    notPrincipals: maybe(0.2, () => few(principals)),
    trustDomains: maybe(0.1, () => few(['cluster.local', 'other.*', '*.example'])),
    ipBlocks: maybe(0.15, () => few(['127.0.0.0/8', '10.0.0.0/8'])),
    remoteIpBlocks: maybe(0.15, () => few(['203.0.113.0/24', '127.0.0.1'])),
    notRemoteIpBlocks: maybe(0.15, () => few(['203.0.113.7', '127.0.0.1/32'])),
    namespaces: maybe(0.25, () => few(['shop', 'shop*', '*-eu', '*', 'default'])),
    notNamespaces: maybe(0.15, () => few(['shop', 'default'])),
  }
  const accounts = maybe(0.15, () => few(['web', 'cart', 'shop/web', 'default/cart']))
  return accounts === undefined ? defined(fields) : { serviceAccounts: accounts }
}

function operation(): Operation {
  const paths = [
    '/a',
    '/a/*',
    '*.html',
    '*',
    '/admin*',
    '/{*}/b',
    '/a/{**}',
    '/{*}/{*}/{**}',
    '/x y',
  ]
  return defined({
    hosts: maybe(0.2, () => few(['cart.example', 'CART.example', '*.example', 'cart.*', 'other'])),
    methods: maybe(0.4, () => few(['GET', 'POST', '*', 'G*'])),
    notMethods: maybe(0.15, () => few(['DELETE', 'POST'])),
    paths: maybe(0.6, () => few(paths)),
    notPaths: maybe(0.2, () => few(paths)),
  })
}

/** Without what is not said, and never empty. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  const kept = entries.length === 0 ? Object.entries(fields).slice(0, 1) : entries
  return Object.fromEntries(kept.map(([key, value]) => [key, value ?? ['*']])) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

function rule(): Rule {
  const condition = () => {
    const key = pick(['request.headers[X-Tier]', 'source.namespace', 'remote.ip'])
    const values = {
      'request.headers[X-Tier]': ['gold', 'gold*', '*', '*d'],
      'source.namespace': ['shop', '*'],
      'remote.ip': ['203.0.113.0/24', '127.0.0.1'],
    }[key] as string[]
    return random() < 0.6 ? { key, values: few(values) } : { key, notValues: few(values) }
  }
  const from = maybe(0.6, () => few([0]).map(() => ({ source: source() })))
  const to = maybe(0.6, () => few([0]).map(() => ({ operation: operation() })))
  const when = maybe(0.3, () => [condition()])
  return {
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(when === undefined ? {} : { when }),
  }
}

function policies(): readonly Policy[] {
  return Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
    const action = pick(['ALLOW', 'ALLOW', 'DENY'] as const)
    if (action === 'ALLOW' && random() < 0.05) return { action }
    return { action, rules: few([0]).map(rule) }
  })
}

function calls(): readonly Call[] {
  return Array.from({ length: 16 }, (_, i) => {
    const identity = IDENTITIES[i % IDENTITIES.length]
    const remoteIp = pick(['127.0.0.1', '203.0.113.7', '203.0.113.9'])
    return {
      ...(identity === undefined ? {} : { identity }),
      method: pick(['GET', 'POST', 'DELETE']),
      host: pick(['cart.example', 'Cart.Example', 'other']),
      path: pick(PATHS),
      headers: pick(HEADERS),
      sourceIp: '127.0.0.1',
      remoteIp,
    }
  })
}

const ca = createTestCa()
const server = ca.issue({ dns: ['cart.example'] })
const SECRETS: readonly Secret[] = [
  { kind: 'certificate', name: 'cert', chainPem: server.certPem, keyPem: server.keyPem },
  { kind: 'validation', name: 'ca', caPem: ca.caPem },
]

/** What the control plane makes of the policies, by way of the wire. */
function managerFor(written: readonly Policy[]): HttpConnectionManager {
  const objects = written.map((spec, i) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: `p${i}`, namespace: 'default' },
    spec,
  }))
  const text = objects.map((one) => JSON.stringify(one)).join('\n---\n')
  const { documents, problems } = parseDocuments(text, { file: 'policies.yaml' })
  const errors = problems.filter(({ severity }) => severity === 'error')
  assert.deepEqual(errors, [], text)
  const offer = { service: 'cart', port: 80, protocol: 'http', address: '127.0.0.1' }
  const view = {
    ...DEFAULT_PROXY,
    capture: { kind: 'explicit' } as const,
    offers: [{ ...offer, listenPort: 1, appAddress: '127.0.0.1', appPort: 2 }],
  }
  const made = translate(buildSnapshot({ documents }), view).listener.get('weft:inbound|80')
  assert.ok(made !== undefined)
  const sent = codec.decode('listener', codec.encode('listener', made))
  assert.ok(sent.ok, JSON.stringify(sent))
  const managers = sent.resource.filterChains.flatMap(({ filter }) =>
    filter.kind === 'http' ? [filter] : [],
  )
  const [first] = managers
  assert.ok(first !== undefined)
  return first
}

let port = 0
let opened: Awaited<ReturnType<typeof openProxy>> | undefined
let app: Awaited<ReturnType<typeof openApp>> | undefined
const agents = new Map<string, Agent>()

before(async () => {
  port = await freePort()
  opened = await openProxy('cart')
  app = await openApp((path) => path)
})

after(async () => {
  for (const agent of agents.values()) agent.destroy()
  app?.server.closeAllConnections()
  app?.server.close()
  await opened?.proxy.close()
})

function publish(manager: HttpConnectionManager): void {
  const listener: Listener = {
    name: 'inbound',
    address: { host: '127.0.0.1', port },
    direction: 'inbound',
    bindToPort: true,
    useOriginalDst: false,
    filterChains: [
      {
        name: 'http',
        match: {
          destinationPrefixes: [],
          sourcePrefixes: [],
          serverNames: [],
          applicationProtocols: [],
        },
        tls: {
          certificates: ['cert'],
          validation: 'ca',
          requireClientCertificate: false,
          alpn: ['http/1.1'],
        },
        filter: { ...manager, routes: { kind: 'inline', table: table([REVIEWS]) } },
      },
    ],
    origins: [],
  }
  const set = setOf({
    listener: [listener],
    route: [],
    cluster: [cluster(REVIEWS)],
    endpoints: [endpoints(REVIEWS, [`127.0.0.1:${app?.port}`], false)],
  })
  opened?.publish({ ...set, secret: new Map(SECRETS.map((secret) => [secret.name, secret])) })
}

function agentOf({ identity }: Call): Agent {
  const key = JSON.stringify(identity ?? null)
  let agent = agents.get(key)
  if (agent === undefined) {
    const { domain = '', namespace = '', account = '' } = identity ?? {}
    const own =
      identity === undefined
        ? undefined
        : ca.issue({ uri: [`spiffe://${domain}/ns/${namespace}/sa/${account}`] })
    agent = new Agent({
      keepAlive: true,
      ca: ca.caPem,
      checkServerIdentity: () => undefined,
      ...(own === undefined ? {} : { cert: own.certPem, key: own.keyPem }),
    })
    agents.set(key, agent)
  }
  return agent
}

function send(call: Call): Promise<{ readonly status: number; readonly body: string }> {
  const { method, host, path, remoteIp, headers } = call
  const lines = Object.entries(headers).flatMap(([name, values]) =>
    values.flatMap((value) => [name, value]),
  )
  const forwarded = remoteIp === '127.0.0.1' ? [] : ['x-forwarded-for', `198.51.100.1, ${remoteIp}`]
  const raw = ['host', host, ...lines, ...forwarded]
  return new Promise((resolve, reject) => {
    request(
      { host: '127.0.0.1', port, method, path, headers: raw, agent: agentOf(call) },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          body += part
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      },
    )
      .on('error', reject)
      .end()
  })
}

test(`who gets through is who may: ${ROUNDS} sets of policies × 16 callers (seed ${SEED})`, async () => {
  let denied = 0
  let allowed = 0
  for (let round = 0; round < ROUNDS; round++) {
    const written = policies()
    publish(managerFor(written))
    for (const call of calls()) {
      const expected = isAllowed(written, call)
      const { status, body } = await send(call)
      const told = `round ${round}: ${JSON.stringify(call)}\n${JSON.stringify(written, null, 1)}`
      assert.equal(status, expected ? 200 : 403, told)
      if (expected) {
        allowed++
        assert.equal(body, call.path, 'the application sees the path that was judged')
      } else {
        denied++
        assert.equal(body, 'RBAC: access denied')
      }
    }
  }
  // A matrix in which everything has one answer says nothing.
  assert.ok(allowed > ROUNDS && denied > ROUNDS, `${allowed} allowed, ${denied} denied`)
})
