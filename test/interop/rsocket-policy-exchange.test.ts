/**
 * The same rules for workloads behind a broker (`out`) and behind sidecars (`side`), for what takes
 * more than a look at the request: time limits, repeats, tokens and limits decide alike.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { realClock } from '@weft/base'
import { eventually, seededRandom } from '@weft/testkit'
import { askCart, type BrokerMesh, openBrokerMesh } from './rsocket-mesh-fixture.ts'

const NAMESPACES = ['out', 'side'] as const
const ROUNDS = 10
const REQUESTS = 24
const ISSUER = 'https://issuer.example'

const random = seededRandom(4_711)
function pick<const T extends readonly unknown[]>(from: T): T[number] {
  return from[Math.floor(random() * from.length)] ?? from[0]
}

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const strangers = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwks = JSON.stringify({
  keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256' }],
})

function token(claims: object, key: KeyObject = keys.privateKey): string {
  const pack = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const exp = Math.floor(realClock.nowMs() / 1_000) + 600
  const all = { iss: ISSUER, sub: 'ann', aud: 'shop', exp, ...claims }
  const text = `${pack({ alg: 'ES256', kid: 'k' })}.${pack(all)}`
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

const TOKENS: readonly (string | undefined)[] = [
  undefined,
  undefined,
  token({ group: 'admin' }),
  token({ group: 'guest' }),
  token({ sub: 'bob', group: ['guest', 'admin'] }),
  token({ exp: 1 }),
  token({ iss: 'https://elsewhere.example' }),
  token({ aud: 'other' }),
  token({}, strangers.privateKey),
  'no-token',
]

let fixture: BrokerMesh
const proxies = { out: 0, side: 0 }
/** How often the applications have seen a request, by its id. */
const tries = new Map<string, number>()

before(async () => {
  fixture = await openBrokerMesh({
    authenticate: async (_leg, { instance }) => ({
      principal: `spiffe://cluster.local/ns/${instance?.namespace}/sa/default`,
      claims: undefined,
    }),
  })
  const appPort = await startApplication()
  await fixture.dialAgent({ app: 'cart', version: 'v1', namespace: 'out', appPort })
  await fixture.mesh.startSidecar('cart-v1', [
    ...['-n', 'side', '--service', 'cart', '--port', '9080', '--version', 'v1'],
    ...['--app-port', String(appPort)],
  ])
  const caller = await fixture.dialAgent({ app: 'web', version: 'v1', namespace: 'out' })
  proxies.out = caller.outbound?.port ?? 0
  proxies.side = (await fixture.mesh.startSidecar('web-v1', ['-n', 'side', '-l', 'app=web'])).port
})

after(() => fixture[Symbol.asyncDispose]())

/** Fails as often as `x-fail` says with `x-status`, or does not answer at all; then it answers. */
function startApplication(): Promise<number> {
  return fixture.serve((request, response) => {
    const { headers } = request
    const text = (name: string) => String(headers[name] ?? '')
    const seen = (tries.get(text('x-id')) ?? 0) + 1
    tries.set(text('x-id'), seen)
    if (seen <= Number(text('x-fail'))) {
      if (text('x-status') === 'silence') return
      response.writeHead(Number(text('x-status'))).end('failed')
      return
    }
    response.setHeader('x-shade', 'dark')
    const shown = {
      seen,
      subject: headers['x-subject'] ?? null,
      token: headers.authorization ?? null,
    }
    response.end(JSON.stringify(shown))
  })
}

let asked = 0

async function ask(namespace: (typeof NAMESPACES)[number], wanted: Wanted): Promise<string> {
  const id = `${namespace}-${++asked}`
  const { status, headers, body } = await askCart(proxies[namespace], {
    ...wanted,
    headers: { ...wanted.headers, 'x-id': id },
  })
  const { 'x-answered': answered = '', 'www-authenticate': challenge = '' } = headers
  const limit = [headers['x-ratelimit-limit'], headers['x-envoy-ratelimited']].join(' ')
  const text = status === 200 || status === 401 || status === 403 || status === 429 ? body : ''
  // When time is over on both ends of a sidecar's call at once, either may say it first.
  if (wanted.headers['x-status'] === 'silence') return [status, text].join(' | ')
  return [status, text, answered, challenge, limit, `tries ${tries.get(id) ?? 0}`].join(' | ')
}

