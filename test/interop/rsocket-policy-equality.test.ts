/**
 * One mesh, the same rules twice: for namespace `out`, whose workloads dial out to a broker, and
 * for namespace `side`, whose workloads have sidecars. Random VirtualServices and
 * AuthorizationPolicies must decide every random request alike.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eventually, seededRandom } from '@weft/testkit'
import { askCart, type BrokerMesh, openBrokerMesh } from './rsocket-mesh-fixture.ts'

const NAMESPACES = ['out', 'side'] as const
const ROUNDS = 10
const REQUESTS = 40

const random = seededRandom(20_261)
function pick<const T extends readonly unknown[]>(from: T): T[number] {
  return from[Math.floor(random() * from.length)] ?? from[0]
}
const some = <T>(make: () => T): T[] => (random() < 0.5 ? [make()] : [])

const PATHS = ['/a', '/a/b', '/a/b/c', '/b', '/b/x', '/c?q=1', '/c?q=2', '/a?q=1'] as const
const METHODS = ['GET', 'POST', 'DELETE'] as const
const VALUES = ['red', 'green', 'redder'] as const

let fixture: BrokerMesh
/** Where the caller of each namespace has its HTTP proxy. */
const proxies = { out: 0, side: 0 }

before(async () => {
  fixture = await openBrokerMesh({
    authenticate: async (_leg, { instance }) => ({
      principal: `spiffe://cluster.local/ns/${instance?.namespace}/sa/default`,
      claims: undefined,
    }),
  })
  const { mesh } = fixture
  for (const version of ['v1', 'v2']) {
    const appPort = await startApplication(version)
    await fixture.dialAgent({ app: 'cart', version, namespace: 'out', appPort })
    await mesh.startSidecar(`cart-${version}`, [
      ...['-n', 'side', '--service', 'cart', '--port', '9080', '--version', version],
      ...['--app-port', String(appPort)],
    ])
  }
  const caller = await fixture.dialAgent({ app: 'web', version: 'v1', namespace: 'out' })
  proxies.out = caller.outbound?.port ?? 0
  proxies.side = (await mesh.startSidecar('web-v1', ['-n', 'side', '-l', 'app=web'])).port
})

after(() => fixture[Symbol.asyncDispose]())

function startApplication(version: string): Promise<number> {
  return fixture.serve((request, response) => {
    const { method, url, headers } = request
    const { host = '' } = headers
    const seen = { version, method, url, host, added: headers['x-added'] ?? null }
    response.end(JSON.stringify(seen))
  })
}

interface Wanted {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

/** What the caller hears: status, what the application saw, where it is sent. */
async function ask(port: number, wanted: Wanted): Promise<string> {
  const { status, headers, body } = await askCart(port, wanted)
  const { location = '', 'x-answered': answered = '' } = headers
  // A refusal is the broker's own answer: the route's response headers are not on it.
  const told = status === 200 || status === 418 ? [body, answered] : []
  return [status, location, ...told].join(' | ')
}

// Random rules, as YAML that is JSON.

function uriMatch() {
  return pick([
    { exact: pick(['/a', '/b', '/a/b']) },
    { prefix: pick(['/a', '/b', '/c', '/a/b']) },
    { regex: pick(['/a.*', '/[bc]', '/a/(b|c)']) },
  ])
}

function headerMatch() {
  return pick([{ exact: pick(VALUES) }, { prefix: 'red' }, { regex: pick(['.*e.*', 'gr..n']) }])
}

function match() {
  return {
    ...Object.fromEntries(some(() => ['uri', uriMatch()])),
    ...Object.fromEntries(some(() => ['method', { exact: pick(METHODS) }])),
    ...Object.fromEntries(some(() => ['headers', { 'x-color': headerMatch() }])),
    ...Object.fromEntries(
      random() < 0.2 ? [['queryParams', { q: { exact: pick(['1', '2']) } }]] : [],
    ),
    ...Object.fromEntries(
      random() < 0.2 ? [['sourceLabels', { app: pick(['web', 'other']) }]] : [],
    ),
  }
}

function action() {
  const subset = pick(['v1', 'v2'])
  const route = [{ destination: { host: 'cart', subset } }]
  return pick([
    { route },
    { route, rewrite: { uri: pick(['/r', '/']) } },
    { route, rewrite: { authority: 'elsewhere' } },
    {
      route,
      headers: {
        request: { set: { 'x-added': subset } },
        response: { set: { 'x-answered': 'y' } },
      },
    },
    { route, fault: { abort: { httpStatus: pick([400, 503]), percentage: { value: 100 } } } },
    { directResponse: { status: 418, body: { string: 'teapot' } } },
    { redirect: { uri: '/there', redirectCode: pick([301, 307]) } },
  ])
}

function operation() {
  return {
    ...Object.fromEntries(some(() => ['methods', [pick(METHODS)]])),
    ...Object.fromEntries(some(() => [pick(['paths', 'notPaths']), [pick(['/a*', '/b', '*/x'])]])),
  }
}

function source(namespace: string) {
  return pick([
    { namespaces: [pick([namespace, 'nobody'])] },
    { principals: [`cluster.local/ns/${pick([namespace, 'nobody'])}/sa/default`] },
    { notNamespaces: [pick([namespace, 'nobody'])] },
  ])
}

function rule(namespace: string) {
  return {
    ...Object.fromEntries(some(() => ['from', [{ source: source(namespace) }]])),
    ...Object.fromEntries(
      some(() => ['to', [{ operation: { methods: [pick(METHODS)], ...operation() } }]]),
    ),
    ...Object.fromEntries(
      some(() => ['when', [{ key: 'request.headers[x-color]', values: [pick(VALUES)] }]]),
    ),
  }
}

/** What changes from round to round and is the same in both namespaces but for their names. */
function rulesOf(round: number, namespace: string, made: Made): string {
  const shared = { namespace }
  const marked = [
    { match: [{ uri: { exact: `/deny-${round}/v1` } }], route: toSubset('v1') },
    { match: [{ uri: { exact: `/deny-${round}/v2` } }], route: toSubset('v2') },
    {
      match: [{ uri: { exact: `/round-${round}` } }],
      directResponse: { status: 418, body: { string: String(round) } },
    },
  ]
  const objects = [
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name: 'cart', ...shared },
      spec: {
        host: 'cart',
        subsets: ['v1', 'v2'].map((version) => ({ name: version, labels: { version } })),
      },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'cart', ...shared },
      spec: { hosts: ['cart'], http: [...marked, ...made.http, { route: toSubset('v1') }] },
    },
    policy('marker', namespace, 'DENY', [{ to: [{ operation: { paths: [`/deny-${round}/*`] } }] }]),
    ...made.policies.map(({ kind, rules }, i) => policy(`p${i}`, namespace, kind, rules)),
  ]
  return objects
    .map((each) => JSON.stringify(each))
    .join('\n---\n')
    .replaceAll('NAMESPACE', namespace)
}

