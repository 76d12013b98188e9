import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { HttpFilterConfig, JwtProvider, JwtRequirement } from '@weft/model'
import { eventually } from '@weft/testkit'
import { type FilteredProxy, filteredProxy } from './filters-fixture.ts'
import { type Issuer, openIssuer, providerOf } from './jwt-authn/issuer-fixture.ts'

const OPTIONAL: JwtRequirement = {
  kind: 'any',
  of: [{ kind: 'provider', name: 'origins-0', audiences: [] }, { kind: 'allowMissing' }],
}

function filterOf(
  providers: readonly JwtProvider[],
  requirement: JwtRequirement = OPTIONAL,
): HttpFilterConfig {
  return {
    kind: 'jwtAuthn',
    authentication: { providers, requirement, named: [], bypassCorsPreflight: true },
  }
}

async function setUp(
  t: TestContext,
  changes: Partial<JwtProvider> = {},
): Promise<{ issuer: Issuer; proxy: FilteredProxy }> {
  const issuer = await openIssuer()
  t.after(() => issuer.close())
  const keys = { kind: 'inline', jwks: issuer.jwks() } as const
  const proxy = await filteredProxy([filterOf([providerOf(issuer, keys, changes)])])
  t.after(() => proxy.close())
  return { issuer, proxy }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

test('without a token a request passes; with a right one it passes without the token', async (t) => {
  const { issuer, proxy } = await setUp(t)
  assert.equal((await proxy.ask('GET')).status, 200)
  assert.equal((await proxy.ask('GET', bearer(issuer.token()))).status, 200)
  assert.equal(proxy.seen().authorization, undefined)
  const inQuery = `/a?x=1&access_token=${issuer.token()}&y=%20`
  assert.equal((await proxy.ask('GET', { ':path': inQuery })).status, 200)
  assert.equal(proxy.seen()[':path'], '/a?x=1&y=%20')
})

test('a token is forwarded where the provider says so', async (t) => {
  const { issuer, proxy } = await setUp(t, { forward: true })
  const token = issuer.token()
  await proxy.ask('GET', bearer(token))
  assert.equal(proxy.seen().authorization, `Bearer ${token}`)
})

for (const [what, claims, header, status, text] of [
  ['that is over', { exp: 1 }, {}, 401, 'Jwt is expired'],
  ['not valid yet', { nbf: 9_999_999_999 }, {}, 401, 'Jwt not yet valid'],
  ['of somebody else', { iss: 'https://evil.example' }, {}, 401, 'Jwt issuer is not configured'],
  ['without an end', { exp: undefined }, {}, 401, 'Jwt has no expiration time'],
  ['for somebody else', { aud: 'other' }, {}, 403, 'Audiences in Jwt are not allowed'],
  ['without algorithm', {}, { alg: 'none' }, 401, 'Jwt header [alg] is not supported'],
  ['with a shared secret', {}, { alg: 'HS256' }, 401, 'Jwt header [alg] is not supported'],
  [
    'by a key that nobody has',
    {},
    { kid: '../../etc/passwd' },
    401,
    "Jwks doesn't have key to match kid or alg from Jwt",
  ],
] as const) {
  test(`R58, R59: a token ${what} is refused in Envoy's words`, async (t) => {
    const { issuer, proxy } = await setUp(t, { audiences: ['shop'] })
    const answer = await proxy.ask('GET', bearer(issuer.token(claims, header)))
    assert.deepEqual([answer.status, answer.body], [status, text])
    assert.match(
      String(answer.headers['www-authenticate']),
      /^Bearer realm="http:\/\/127\.0\.0\.1:\d+\/a", error="invalid_token"$/,
    )
    const details = `jwt_authn_access_denied{${text.replaceAll(' ', '_')}}`
    assert.deepEqual(proxy.records, [{ flags: '-', details }])
    assert.equal(proxy.served(), 0)
  })
}

test('what is no token is refused, not taken for missing', async (t) => {
  const { proxy } = await setUp(t)
  const answer = await proxy.ask('GET', bearer('a.b'))
  assert.equal(answer.status, 401)
  assert.match(answer.body, /^Jwt is not in the form/)
})

test('a required token that is missing is asked for without an error', async (t) => {
  const issuer = await openIssuer()
  t.after(() => issuer.close())
  const provider = providerOf(issuer, { kind: 'inline', jwks: issuer.jwks() })
  const must = { kind: 'provider', name: 'origins-0', audiences: [] } as const
  const proxy = await filteredProxy([filterOf([provider], must)])
  t.after(() => proxy.close())
  const answer = await proxy.ask('GET')
  assert.deepEqual([answer.status, answer.body], [401, 'Jwt is missing'])
  assert.doesNotMatch(String(answer.headers['www-authenticate']), /error/)
  const preflight = { origin: 'https://a.example', 'access-control-request-method': 'GET' }
  assert.equal((await proxy.ask('OPTIONS', preflight)).status, 200)
  assert.equal((await proxy.ask('OPTIONS', { origin: 'https://a.example' })).status, 401)
})

test('every token of a request must be right, wherever it is', async (t) => {
  const from = [
    { kind: 'header', name: 'x-token', prefix: '' },
    { kind: 'query', name: 'token' },
    { kind: 'cookie', name: 'session' },
  ] as const
  const { issuer, proxy } = await setUp(t, { from })
  const good = () => issuer.token()
  const bad = `${issuer.token().slice(0, -8)}AAAAAAAA`
  const places = {
    header: (token: string) => ({ 'x-token': token }),
    query: (token: string) => ({ ':path': `/a?token=${token}` }),
    cookie: (token: string) => ({ cookie: `a=1; session=${token}; b=2` }),
  }
  const all = Object.values(places)
  for (const place of all) {
    assert.equal((await proxy.ask('GET', place(good()))).status, 200)
    const { 'x-token': header, ':path': path, cookie } = proxy.seen()
    assert.equal(header, undefined)
    assert.equal(path, '/a')
    assert.ok(cookie === undefined || cookie === 'a=1; b=2', String(cookie))
    assert.equal((await proxy.ask('GET', place(bad))).status, 401)
  }
  for (const first of all) {
    for (const second of all) {
      if (first === second) continue
      const statuses = [
        await proxy.ask('GET', { ...first(good()), ...second(good()) }),
        await proxy.ask('GET', { ...first(good()), ...second(bad) }),
        await proxy.ask('GET', { ...first(bad), ...second(good()) }),
      ].map(({ status }) => status)
      assert.deepEqual(statuses, [200, 401, 401])
    }
  }
  // Elsewhere is nowhere.
  assert.equal((await proxy.ask('GET', bearer(bad))).status, 200)
})

test('claims go into fields of which the client has none left', async (t) => {
  const { issuer, proxy } = await setUp(t, {
    payloadHeader: 'x-payload',
    claimHeaders: [
      { header: 'x-sub', claim: 'sub' },
      { header: 'x-tenant', claim: 'org.tenant' },
      { header: 'x-roles', claim: 'roles' },
      { header: 'x-none', claim: 'none' },
    ],
  })
  const forged = { 'x-payload': 'f', 'x-sub': 'root', 'x-tenant': 'f', 'x-none': 'f' }
  const fields = ['x-payload', 'x-sub', 'x-tenant', 'x-roles', 'x-none']
  await proxy.ask('GET', forged)
  assert.deepEqual(
    fields.map((name) => proxy.seen()[name]),
    Array(5).fill(undefined),
  )
  const token = issuer.token({ org: { tenant: 7 }, roles: ['a', 'b'] })
  await proxy.ask('GET', { ...forged, ...bearer(token) })
  assert.deepEqual(
    fields.map((name) => proxy.seen()[name]),
    [token.split('.')[1], 'ann', '7', Buffer.from('["a","b"]').toString('base64'), undefined],
  )
  // A claim cannot begin a line of its own.
  await proxy.ask('GET', bearer(issuer.token({ sub: 'a\r\nx-admin: 1' })))
  assert.deepEqual([proxy.seen()['x-sub'], proxy.seen()['x-admin']], [undefined, undefined])
})

async function remote(
  t: TestContext,
  uri = (port: number) => `http://idp.test:${port}/jwks`,
  timeoutMs = 5_000,
) {
  const issuer = await openIssuer()
  t.after(() => issuer.close())
  const keys = {
    kind: 'remote',
    uri: uri(issuer.port),
    cluster: 'idp',
    timeoutMs,
    cacheMs: 300_000,
  } as const
  const more = { idp: issuer.port }
  const proxy = await filteredProxy([filterOf([providerOf(issuer, keys)])], {}, {}, 1, more)
  t.after(() => proxy.close())
  return { issuer, proxy }
}

test('keys are fetched when the first token comes, once for all who wait', async (t) => {
  const { issuer, proxy } = await remote(t)
  assert.equal((await proxy.ask('GET')).status, 200)
  assert.equal(issuer.asked(), 0)
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => proxy.ask('GET', bearer(issuer.token()))),
  )
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  assert.equal(issuer.asked(), 1)
  proxy.publish()
  assert.equal((await proxy.ask('GET', bearer(issuer.token()))).status, 200)
  assert.equal(issuer.asked(), 1, 'a push forgets nothing')
})