interface Wanted {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

function makeRequest(path: string): Wanted {
  const shown = pick(TOKENS)
  return {
    method: pick(['GET', 'POST']),
    path,
    headers: {
      ...(random() < 0.3 ? { 'idempotency-key': '1' } : {}),
      ...(random() < 0.6
        ? { 'x-fail': String(pick([1, 2, 3])), 'x-status': pick(['500', '503', '409']) }
        : random() < 0.1
          ? { 'x-fail': '100', 'x-status': 'silence' }
          : {}),
      ...(shown === undefined ? {} : { authorization: `Bearer ${shown}` }),
    },
  }
}

const PATHS = ['/one', '/two'] as const

function makeRoutes(): readonly object[] {
  return PATHS.map((path) => {
    const attempts = pick([0, 1, 2, 3])
    return {
      match: [{ uri: { exact: path } }],
      // Long beside what pauses between tries come to: who is slower must not decide.
      timeout: pick(['1s', '1.5s']),
      retries: {
        attempts,
        ...(attempts === 0
          ? {}
          : {
              retryOn: pick([
                '5xx',
                'gateway-error',
                'retriable-4xx',
                '409,503',
                'connect-failure',
              ]),
              ...(random() < 0.6 ? { perTryTimeout: pick(['0.3s', '0.4s']) } : {}),
            }),
      },
      headers: { response: { set: { 'x-answered': path } } },
      route: [{ destination: { host: 'cart' } }],
    }
  })
}

function makeRule() {
  return pick([
    { from: [{ source: { requestPrincipals: ['*'] } }] },
    { from: [{ source: { requestPrincipals: [`${ISSUER}/ann`] } }] },
    { when: [{ key: 'request.auth.claims[group]', values: ['admin'] }] },
    { from: [{ source: { notRequestPrincipals: ['*'] } }] },
    { when: [{ key: 'request.auth.audiences', values: ['shop'] }] },
  ])
}

function makePolicies(): readonly object[] {
  const selector = { matchLabels: { app: 'cart' } }
  const authentication = {
    apiVersion: 'security.istio.io/v1',
    kind: 'RequestAuthentication',
    metadata: { name: 'cart' },
    spec: {
      selector,
      jwtRules: [
        {
          ...{ issuer: ISSUER, jwks, audiences: ['shop'] },
          forwardOriginalToken: pick([true, false]),
          outputClaimToHeaders: [{ header: 'x-subject', claim: 'sub' }],
        },
      ],
    },
  }
  const rules = Array.from({ length: 1 + Math.floor(random() * 2) }, makeRule)
  const authorization = {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'cart' },
    spec: { selector, action: pick(['ALLOW', 'DENY']), rules },
  }
  return random() < 0.25 ? [] : random() < 0.3 ? [authentication] : [authentication, authorization]
}

function write(round: string, routes: readonly object[], policies: readonly object[]): string {
  const marker = {
    match: [{ uri: { exact: `/round-${round}` } }],
    directResponse: { status: 418 },
  }
  const virtualService = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'cart' },
    spec: {
      hosts: ['cart'],
      http: [marker, ...routes, { route: [{ destination: { host: 'cart' } }] }],
    },
  }
  // Who answers shows by the refusal that its rules are the round's.
  const refusal = {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'marker' },
    spec: {
      selector: { matchLabels: { app: 'cart' } },
      action: 'DENY',
      rules: [{ to: [{ operation: { paths: [`/deny-${round}`] } }] }],
    },
  }
  const objects = [virtualService, refusal, ...policies]
  for (const namespace of NAMESPACES) {
    const own = objects.map((each) =>
      JSON.stringify(withNamespace(each, namespace)).replaceAll('NAMESPACE', namespace),
    )
    fixture.mesh.write(`${namespace}.yaml`, own.join('\n---\n'))
  }
  return objects.map((each) => JSON.stringify(each)).join('\n')
}

function withNamespace(object: object, namespace: string): object {
  const metadata = 'metadata' in object ? object.metadata : {}
  return { ...object, metadata: { ...(metadata as object), namespace } }
}

async function inForce(round: string): Promise<void> {
  for (const namespace of NAMESPACES) {
    await eventually(async () => {
      const plain = { method: 'GET', headers: {} }
      assert.match(await ask(namespace, { ...plain, path: `/round-${round}` }), /^418/)
      assert.match(await ask(namespace, { ...plain, path: `/deny-${round}` }), /^403/)
    })
  }
}

test('random time limits, repeats and tokens decide alike behind sidecars and behind a broker', async () => {
  const verdicts = new Map<string, number>()
  let repeated = 0
  for (let round = 0; round < ROUNDS; round++) {
    const rules = write(String(round), makeRoutes(), makePolicies())
    await inForce(String(round))
    for (let i = 0; i < REQUESTS; i++) {
      const wanted = makeRequest(pick(PATHS))
      const [out, side] = await Promise.all(NAMESPACES.map((each) => ask(each, wanted)))
      assert.equal(out, side, `round ${round}: ${JSON.stringify(wanted)} under ${rules}`)
      const status = side?.slice(0, 3) ?? ''
      verdicts.set(status, (verdicts.get(status) ?? 0) + 1)
      if (/tries [2-9]/.test(side ?? '')) repeated++
    }
  }
  for (const status of ['200', '401', '403', '504']) {
    assert.ok((verdicts.get(status) ?? 0) > 4, `${status}: ${verdicts.get(status)}`)
  }
  assert.ok(repeated > 4, `${repeated} repeated`)
})