function toSubset(subset: string) {
  return [{ destination: { host: 'cart', subset } }]
}

function policy(name: string, namespace: string, kind: string, rules: readonly object[]) {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace },
    spec: { selector: { matchLabels: { app: 'cart' } }, action: kind, rules },
  }
}

interface Made {
  readonly http: readonly object[]
  readonly policies: readonly { readonly kind: string; readonly rules: readonly object[] }[]
}

function make(): Made {
  const http = Array.from({ length: 1 + Math.floor(random() * 5) }, () => ({
    match: Array.from({ length: 1 + Math.floor(random() * 2) }, match),
    ...action(),
  }))
  const policies = Array.from({ length: Math.floor(random() * 3) }, () => ({
    kind: pick(['ALLOW', 'DENY']),
    rules: Array.from({ length: 1 + Math.floor(random() * 3) }, () => rule('NAMESPACE')),
  }))
  return { http, policies }
}

function makeRequest(): Wanted {
  const headers = Object.fromEntries(some(() => ['x-color', pick(VALUES)]))
  return { method: pick(METHODS), path: pick(PATHS), headers }
}

async function inForce(round: number): Promise<void> {
  const get = (path: string) => ({ method: 'GET', path, headers: {} })
  for (const namespace of NAMESPACES) {
    await eventually(async () => {
      const port = proxies[namespace]
      assert.match(await ask(port, get(`/round-${round}`)), new RegExp(`^418 \\|  \\| ${round} `))
      for (const version of ['v1', 'v2']) {
        assert.match(await ask(port, get(`/deny-${round}/${version}`)), /^403/)
      }
    })
  }
}

test('random routes and policies decide alike behind sidecars and behind a broker', async () => {
  const verdicts = new Map<string, number>()
  for (let round = 0; round < ROUNDS; round++) {
    const made = make()
    for (const namespace of NAMESPACES) {
      fixture.mesh.write(`${namespace}.yaml`, rulesOf(round, namespace, made))
    }
    await inForce(round)
    for (let i = 0; i < REQUESTS; i++) {
      const wanted = makeRequest()
      const [out, side] = await Promise.all(NAMESPACES.map((each) => ask(proxies[each], wanted)))
      assert.equal(
        out,
        side,
        `round ${round}: ${JSON.stringify(wanted)} under ${rulesOf(round, 'NAMESPACE', made)}`,
      )
      const status = side?.slice(0, 3) ?? ''
      verdicts.set(status, (verdicts.get(status) ?? 0) + 1)
    }
  }
  // Rules that refuse everything, or nothing, would prove little.
  for (const status of ['200', '403', '418']) {
    assert.ok((verdicts.get(status) ?? 0) > 10, `${status}: ${verdicts.get(status)}`)
  }
})
