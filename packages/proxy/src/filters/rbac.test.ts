/** Authorization in the way of requests: what a client is told, what the log is, what is counted. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { LogScopes, realClock } from '@weft/base'
import type { HttpFilterConfig, Permission, RbacRules, RequestPredicate } from '@weft/model'
import { engineDeps, MANAGER } from '../exchange/engine-fixture.ts'
import { ExchangeFacts } from '../exchange/exchange-facts.ts'
import { filteredProxy } from './filters-fixture.ts'
import type { FilterCall, FilterScope } from './http-filter.ts'
import { rbac } from './rbac.ts'
import { rbacStep } from './rbac-step.ts'

const ANY = { kind: 'any' } as const

function rules(
  action: RbacRules['action'],
  permission: Permission,
  name = 'ns[a]-policy[b]-rule[0]',
) {
  return {
    action,
    policies: [{ name, permissions: [permission], principals: [ANY], origins: [] }],
  } satisfies RbacRules
}

const path = (value: string): RequestPredicate => ({
  kind: 'path',
  value: { kind: 'exact', value, ignoreCase: false },
})
const deny = (value: string): HttpFilterConfig => ({
  kind: 'rbac',
  rules: rules('deny', path(value)),
})
const allow = (permission: Permission): HttpFilterConfig => ({
  kind: 'rbac',
  rules: rules('allow', permission),
})

test('a refused request gets 403 and no reason; the log has the policy', async (t) => {
  const proxy = await filteredProxy([deny('/a')])
  t.after(() => proxy.close())
  const { status, body } = await proxy.ask('GET')
  assert.deepEqual([status, body], [403, 'RBAC: access denied'])
  assert.equal(proxy.served(), 0)
  assert.deepEqual(proxy.records, [
    { flags: '-', details: 'rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]]' },
  ])
})

test('the access log says which condition decided, and the client hears nothing of it', async (t) => {
  const origin = { kind: 'AuthorizationPolicy', namespace: 'a', name: 'b', file: 'p.yaml', line: 7 }
  const named = rules('deny', path('/secret'))
  const policies = named.policies.map((one) => ({ ...one, origins: [origin] }))
  const denying: HttpFilterConfig = { kind: 'rbac', rules: { ...named, policies } }
  const proxy = await filteredProxy([denying, allow(path('/open'))])
  t.after(() => proxy.close())
  const answers = [
    await proxy.ask('GET', { ':path': '/secret' }),
    await proxy.ask('GET', { ':path': '/other' }),
    await proxy.ask('GET', { ':path': '/open' }),
  ]
  assert.deepEqual(
    answers.map(({ status }) => status),
    [403, 403, 200],
  )
  assert.deepEqual(proxy.reasons, [
    'path is "/secret", found "/secret"; AuthorizationPolicy a/b (p.yaml:7)',
    'ns[a]-policy[b]-rule[0]: path is "/open", found "/other"',
    undefined,
  ])
  assert.doesNotMatch(JSON.stringify(answers.slice(0, 2)), /p\.yaml|policy|secret/)
})

test('what no ALLOW policy matches is refused, and nothing at all gets by empty rules (R56)', async (t) => {
  const none = await filteredProxy([allow(path('/other'))])
  const empty = await filteredProxy([{ kind: 'rbac', rules: { action: 'allow', policies: [] } }])
  t.after(async () => {
    await none.close()
    await empty.close()
  })
  for (const proxy of [none, empty]) {
    assert.equal((await proxy.ask('GET')).status, 403)
    assert.equal(proxy.records[0]?.details, 'rbac_access_denied_matched_policy[none]')
  }
})

test('DENY is stronger than ALLOW, and what both let pass reaches the application', async (t) => {
  const proxy = await filteredProxy([deny('/secret'), allow(ANY)])
  t.after(() => proxy.close())
  assert.equal((await proxy.ask('GET', { ':path': '/secret' })).status, 403)
  assert.equal((await proxy.ask('GET', { ':path': '/open' })).status, 200)
  assert.equal(proxy.served(), 1)
})

test('a path is judged as it is forwarded, without its query (R47, R51)', async (t) => {
  const proxy = await filteredProxy([deny('/secret')])
  t.after(() => proxy.close())
  for (const sent of [
    '/x/../secret',
    '/%73ecret',
    '/./secret',
    '/secret?a=/b',
    '/x/%2e%2e/secret',
  ]) {
    assert.equal((await proxy.ask('GET', { ':path': sent })).status, 403, sent)
  }
  assert.equal((await proxy.ask('GET', { ':path': '/secret/../a?b=/secret' })).status, 200)
  assert.equal(proxy.seen()[':path'], '/a?b=/secret')
})

test('strangers do not learn which paths there are: 403 comes before 404', async (t) => {
  const changes = {
    match: {
      path: { kind: 'prefix', value: '/known', ignoreCase: false } as const,
      headers: [],
      query: [],
    },
  }
  const proxy = await filteredProxy([allow(path('/free'))], {}, changes)
  t.after(() => proxy.close())
  assert.equal((await proxy.ask('GET', { ':path': '/unknown' })).status, 403)
  assert.equal((await proxy.ask('GET', { ':path': '/known' })).status, 403)
  assert.equal((await proxy.ask('GET', { ':path': '/free' })).status, 404)
})

test('methods are compared letter by letter (R50)', async (t) => {
  const get: Permission = {
    kind: 'header',
    match: {
      name: ':method',
      value: { kind: 'exact', value: 'GET', ignoreCase: false },
      invert: false,
    },
  }
  const proxy = await filteredProxy([allow(get)])
  t.after(() => proxy.close())
  assert.equal((await proxy.ask('GET')).status, 200)
  assert.equal((await proxy.ask('GETS')).status, 403)
})

test('rules on trial refuse nobody and leave what they would have decided', async (t) => {
  const proxy = await filteredProxy([
    {
      kind: 'rbac',
      shadowRules: rules('deny', ANY, 'trial'),
      shadowStatPrefix: 'istio_dry_run_deny_',
    },
    {
      kind: 'rbac',
      rules: {
        action: 'deny',
        policies: [
          {
            name: 'reads the trial',
            permissions: [
              {
                kind: 'metadata',
                filter: 'envoy.filters.http.rbac',
                path: ['istio_dry_run_deny_shadow_effective_policy_id'],
                value: {
                  kind: 'text',
                  match: { kind: 'exact', value: 'trial', ignoreCase: false },
                },
              },
              path('/other'),
            ],
            principals: [path('/read')],
            origins: [],
          },
        ],
      },
    },
  ])
  t.after(() => proxy.close())
  assert.equal((await proxy.ask('GET')).status, 200)
  assert.equal((await proxy.ask('GET', { ':path': '/read' })).status, 403)
  assert.equal(proxy.records[1]?.details, 'rbac_access_denied_matched_policy[reads_the_trial]')
})

test('ipBlocks is who relays the connection, remoteIpBlocks whom a PROXY header names (as Istio)', () => {
  const verdict = (kind: 'sourceIp' | 'remoteIp', range: string) => {
    const manager = { ...MANAGER, useRemoteAddress: true }
    const scope = { deps: engineDeps(), runtime: { manager } } as unknown as FilterScope
    const { policies } = rules('allow', ANY)
    const own = policies.map((policy) => ({ ...policy, principals: [{ kind, range }] as const }))
    const filter = rbac({ kind: 'rbac', rules: { action: 'allow', policies: own } }, scope)
    const call = {
      request: {
        method: 'GET',
        path: '/',
        scheme: 'http',
        authority: 'a',
        header: () => undefined,
      },
      facts: new ExchangeFacts(),
      peer: {
        remote: { host: '203.0.113.9', port: 1 },
        direct: { host: '10.0.0.7', port: 2 },
        local: { host: '10.0.0.8', port: 3 },
      },
      fieldLines: () => [],
    } as unknown as FilterCall
    return filter?.onRequest(call) === undefined
  }
  assert.deepEqual(
    [verdict('sourceIp', '10.0.0.0/8'), verdict('sourceIp', '203.0.113.0/24')],
    [true, false],
  )
  assert.deepEqual(
    [verdict('remoteIp', '10.0.0.0/8'), verdict('remoteIp', '203.0.113.0/24')],
    [false, true],
  )
})

test('what is cut from a stranger’s request is not believed by a policy (R45)', () => {
  const judge = (useRemoteAddress: boolean, name: string) => {
    const match = { name, value: { kind: 'present' }, invert: false } as const
    const manager = { ...MANAGER, useRemoteAddress }
    const scope = { deps: engineDeps(), runtime: { manager } } as unknown as FilterScope
    const filter = rbac({ kind: 'rbac', rules: rules('allow', { kind: 'header', match }) }, scope)
    const call = {
      request: { method: 'GET', path: '/', scheme: 'http', authority: 'a', header: () => 'said' },
      facts: new ExchangeFacts(),
      peer: { remote: { host: '192.0.2.1', port: 1 }, local: { host: '192.0.2.2', port: 2 } },
      fieldLines: () => ['said'],
    } as unknown as FilterCall
    return filter?.onRequest(call) === undefined
  }
  const forged = [
    'x-envoy-peer',
    'x-weft-peer',
    'x-forwarded-client-cert',
    'x-real-ip',
    'forwarded',
  ]
  for (const name of forged) {
    assert.equal(judge(true, name), false, name)
    assert.equal(judge(false, name), true, name)
  }
  assert.equal(judge(true, 'x-tier'), true)
})

const CALLER = {
  sourceIp: '10.0.0.1',
  remoteIp: '10.0.0.1',
  destinationIp: '10.0.0.2',
  destinationPort: 80,
  serverName: undefined,
  principals: ['spiffe://cluster.local/ns/a/sa/b'],
}

test('decisions are counted under the names that Envoy has for them', () => {
  const counted: string[] = []
  const filterStats = {
    counter: (_owner: unknown, leaf: string) => () => void counted.push(leaf),
    gauge: () => () => {},
  }
  const logs = new LogScopes(() => {}, realClock.nowMs)
  const deps = { log: logs.logger('test'), clock: realClock, filterStats }
  const filter = {
    rules: rules('allow', ANY),
    shadowRules: rules('deny', ANY),
    shadowStatPrefix: 'istio_dry_run_deny_',
  }
  const step = rbacStep(filter, { kind: 'http', name: 'inbound' }, deps)
  assert.deepEqual(step.judge(CALLER), {
    shadow: { allowed: false, policy: 'ns[a]-policy[b]-rule[0]' },
  })
  assert.deepEqual(counted, ['rbac.istio_dry_run_deny_shadow_denied', 'rbac.allowed'])
})

test('the log says which rule decided and why, but no flood of calls floods it', () => {
  const lines: string[] = []
  const logs = new LogScopes((line) => void lines.push(JSON.stringify(line)), realClock.nowMs)
  const clock = { ...realClock, monotonicMs: () => 500 }
  const step = rbacStep(
    { rules: rules('deny', { kind: 'destinationPort', from: 80, to: 80 }) },
    { kind: 'network', name: 'tcp' },
    { log: logs.logger('test'), clock },
  )
  for (let i = 0; i < 1_000; i++) step.judge(CALLER)
  assert.match(lines[0] ?? '', /ns\[a\]-policy\[b\]-rule\[0\]/)
  assert.match(lines[0] ?? '', /destination port is 80, found 80/)
  assert.match(lines[0] ?? '', /spiffe:\/\/cluster\.local\/ns\/a\/sa\/b/)
  assert.equal(lines.length, 20)
})

test('a tunnel that ends here is judged like any request, and so is what comes through it', async (t) => {
  const settings = { upgrades: ['connect'] }
  const shut = await filteredProxy([allow(path('/open'))], {}, {}, 1, {}, settings)
  const open = await filteredProxy([deny('/secret')], {}, {}, 1, {}, settings)
  t.after(async () => {
    await shut.close()
    await open.close()
  })
  const say = (port: number, ...parts: readonly string[]): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1')
      let heard = ''
      let sent = 0
      socket.setEncoding('latin1').on('data', (text: string) => {
        heard += text
        const next = parts[++sent]
        if (next === undefined) socket.destroy()
        else socket.write(next)
      })
      socket.once('close', () => resolve(heard)).on('error', () => {})
      socket.write(parts[0] ?? '')
    })
  const tunnel = 'CONNECT app:80 HTTP/1.1\r\nHost: app:80\r\n\r\n'
  const get = (at: string) => `GET ${at} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n`
  assert.match(await say(shut.port, tunnel), /^HTTP\/1\.1 403 /)
  assert.match(
    await say(open.port, tunnel, get('/secret')),
    /^HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 403 /,
  )
  assert.equal(shut.served() + open.served(), 0)
  assert.match(await say(open.port, tunnel, get('/open')), /^HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 200 /)
  assert.equal(open.served(), 1)
})