test('an issuer is found by its discovery document', async (t) => {
  const { issuer, proxy } = await remote(
    t,
    (port) => `http://idp.test:${port}/.well-known/openid-configuration`,
  )
  assert.equal((await proxy.ask('GET', bearer(issuer.token()))).status, 200)
  assert.equal(issuer.asked(), 2)
})

test('a rotation under load refuses nobody wrongly; R63: a flood of unknown keys asks once', async (t) => {
  const { issuer, proxy } = await remote(t)
  assert.equal((await proxy.ask('GET', bearer(issuer.token()))).status, 200)
  const statuses: number[] = []
  let isOn = true
  const load = Array.from({ length: 8 }, async () => {
    while (isOn) statuses.push((await proxy.ask('GET', bearer(issuer.token()))).status)
  })
  await eventually(() => assert.ok(statuses.length > 50))
  issuer.rotate()
  const before = statuses.length
  await eventually(() => assert.ok(statuses.length > before + 100))
  isOn = false
  await Promise.all(load)
  assert.deepEqual(new Set(statuses), new Set([200]))
  assert.equal(issuer.asked(), 2)
  const flood = Array.from({ length: 50 }, (_, index) =>
    proxy.ask('GET', bearer(issuer.token({}, { kid: `unknown-${index}` }))),
  )
  const refused = (await Promise.all(flood)).map(({ status }) => status)
  assert.deepEqual(new Set(refused), new Set([401]))
  assert.equal(issuer.asked(), 2)
})

