import assert from 'node:assert/strict'
import { test } from 'node:test'
import { documentsOf } from './document.ts'
import { findingsOf, problemsOf, VALID, withValue } from './fixtures.ts'
import { parseDocuments } from './parse.ts'

const ROUTES = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
  - route:
    - destination:
        host: reviews
      wieght: 90
    timeout: 5
`

test('problems carry file, line, column, path, object and what to do', () => {
  const [first, second] = parseDocuments(ROUTES, { file: 'reviews.yaml' }).problems
  assert.deepEqual(first, {
    file: 'reviews.yaml',
    line: 12,
    column: 7,
    path: 'spec.http[0].route[0].wieght',
    severity: 'error',
    code: 'unknown-field',
    message: 'spec.http[0].route[0].wieght: unknown field "wieght"; did you mean "weight"?',
    suggestion: 'weight',
    object: {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      namespace: 'default',
      name: 'reviews',
    },
  })
  assert.equal(second?.line, 13)
  assert.equal(second?.column, 14)
  assert.match(second?.message ?? '', /must be a text, got 5; put it in quotes: "5"/)
})

test('lines are right in any document, with any line ends', () => {
  for (const end of ['\n', '\r\n']) {
    const text = `\uFEFF# comment\n---\n${ROUTES}---\n${ROUTES}`.replaceAll('\n', end)
    const lines = parseDocuments(text, { file: 'x' }).problems.map(({ line }) => line)
    assert.deepEqual(lines, [14, 15, 28, 29])
  }
})

test('a document keeps what was written, with defaults filled in, and knows its lines', () => {
  const text = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r, namespace: web, labels: { a: b } }
spec:
  parentRefs:
  - name: gw
  rules:
  - backendRefs:
    - name: a
      port: 80
`
  const { documents } = parseDocuments(text, { file: 'r.yaml' })
  const [route] = documentsOf(documents, 'HTTPRoute')
  assert.deepEqual(route?.spec, {
    parentRefs: [{ name: 'gw', group: 'gateway.networking.k8s.io', kind: 'Gateway' }],
    rules: [
      {
        matches: [{ path: { type: 'PathPrefix', value: '/' } }],
        backendRefs: [{ name: 'a', port: 80, group: '', kind: 'Service', weight: 1 }],
      },
    ],
  })
  assert.deepEqual(route?.metadata, {
    name: 'r',
    namespace: 'web',
    labels: { a: 'b' },
    annotations: {},
  })
  assert.deepEqual(route?.origin, {
    kind: 'HTTPRoute',
    namespace: 'web',
    name: 'r',
    file: 'r.yaml',
    line: 1,
  })
  assert.equal(route?.lineOf('spec.rules[0].backendRefs[0].port'), 10)
  assert.equal(route?.lineOf('spec.rules[0].matches[0].path'), 8)
})

test('the two Gateways are told apart', () => {
  const objects = [VALID.istioGateway, VALID.kubernetesGateway]
  const text = objects.map((object) => JSON.stringify(object)).join('\n---\n')
  const types = parseDocuments(text, { file: 'x' }).documents.map(({ type }) => type)
  assert.deepEqual(types, ['IstioGateway', 'KubernetesGateway'])
})

test('lists are unfolded, and problems in them keep path and line', () => {
  const items = [VALID.service, withValue(VALID.service, 'spec.ports[0].port', 0), { a: 1 }]
  const list = { apiVersion: 'v1', kind: 'List', items }
  const parsed = parseDocuments(JSON.stringify(list, null, 1), { file: 'x' })
  assert.equal(parsed.documents.length, 1)
  assert.deepEqual(
    parsed.objects.map(({ isValid }) => isValid),
    [true, false],
  )
  const [bad, alien] = parsed.problems.toReversed()
  assert.equal(bad?.path, 'spec.ports[0].port')
  assert.equal(alien?.code, 'not-an-object')
})

test('kinds that the mesh does not read are skipped with a note', () => {
  const text = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: reviews-v1}\n'
  const { skipped, problems, objects } = parseDocuments(text, { file: 'x', defaultNamespace: 'ns' })
  assert.deepEqual([problems, objects], [[], []])
  assert.deepEqual(skipped, [
    {
      object: { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'ns', name: 'reviews-v1' },
      file: 'x',
      line: 1,
      note: 'kind Deployment is not read by the mesh',
    },
  ])
})

test('everything wrong with an object is reported at once', () => {
  let object = withValue(VALID.virtualService, 'spec.hosts[0]', 'bad_host')
  object = withValue(object, 'spec.http[0].timeout', '5')
  object = withValue(object, 'spec.http[0].retrys', { attempts: 1 })
  object = withValue(object, 'spec.http[0].route[0].weight', -90)
  assert.deepEqual(findingsOf(object, 'error').toSorted(), [
    'spec.hosts[0] bad-host',
    'spec.http[0].retrys unknown-field',
    'spec.http[0].route[0].weight out-of-range',
    'spec.http[0].timeout bad-format',
  ])
})

test('fields that nothing acts on yet are warned about, by name', () => {
  const warned = (object: Parameters<typeof problemsOf>[0], at: string) =>
    problemsOf(object).filter(({ path }) => path === at)
  const at = 'spec.sessionAffinity'
  const [warning] = warned(withValue(VALID.service, at, 'ClientIP'), at)
  assert.equal(warning?.severity, 'warning')
  assert.equal(warning?.message, `${at}: accepted, not acted on yet`)
  // A value that asks for what happens anyway.
  assert.deepEqual(warned(withValue(VALID.service, at, 'None'), at), [])
})

test('routes behind a route that takes everything are warned about', () => {
  const all = { route: [{ destination: { host: 'a' } }] }
  const object = withValue(VALID.virtualService, 'spec.http', [
    { match: [{ uri: { prefix: '/a' } }], ...all },
    { match: [{ uri: { prefix: '/a/b' } }, { uri: { prefix: '/c' } }], ...all },
    { match: [{ uri: { exact: '/a/x' }, headers: { x: { exact: '1' } } }], ...all },
    all,
    { match: [{ uri: { prefix: '/d' } }], ...all },
  ])
  assert.deepEqual(findingsOf(object, 'warning'), [
    'spec.http[1].match[0] unreachable-match',
    'spec.http[2].match[0] unreachable-match',
    'spec.http[2] unreachable-route',
    'spec.http[4] unreachable-route',
  ])
})
