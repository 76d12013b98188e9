import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { dispatch } from '../dispatch.ts'
import type { PolicyDiff } from '../policy-diff/policy-diff.ts'
import { fakeTerminal } from '../terminal/fake-terminal.ts'

const MESH = `apiVersion: v1
kind: Service
metadata: {name: pay, namespace: a}
spec: {selector: {app: pay}, ports: [{name: http, port: 80}, {name: tcp-db, port: 5432}]}
---
`
function policy(name: string, spec: object, kind = 'AuthorizationPolicy'): string {
  const metadata = { name, namespace: 'a' }
  return `---\n${JSON.stringify({ apiVersion: 'security.istio.io/v1', kind, metadata, spec })}\n`
}
const paths = (...list: string[]) => ({ rules: [{ to: [{ operation: { paths: list } }] }] })

let dir = ''
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'weft-policy-'))
})
after(() => rm(dir, { recursive: true }))

async function diff(now: string, next: string, ...words: string[]) {
  await writeFile(join(dir, 'now.yaml'), now)
  await writeFile(join(dir, 'next.yaml'), next)
  const terminal = fakeTerminal({ cwd: dir })
  const line = ['policy', 'diff', 'next.yaml', '-f', 'now.yaml', '--json', ...words]
  const exitCode = await dispatch(line, terminal)
  assert.ok(exitCode < 2, terminal.errors())
  const answer: PolicyDiff = JSON.parse(terminal.output())
  assert.deepEqual(answer.gaps, [])
  return { exitCode, changes: answer.changes }
}

const onHttp = ({ protocol }: { readonly protocol: string }) => protocol === 'http'

test('a narrower policy denies what it no longer names, and says by which rule it was allowed', async () => {
  const now = MESH + policy('p', paths('/x*'))
  const { exitCode, changes } = await diff(now, policy('p', paths('/x/*', '/y')))
  assert.equal(exitCode, 1)
  const http = changes.filter(onHttp)
  assert.deepEqual(
    http.map(({ verdict, to, calls }) => [verdict, to, calls]),
    [
      ['allowed', 'a/pay', { path: { of: ['/y'] } }],
      ['denied', 'a/pay', { path: { of: ['/x* but not /x/*'] } }],
    ].toSorted((one) => (one[0] === http[0]?.verdict ? -1 : 1)),
  )
  const denied = http.find(({ verdict }) => verdict === 'denied')
  assert.deepEqual(
    [denied?.before.policy, denied?.before.rule, denied?.after.policy],
    ['a/p', 0, null],
  )
  assert.ok(denied?.ports.includes(80))
})

test('the same change made twice is none; deleting a policy is one', async () => {
  const now = MESH + policy('p', paths('/x*'))
  assert.equal((await diff(now, policy('p', paths('/x*')))).exitCode, 0)
  const gone = await diff(now, policy('p', paths('/x*')), '--delete')
  assert.ok(gone.changes.length > 0)
  assert.ok(gone.changes.every(({ verdict }) => verdict === 'allowed'))
  const replaced = await diff(now, MESH, '--replace')
  assert.deepEqual(replaced.changes, gone.changes)
})

test('strict mutual TLS denies who shows no identity, on every port', async () => {
  const strict = policy('strict', { mtls: { mode: 'STRICT' } }, 'PeerAuthentication')
  const { changes } = await diff(MESH, strict)
  for (const { verdict, calls } of changes) {
    assert.deepEqual([verdict, calls], ['denied', { from: { of: ['no identity'] } }])
  }
  const ports = new Set(changes.flatMap((one) => one.ports))
  assert.deepEqual([...ports].sort(), [5432, 80, 'other'].sort())
})

test('tokens, claims and connections are told apart as well', async () => {
  const issuer = policy(
    'i',
    { jwtRules: [{ issuer: 'https://i', jwksUri: 'https://i/keys' }] },
    'RequestAuthentication',
  )
  const claims = (...values: string[]) => ({
    rules: [{ when: [{ key: 'request.auth.claims[group]', values }] }],
  })
  const now = MESH + issuer + policy('p', claims('admin'))
  const { changes } = await diff(now, policy('p', claims('admin', 'ops')))
  assert.ok(changes.length > 0)
  for (const { verdict, example, calls } of changes.filter(onHttp)) {
    assert.equal(verdict, 'allowed')
    assert.ok('token' in calls)
    assert.match(JSON.stringify(example.jwt), /"group":("ops"|\[.*"ops".*\])/)
  }
  const db = (...ports: string[]) => ({ rules: [{ to: [{ operation: { ports } }] }] })
  const tcp = await diff(MESH + policy('p', db('80')), policy('p', db('80', '5432')))
  assert.deepEqual(
    tcp.changes.map(({ verdict, ports, protocol, calls }) => [verdict, ports, protocol, calls]),
    [['allowed', [5432], 'tcp', {}]],
  )
})

test('for people there is one paragraph a change', async () => {
  await writeFile(join(dir, 'now.yaml'), MESH + policy('p', paths('/x*')))
  await writeFile(join(dir, 'next.yaml'), policy('p', paths('/x*', '/y')))
  const terminal = fakeTerminal({ cwd: dir })
  assert.equal(await dispatch(['policy', 'diff', 'next.yaml', '-f', 'now.yaml'], terminal), 1)
  assert.match(terminal.output(), /^\+ newly allowed {2}a\/pay port 80.*\n {4}path +\/y\n/)
})
