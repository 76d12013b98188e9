import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accepts, findingsOf, type Json, refuses, VALID, withValue } from '../fixtures.ts'
import { parseDocuments } from '../parse.ts'
import { validateDocuments } from '../validate.ts'

const POLICY = VALID.authorizationPolicy as Json
const SOURCE = 'spec.rules[0].from[0].source'
const OPERATION = 'spec.rules[0].to[0].operation'
const WHEN = 'spec.rules[0].when[0]'

test('a policy with every field is valid, and action ALLOW is meant where none is written', () => {
  assert.deepEqual(findingsOf(POLICY, 'error'), [])
  const bare = withValue(POLICY, 'spec', { rules: [{}] })
  const { documents } = parseDocuments(JSON.stringify(bare), { file: 'a.json' })
  assert.equal(documents[0]?.type === 'AuthorizationPolicy' && documents[0].spec.action, 'ALLOW')
})

test('what Istio refuses is refused, at the field that is wrong', () => {
  refuses(POLICY, [
    ['spec.action', 'allow'],
    ['spec.action', 'LOG'],
    ['spec.rule', [], 'spec.rule'],
    ['spec.targetRefs', [{ kind: 'Service', name: 'a' }], 'spec'],
    ['spec.selector.matchLabels.app', 'a*'],
    ['spec.provider', { name: 'opa' }],
    ['spec.rules[0].from', []],
    ['spec.rules[0].to', []],
    ['spec.rules[0].from[1].source', {}],
    ['spec.rules[0].from[1]', {}, 'spec.rules[0].from[1].source'],
    ['spec.rules[0].from[1].source.principals', ['a'], 'spec.rules[0].from[1].source'],
    ['spec.rules[0].from[1].source.serviceAccounts[0]', 'a/b/c'],
    ['spec.rules[0].from[1].source.serviceAccounts[0]', '*'],
    ['spec.rules[0].to[0].operation', {}],
    [`${SOURCE}.principals[0]`, ''],
    [`${SOURCE}.ipBlocks[0]`, '10.0.0.0/33'],
    [`${SOURCE}.ipBlocks[0]`, '010.0.0.1'],
    [`${SOURCE}.notRemoteIpBlocks[0]`, 'host'],
    [`${OPERATION}.ports[0]`, '65536'],
    [`${OPERATION}.ports[0]`, 'http'],
    [`${OPERATION}.methods[0]`, ''],
    ...['/{*}.txt', '/{**}/{*}', '/*/{*}', '/{name}/{*}', 'a/{*}', '/{**}/{**}'].map(
      (path) => [`${OPERATION}.paths[1]`, path] as const,
    ),
    [`${WHEN}.key`, 'request.headers'],
    [`${WHEN}.key`, 'request.headers[]'],
    [`${WHEN}.key`, 'request.header[a]'],
    [`${WHEN}.key`, 'destination.labels[app]'],
    [`${WHEN}.key`, 'source.port'],
    [`${WHEN}.values`, [], WHEN],
    [`${WHEN}.values[0]`, ''],
    ['spec.rules[0].when[2].values[0]', 'any'],
    ['spec.rules[0].when[3].notValues[0]', '-1'],
  ])
})

test('templates, wildcards and every kind of target are taken', () => {
  accepts(POLICY, [
    [`${OPERATION}.paths`, ['/{*}', '/a/{**}', '/{*}/b/{**}/c', '*', '/a*', '*a']],
    ['spec.selector', undefined],
    ['spec.rules', undefined],
    ['spec.rules', [{}]],
    [`${WHEN}.key`, 'request.auth.claims[a.b/c]'],
    [WHEN, { key: 'source.serviceAccount', values: ['ratings', 'default/web'] }],
  ])
  const targeted = withValue(POLICY, 'spec.selector', undefined)
  const ref = (kind: string, group: string): Json => [{ kind, group, name: 'a' }]
  accepts(targeted, [
    ['spec.targetRefs', ref('Service', '')],
    ['spec.targetRefs', ref('Service', 'core')],
    ['spec.targetRefs', ref('ServiceEntry', 'networking.istio.io')],
    ['spec.targetRefs', ref('Gateway', 'gateway.networking.k8s.io')],
    ['spec.targetRefs', ref('GatewayClass', 'gateway.networking.k8s.io')],
    ['spec.targetRef', { kind: 'Service', name: 'a' }],
  ])
  refuses(targeted, [
    ['spec.targetRefs', ref('Gateway', 'networking.istio.io'), 'spec.targetRefs[0].group'],
    ['spec.targetRefs', ref('Pod', ''), 'spec.targetRefs[0].kind'],
    ['spec.targetRef', { kind: 'Service', name: 'a', namespace: 'b' }, 'spec.targetRef.namespace'],
  ])
})

