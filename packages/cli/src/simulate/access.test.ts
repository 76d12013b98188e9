/** What simulations say of mutual TLS, tokens and policies, from files as people have them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dispatch } from '../dispatch.ts'
import { fakeTerminal } from '../terminal/fake-terminal.ts'
import type { SimulationResult } from './result.ts'

const MESH = `
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: a}
spec:
  clusterIP: 10.96.0.10
  selector: {app: pay}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp-db, port: 5432}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: pay-v1, namespace: a}
spec:
  template:
    metadata: {labels: {app: pay, version: v1}}
    spec: {serviceAccountName: pay, containers: [{name: app, image: app}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: a}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
`
const WEB = 'cluster.local/ns/a/sa/web'

function policy(name: string, spec: object, kind = 'AuthorizationPolicy'): string {
  const metadata = { name, namespace: 'a' }
  return `---\n${JSON.stringify({ apiVersion: 'security.istio.io/v1', kind, metadata, spec })}\n`
}

async function ask(policies: string, call: object, ...words: string[]): Promise<SimulationResult> {
  const terminal = fakeTerminal({ stdin: MESH + policies })
  const line = ['simulate', '-f', '-', '--call', JSON.stringify(call), '--json', ...words]
  assert.equal(await dispatch(line, terminal), 0, terminal.errors())
  return JSON.parse(terminal.output())
}

const atPay = (policies: string, call: object) => ask(policies, call, '--inbound', 'a/pay')

const STRICT = policy('strict', { mtls: { mode: 'STRICT' } }, 'PeerAuthentication')
const ALLOW_WEB = policy('allow-web', {
  selector: { matchLabels: { app: 'pay' } },
  rules: [
    { from: [{ source: { principals: ['x/ns/x/sa/x'] } }] },
    { from: [{ source: { principals: [WEB] } }], to: [{ operation: { paths: ['/x*'] } }] },
  ],
})
const DENY_ADMIN = policy('deny-admin', {
  action: 'DENY',
  rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }],
})

test('an answer names policy, rule, condition and line of what allowed or denied', async () => {
  const allowed = await atPay(ALLOW_WEB, { path: '/x/1', source: { principal: WEB } })
  assert.deepEqual(
    { ...allowed.authorization, because: '', notes: [] },
    {
      decision: 'allow',
      policy: 'a/allow-web',
      rule: 1,
      because: '',
      kind: 'AuthorizationPolicy',
      origin: `<stdin>:${MESH.split('\n').length + 1}`,
      status: null,
      details: null,
      provider: null,
      at: 'a/pay-v1',
      notes: [],
    },
  )
  assert.match(allowed.authorization?.because ?? '', /path begins with "\/x", found "\/x\/1"/)
  const denied = await atPay(ALLOW_WEB + DENY_ADMIN, {
    path: '/x/../admin',
    source: { principal: WEB },
  })
  assert.deepEqual(
    [denied.authorization?.decision, denied.authorization?.policy, denied.authorization?.rule],
    ['deny', 'a/deny-admin', 0],
  )
  assert.equal(
    denied.authorization?.details,
    'rbac_access_denied_matched_policy[ns[a]-policy[deny-admin]-rule[0]]',
  )
  const unmatched = await atPay(ALLOW_WEB, { path: '/y', source: { principal: WEB } })
  assert.equal(unmatched.authorization?.policy, null)
  assert.match(unmatched.authorization?.because ?? '', /no ALLOW policy matches.*found "\/y"/)
})

test('plaintext is refused where mutual TLS is strict, and a principal counts only with it', async () => {
  const strict = await atPay(STRICT, { path: '/x' })
  assert.equal(strict.mtls?.mode, 'STRICT')
  assert.equal(strict.mtls?.policy, 'a/strict')
  assert.equal(strict.mtls?.plaintext, 'refused')
  assert.equal(strict.authorization?.kind, 'PeerAuthentication')
  const known = await atPay(STRICT + ALLOW_WEB, { path: '/x', source: { principal: WEB } })
  assert.deepEqual([known.mtls?.call, known.authorization?.decision], ['mtls', 'allow'])
  const plain = { path: '/x', tls: 'plaintext', source: { principal: WEB } }
  assert.equal((await atPay(ALLOW_WEB, plain)).authorization?.decision, 'deny')
  const off = policy('off', { mtls: { mode: 'DISABLE' } }, 'PeerAuthentication')
  const disabled = await atPay(off + ALLOW_WEB, { path: '/x', source: { principal: WEB } })
  assert.deepEqual([disabled.mtls?.call, disabled.authorization?.decision], ['plaintext', 'deny'])
  const stranger = { path: '/x', source: { principal: 'evil/ns/a/sa/web' } }
  assert.match((await atPay(STRICT, stranger)).authorization?.because ?? '', /evil is not of this/)
  const elsewhere = await atPay(STRICT, { port: 9999 })
  assert.equal(elsewhere.authorization?.decision, 'deny')
})

test('the caller’s side is asked first, and its identity is that of its service account', async () => {
  const result = await ask(ALLOW_WEB, { host: 'pay.a', path: '/x' }, '--from', 'a/web')
  assert.equal(result.cluster, 'outbound|80||pay.a.svc.cluster.local')
  assert.deepEqual(
    [result.authorization?.decision, result.authorization?.at, result.mtls?.mode],
    ['allow', 'a/pay-v1', 'PERMISSIVE'],
  )
  const other = await ask(ALLOW_WEB, { host: 'pay.a', path: '/x' }, '--from', 'a/pay')
  assert.equal(other.authorization?.decision, 'deny')
})

test('a token counts where somebody believes its issuer, whatever keys it has', async () => {
  const rules = (one: object) =>
    policy('tokens', { jwtRules: [{ issuer: 'https://i', ...one }] }, 'RequestAuthentication')
  const admins = policy('admins', {
    rules: [
      {
        from: [{ source: { requestPrincipals: ['https://i/*'] } }],
        when: [{ key: 'request.auth.claims[group]', values: ['admin'] }],
      },
    ],
  })
  const uri = rules({ jwksUri: 'https://i/keys' }) + admins
  const call = (jwt: object) => ({ path: '/', jwt })
  const decisionOf = async (text: string, jwt: object) =>
    (await atPay(text, call(jwt))).authorization
  assert.equal((await decisionOf(uri, { sub: 'u', group: 'admin' }))?.decision, 'allow')
  assert.equal((await decisionOf(uri, { sub: 'u', group: 'user' }))?.decision, 'deny')
  assert.equal((await decisionOf(admins, { sub: 'u', group: 'admin' }))?.decision, 'deny')
  const foreign = await decisionOf(uri, { sub: 'u', group: 'admin', iss: 'https://j' })
  assert.deepEqual([foreign?.decision, foreign?.status], ['deny', 401])
  const expired = await decisionOf(uri, { sub: 'u', group: 'admin', exp: 1 })
  assert.match(expired?.because ?? '', /Jwt is expired/)
  const audience = rules({ jwksUri: 'https://i/keys', audiences: ['pay'] }) + admins
  assert.equal((await decisionOf(audience, { sub: 'u', group: 'admin', aud: 'x' }))?.status, 403)
  const forged = await atPay(uri, { token: 'a.b.c' })
  assert.equal(forged.authorization?.status, 401)
})

test('connections are judged by what a connection has: account, port, server name', async () => {
  const db = policy('db', {
    rules: [
      {
        from: [{ source: { namespaces: ['a'] } }],
        to: [{ operation: { ports: ['5432'] } }],
      },
    ],
  })
  const tcp = (source: object, port = 5432) => ({ protocol: 'tcp', port, source })
  const decisionOf = async (text: string, call: object) =>
    (await atPay(text, call)).authorization?.decision
  assert.equal(await decisionOf(db, tcp({ namespace: 'a' })), 'allow')
  assert.equal(await decisionOf(db, tcp({ namespace: 'b' })), 'deny')
  assert.equal(await decisionOf(db, tcp({ namespace: 'a' }, 5433)), 'deny')
  const sni = policy('sni', {
    rules: [{ when: [{ key: 'connection.sni', values: ['db.example'] }] }],
  })
  const own = { protocol: 'tls', port: 5432 }
  assert.equal(await decisionOf(sni, { ...own, sni: 'db.example' }), 'allow')
  assert.equal(await decisionOf(sni, { ...own, sni: 'other.example' }), 'deny')
})

test('who would be asked is named, and nobody is asked whom nobody knows (R57)', async () => {
  const custom = policy('ask', {
    action: 'CUSTOM',
    provider: { name: 'gate' },
    rules: [{ to: [{ operation: { paths: ['/x'] } }] }],
  })
  const config = `---
apiVersion: v1
kind: Service
metadata: {name: gate, namespace: a}
spec: {clusterIP: 10.96.0.11, ports: [{name: http, port: 9000}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
      - name: gate
        envoyExtAuthzHttp: {service: gate.a.svc.cluster.local, port: 9000}
`
  const asked = (await atPay(custom + config, { path: '/x' })).authorization
  assert.deepEqual([asked?.decision, asked?.provider, asked?.policy], ['custom', 'gate', 'a/ask'])
  assert.match(asked?.because ?? '', /decided by provider gate/)
  const passed = (await atPay(custom + config, { path: '/y' })).authorization
  assert.equal(passed?.decision, 'allow')
  assert.equal((await atPay(custom, { path: '/x' })).authorization?.decision, 'deny')
})

test('what a listener refuses is refused: ambiguous paths, where a policy looks at paths', async () => {
  for (const path of ['/x%2fy', '/a/..;/x', '/%00', '/%zz']) {
    const { authorization } = await atPay(ALLOW_WEB, { path, source: { principal: WEB } })
    assert.deepEqual([authorization?.decision, authorization?.status], ['deny', 400], path)
  }
})
