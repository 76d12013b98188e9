import assert from 'node:assert/strict'
import { test } from 'node:test'
import { validateDocuments } from '../validate.ts'

/** `name path code` of everything that the analysis says about one text. */
function analysed(text: string): readonly string[] {
  const { problems } = validateDocuments([{ file: 'x.yaml', text }])
  assert.ok(!problems.some(({ severity }) => severity === 'error'), JSON.stringify(problems))
  for (const { line } of problems) assert.ok(line > 1, 'a problem has its line')
  return problems
    .filter(({ code }) => code !== 'not-acted-on')
    .map((one) => `${one.object?.name} ${one.path} ${one.code}`)
}

const object = (kind: string, spec: string, name = 'r', group = 'gateway.networking.k8s.io/v1') => `
apiVersion: ${group}
kind: ${kind}
metadata: {name: ${name}}
spec: ${spec}
---`

const GATEWAY = object(
  'Gateway',
  '{gatewayClassName: weft, listeners: [{name: http, port: 80, protocol: HTTP}]}',
  'gw',
)
const SERVICE = `
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {ports: [{name: http, port: 80}]}
---`

test('every kind of route has its parents and backends looked for', () => {
  const refs = 'parentRefs: [{name: gw, sectionName: gone}, {name: none}]'
  for (const [kind, more] of [
    ['HTTPRoute', ''],
    ['GRPCRoute', ''],
    ['TCPRoute', ''],
    ['TLSRoute', ', hostnames: [x.com]'],
  ] as const) {
    const spec = `{${refs}${more}, rules: [{backendRefs: [{name: api, port: 80}, {name: api, port: 81}, {name: gone, port: 80}, {name: api, namespace: other, port: 80}]}]}`
    assert.deepEqual(
      analysed(GATEWAY + SERVICE + object(kind, spec)),
      [
        'r spec.parentRefs[0].sectionName missing-listener',
        'r spec.parentRefs[1].name missing-parent',
        'r spec.rules[0].backendRefs[1].port missing-port',
        'r spec.rules[0].backendRefs[2].name missing-backend',
        'r spec.rules[0].backendRefs[3].namespace reference-not-granted',
        'r spec.rules[0].backendRefs[3].name missing-backend',
      ],
      kind,
    )
  }
})

test('a ListenerSet needs a Gateway that is there and allows it, and routes find its listeners', () => {
  const set = (parent: string) =>
    object(
      'ListenerSet',
      `{parentRef: {name: ${parent}}, listeners: [{name: l, port: 81, protocol: HTTP}]}`,
      'set',
    )
  assert.deepEqual(analysed(GATEWAY + set('gw')), ['set spec.parentRef missing-parent'])
  assert.deepEqual(analysed(GATEWAY + set('none')), ['set spec.parentRef.name missing-parent'])
  const open = GATEWAY.replace('weft,', 'weft, allowedListeners: {namespaces: {from: Same}},')
  const route = (section: string) =>
    object(
      'HTTPRoute',
      `{parentRefs: [{kind: ListenerSet, name: set, sectionName: ${section}}], rules: [{backendRefs: [{name: api, port: 80}]}]}`,
    )
  assert.deepEqual(analysed(open + set('gw') + SERVICE + route('l')), [])
  assert.deepEqual(analysed(open + set('gw') + SERVICE + route('m')), [
    'r spec.parentRefs[0].sectionName missing-listener',
  ])
})

test('listeners that clash, and certificates that are not there, are named', () => {
  const gateway = object(
    'Gateway',
    '{gatewayClassName: weft, listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: TCP}, {name: c, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: gone}, {name: half}]}}, {name: d, port: 443, protocol: TLS, tls: {certificateRefs: [{name: whole}]}}]}',
    'gw',
  )
  const secret = (name: string, data: string) => `
apiVersion: v1
kind: Secret
metadata: {name: ${name}}
stringData: ${data}
---`
  const secrets = secret('half', '{tls.crt: x}') + secret('whole', '{tls.crt: x, tls.key: z}')
  assert.deepEqual(analysed(gateway + secrets), [
    'gw spec.listeners[1].protocol conflicting-gateways',
    'gw spec.listeners[2].tls.certificateRefs[0].name missing-secret',
    'gw spec.listeners[2].tls.certificateRefs[1].name missing-secret',
    'gw spec.listeners[3] conflicting-gateways',
  ])
})

test('policies for backends have their targets and CAs looked for, and their rivals named', () => {
  const tls = (name: string, target: string, ca: string) =>
    object(
      'BackendTLSPolicy',
      `{targetRefs: [{group: "", kind: Service, ${target}}], validation: {hostname: x.com, ${ca}}}`,
      name,
    )
  const system = 'wellKnownCACertificates: System'
  const config = `
apiVersion: v1
kind: ConfigMap
metadata: {name: ca}
data: {other: x}
---`
  assert.deepEqual(
    analysed(
      SERVICE +
        config +
        tls('a', 'name: api', system) +
        tls('b', 'name: api', system) +
        tls('c', 'name: gone', system) +
        tls(
          'd',
          'name: api, sectionName: gone',
          'caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}, {group: "", kind: ConfigMap, name: none}]',
        ),
    ),
    [
      'b spec.targetRefs[0] conflicting-policies',
      'c spec.targetRefs[0].name missing-target',
      'd spec.targetRefs[0].sectionName missing-port',
      'd spec.validation.caCertificateRefs[0].name missing-secret',
      'd spec.validation.caCertificateRefs[1].name missing-secret',
    ],
  )
})

test('a match that another rule has already is unreachable, in one route and across routes', () => {
  const rule = (path: string) =>
    `{matches: [{path: {type: Exact, value: ${path}}, headers: [{name: a, value: "1"}, {name: b, value: "2"}]}], backendRefs: [{name: api, port: 80}]}`
  const turned = rule('/x').replace(
    '{name: a, value: "1"}, {name: b, value: "2"}',
    '{name: b, value: "2"}, {name: a, value: "1"}',
  )
  const route = (name: string, hosts: string, ...rules: readonly string[]) =>
    object(
      'HTTPRoute',
      `{parentRefs: [{name: gw}], hostnames: [${hosts}], rules: [${rules.join(', ')}]}`,
      name,
    )
  const base = GATEWAY + SERVICE
  assert.deepEqual(analysed(base + route('a', 'x.com', rule('/x'), rule('/y'), turned)), [
    'a spec.rules[2].matches[0] unreachable-match',
  ])
  const first = route('a', 'x.com', rule('/x'))
  assert.deepEqual(analysed(base + first + route('b', 'x.com', rule('/x'))), [
    'b spec.rules[0].matches[0] unreachable-match',
  ])
  assert.deepEqual(analysed(base + first + route('b', 'x.com, y.com', rule('/x'))), [])
})