test('a limit of requests lets as many through behind a broker as behind a sidecar', async () => {
  const limit = {
    apiVersion: 'weft.io/v1',
    kind: 'RateLimit',
    metadata: { name: 'cart' },
    spec: {
      selector: { matchLabels: { app: 'cart' } },
      limits: [
        { requests: 3, per: '1h', match: { path: { prefix: '/few' } } },
        { requests: 20, per: '1h' },
      ],
      headers: true,
    },
  }
  write('limit', [], [limit])
  await inForce('limit')
  for (const path of ['/few', '/few', '/few', '/few', '/few', '/many', '/few', '/many']) {
    const wanted = { method: 'GET', path, headers: {} }
    const [out, side] = await Promise.all(NAMESPACES.map((each) => ask(each, wanted)))
    assert.equal(out, side, path)
  }
  const last = { method: 'GET', path: '/few', headers: {} }
  assert.match(await ask('out', last), /^429 \| local_rate_limited/)
})

/**
 * Limits that do not share buckets: what one of them counts tells nothing of the others.
 *
 * @param name A refusal of the same one holds for a second, in each proxy from another time on.
 */
function makeLimit(name: string): object {
  const limits = PATHS.map((prefix) => ({
    requests: pick([1, 2, 3]),
    per: '1h',
    match: { path: { prefix } },
    ...(random() < 0.5 ? { by: [{ type: 'Header', name: 'x-color', countAbsent: true }] } : {}),
  }))
  return {
    apiVersion: 'weft.io/v1',
    kind: 'RateLimit',
    metadata: { name },
    spec: {
      selector: { matchLabels: { app: 'cart' } },
      ...{ mode: 'Global', limits, status: pick([429, 503]), headers: pick([true, false]) },
    },
  }
}

test('random limits that the control plane counts let the same calls through', async () => {
  const statuses = new Map<string, number>()
  for (let round = 0; round < 4; round++) {
    const rules = write(`global-${round}`, [], [makeLimit(`cart-${round}`)])
    await inForce(`global-${round}`)
    for (let i = 0; i < 12; i++) {
      const color = pick(['red', 'blue', ''])
      const headers = color === '' ? {} : { 'x-color': color }
      const wanted = { method: 'GET', path: pick([...PATHS, '/free']), headers }
      const [out, side] = await Promise.all(NAMESPACES.map((each) => ask(each, wanted)))
      assert.equal(out, side, `round ${round}: ${JSON.stringify(wanted)} under ${rules}`)
      const status = side?.slice(0, 3) ?? ''
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const passed = statuses.get('200') ?? 0
  assert.ok(passed > 8 && passed < 44, `${passed} passed`)
})

test('the access log has the same lines behind a broker as behind a sidecar', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-lines-'))
  const file = (namespace: string) => join(folder, `${namespace}.log`)
  try {
    const format = {
      json: {
        line: '%REQ(:METHOD)% %REQ(:PATH)% %REQ(:AUTHORITY)% %REQ(X-COLOR)%',
        answer: '%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_CLUSTER% %RESP(:STATUS)%',
        fields: '%RESP(X-SHADE)% %RESP(X-ANSWERED)% %RESP(X-RATELIMIT-LIMIT)% %TRACE_ID%',
      },
    }
    const lines = {
      apiVersion: 'weft.io/v1',
      kind: 'TrafficPolicy',
      metadata: { name: 'lines' },
      spec: {
        selector: { matchLabels: { app: 'cart' } },
        accessLog: { path: file('NAMESPACE'), format },
      },
    }
    const limit = {
      apiVersion: 'weft.io/v1',
      kind: 'RateLimit',
      metadata: { name: 'cart' },
      spec: {
        selector: { matchLabels: { app: 'cart' } },
        limits: [{ requests: 2, per: '1h', match: { path: { prefix: '/third' } } }],
        headers: true,
      },
    }
    const answered = {
      match: [{ uri: { prefix: '/third' } }],
      headers: { response: { set: { 'x-answered': 'third' } } },
      route: [{ destination: { host: 'cart' } }],
    }
    write('log', [answered], [lines, limit])
    await inForce('log')
    const trace = { traceparent: `00-${'a1'.repeat(16)}-${'b2'.repeat(8)}-01` }
    const calls = [
      { method: 'GET', path: '/first?q=1', headers: { 'x-color': 'red' } },
      { method: 'POST', path: '/second', headers: { 'x-fail': '9', 'x-status': '503' } },
      { method: 'GET', path: '/third', headers: trace },
      { method: 'GET', path: '/third', headers: {} },
      { method: 'GET', path: '/third', headers: { 'x-color': 'over' } },
      { method: 'GET', path: '/deny-log', headers: { 'x-color': 'last' } },
    ]
    for (const wanted of calls) for (const namespace of NAMESPACES) await ask(namespace, wanted)
    const written = (namespace: string) =>
      readFileSync(file(namespace), 'utf8')
        .split('\n')
        .filter((line) => /first|second|third|last/.test(line))
    await eventually(() => {
      for (const namespace of NAMESPACES) assert.equal(written(namespace).length, calls.length)
    })
    assert.deepEqual(written('out'), written('side'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})