test('DENY and CUSTOM without rules are mistakes; ALLOW without rules is told, for it denies all', () => {
  const without = withValue(POLICY, 'spec.rules', undefined)
  refuses(without, [
    ['spec.action', 'DENY', 'spec.rules'],
    ['spec.action', 'CUSTOM', 'spec.rules'],
  ])
  assert.ok(findingsOf(without, 'warning').includes('spec denies-all'))
})

test('a CUSTOM policy names its provider and asks for nothing that is not known yet', () => {
  const custom = withValue(withValue(POLICY, 'spec.action', 'CUSTOM'), 'spec.rules', [{}])
  refuses(custom, [['spec.rules', [{}], 'spec.provider.name']])
  const named = withValue(custom, 'spec.provider', { name: 'opa' })
  const principal = { source: { principals: ['a'] } }
  refuses(named, [
    ['spec.rules', [{ from: [principal] }], 'spec.rules[0].from[0].source.principals'],
    [
      'spec.rules',
      [{ when: [{ key: 'request.auth.claims[a]', values: ['b'] }] }],
      'spec.rules[0].when[0].key',
    ],
  ])
  accepts(named, [['spec.rules', [{ to: [{ operation: { paths: ['/admin/*'] } }] }]]])
})

test('a DENY rule about HTTP alone warns that it denies TCP ports altogether, as Istio words it', () => {
  const deny = withValue(POLICY, 'spec.action', 'DENY')
  const warns = (rule: Json) =>
    findingsOf(withValue(deny, 'spec.rules', [rule]), 'warning').includes(
      'spec.rules[0] denies-tcp',
    )
  assert.equal(warns({ to: [{ operation: { paths: ['/a'] } }] }), true)
  assert.equal(warns({ to: [{ operation: { paths: ['/a'], ports: ['80'] } }] }), false)
  assert.equal(warns({ from: [{ source: { requestPrincipals: ['*'] } }] }), true)
  assert.equal(warns({ from: [{ source: { principals: ['*'] } }] }), false)
  assert.equal(warns({}), false)
})

test('values that no request has are told', () => {
  const warnings = (path: string, value: string) =>
    findingsOf(withValue(POLICY, path, value), 'warning')
  assert.deepEqual(warnings(`${OPERATION}.methods[0]`, 'get'), [
    `${OPERATION}.methods[0] no-effect`,
  ])
  assert.deepEqual(warnings(`${OPERATION}.paths[0]`, 'a'), [`${OPERATION}.paths[0] no-effect`])
  assert.deepEqual(warnings(`${OPERATION}.paths[0]`, '/a?b'), [`${OPERATION}.paths[0] no-effect`])
  assert.deepEqual(warnings(`${OPERATION}.paths[0]`, '/a/*/b'), [`${OPERATION}.paths[0] no-effect`])
  assert.deepEqual(warnings(`${SOURCE}.principals[0]`, 'spiffe://a/ns/b/sa/c'), [
    `${SOURCE}.principals[0] no-effect`,
  ])
  assert.deepEqual(warnings(`${SOURCE}.principals[0]`, '*a*'), [
    `${SOURCE}.principals[0] no-effect`,
  ])
})

test('a selector that no workload has, a missing target and a missing namespace are found across objects', () => {
  const text = [
    POLICY,
    withValue(
      withValue(withValue(POLICY, 'metadata.name', 'b'), 'spec.selector', undefined),
      'spec.targetRefs',
      [{ kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'gone' }],
    ),
    withValue(VALID.pod as Json, 'metadata.labels', { app: 'other' }),
    VALID.namespace,
  ]
    .map((one) => JSON.stringify(one))
    .join('\n---\n')
  const found = validateDocuments([{ file: 'a.yaml', text }]).problems.map(
    ({ object, path, code }) => `${object?.name} ${path} ${code}`,
  )
  assert.deepEqual(found, [
    'test spec.selector no-workload',
    `test ${SOURCE}.namespaces[0] missing-namespace`,
    'b spec.targetRefs[0].name missing-target',
    `b ${SOURCE}.namespaces[0] missing-namespace`,
  ])
  const right = text.replace('"app":"other"', '"app":"reviews"')
  const rest = validateDocuments([{ file: 'a.yaml', text: right }]).problems
  assert.ok(!rest.some(({ code }) => code === 'no-workload'))
})