test('R62, F29: no keys, no way in', async (t) => {
  for (const failure of [
    { status: 500, body: '' },
    { status: 200, body: '<html>' },
    { status: 200, body: '{"keys":[]}' },
    { status: 200, body: ' '.repeat(10_000_000) },
    { status: 302, body: '' },
  ]) {
    const { issuer, proxy } = await remote(t)
    issuer.failure = failure
    const answer = await proxy.ask('GET', bearer(issuer.token()))
    assert.deepEqual([answer.status, answer.body], [401, 'Jwks remote fetch is failed'])
    assert.equal((await proxy.ask('GET')).status, 200, 'who brings no token is not concerned')
  }
})

test('R62, F29: an issuer that never answers, or is gone, is not waited for longer than it may take', async (t) => {
  const { issuer, proxy } = await remote(t, undefined, 50)
  issuer.failure = 'silence'
  const all = await Promise.all(
    Array.from({ length: 20 }, () => proxy.ask('GET', bearer(issuer.token()))),
  )
  assert.deepEqual(new Set(all.map(({ status }) => status)), new Set([401]))
  assert.equal(issuer.asked(), 1, 'one question for all who wait')
  const gone = await remote(t)
  gone.issuer.close()
  const answer = await gone.proxy.ask('GET', bearer(gone.issuer.token()))
  assert.deepEqual([answer.status, answer.body], [401, 'Jwks remote fetch is failed'])
})

test('F29: what an issuer gave before holds through garbage, 10 MB and silence', async (t) => {
  const { issuer, proxy } = await remote(t)
  assert.equal((await proxy.ask('GET', bearer(issuer.token()))).status, 200)
  for (const failure of [
    { status: 500, body: '' },
    { status: 200, body: '<html>' },
    { status: 200, body: ' '.repeat(10_000_000) },
    'silence',
  ] as const) {
    issuer.failure = failure
    // A key that nobody knows makes it ask again; the known one is believed all the same.
    void proxy.ask('GET', bearer(issuer.token({}, { kid: 'unknown' }))).catch(() => undefined)
    assert.equal((await proxy.ask('GET', bearer(issuer.token()))).status, 200)
  }
})

test('R61: a key set on loopback is not asked for unless somebody declared it', async (t) => {
  const issuer = await openIssuer()
  t.after(() => issuer.close())
  const keys = {
    kind: 'remote',
    uri: `http://127.0.0.1:${issuer.port}/jwks`,
    cluster: `jwks|${issuer.port}|127.0.0.1`,
    timeoutMs: 5_000,
    cacheMs: 300_000,
  } as const
  const proxy = await filteredProxy([filterOf([providerOf(issuer, keys)])])
  t.after(() => proxy.close())
  assert.equal((await proxy.ask('GET', bearer(issuer.token()))).status, 401)
  assert.equal(issuer.asked(), 0)
})

test('two issuers in one place are told apart; one that is not there is refused', async (t) => {
  const a = await openIssuer('https://a.example')
  const b = await openIssuer('https://b.example')
  t.after(() => a.close())
  t.after(() => b.close())
  const names = ['origins-0', 'origins-1'] as const
  const providers = [a, b].map((one, index) =>
    providerOf(one, { kind: 'inline', jwks: one.jwks() }, { name: names[index] ?? '' }),
  )
  const named = names.map((name) => ({ kind: 'provider', name, audiences: [] }) as const)
  // As Istio writes it for several rules.
  const each = named.map((one) => ({ kind: 'any', of: [one, { kind: 'allowMissing' }] }) as const)
  const requirement = { kind: 'any', of: [...named, { kind: 'all', of: each }] } as const
  const proxy = await filteredProxy([filterOf(providers, requirement)])
  t.after(() => proxy.close())
  const status = async (headers: Readonly<Record<string, string>>) =>
    (await proxy.ask('GET', headers)).status
  assert.equal(await status({}), 200)
  assert.equal(await status(bearer(a.token())), 200)
  assert.equal(await status(bearer(b.token())), 200)
  // Each with the other's signature.
  assert.equal(await status(bearer(a.token({ iss: b.issuer }))), 401)
  assert.equal(await status(bearer(b.token({ iss: a.issuer }))), 401)
  assert.equal(await status(bearer(a.token({ iss: 'https://c.example' }))), 401)
})
