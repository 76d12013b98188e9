import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ApplyRefused, applyFile, deleteObjects } from './apply.ts'

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'weft-apply-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const rule = (name: string, host: string) =>
  `# about ${name}\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ${name}}\nspec: {host: ${host}}\n`

test('each object gets a file of its own, with its comments', async (t) => {
  const path = folder(t)
  const { ok, objects } = await applyFile(
    path,
    `${rule('a', 'ex')}---\n${rule('b', 'why')}`,
    'in.yaml',
  )
  assert.equal(ok, true)
  assert.deepEqual(
    objects.map(({ outcome }) => outcome),
    ['created', 'created'],
  )
  assert.deepEqual(readdirSync(path).sort(), [
    'destinationrule.default.a.yaml',
    'destinationrule.default.b.yaml',
  ])
  assert.equal(readFileSync(join(path, 'destinationrule.default.a.yaml'), 'utf8'), rule('a', 'ex'))
})

test('nothing is written when anything is invalid', async (t) => {
  const path = folder(t)
  const result = await applyFile(path, `${rule('a', 'ex')}---\n${rule('b', '[1]')}`, 'in.yaml')
  assert.equal(result.ok, false)
  assert.ok(
    result.problems.some(({ severity, file }) => severity === 'error' && file === 'in.yaml'),
  )
  assert.deepEqual(readdirSync(path), [])
})

test('an object that a file of several already holds is changed there, its neighbours stay', async (t) => {
  const path = folder(t)
  const file = join(path, 'mesh.yaml')
  writeFileSync(file, `${rule('a', 'ex')}---\n${rule('b', 'why')}---\n${rule('c', 'zed')}`)
  const { objects } = await applyFile(path, rule('b', 'other'), 'in.yaml')
  assert.deepEqual(objects, [
    { kind: 'DestinationRule', namespace: 'default', name: 'b', outcome: 'configured', file },
  ])
  assert.equal(
    readFileSync(file, 'utf8'),
    `${rule('a', 'ex')}---\n${rule('b', 'other')}---\n${rule('c', 'zed')}`,
  )
  const again = await applyFile(path, rule('b', 'other'), 'in.yaml')
  assert.equal(again.objects[0]?.outcome, 'unchanged')
  assert.deepEqual(readdirSync(path), ['mesh.yaml'])
})

test('deleting takes the object out, and the file with the last one', async (t) => {
  const path = folder(t)
  writeFileSync(join(path, 'mesh.yaml'), `${rule('a', 'ex')}---\n${rule('b', 'why')}`)
  const named = (name: string) => ({ kind: 'DestinationRule', namespace: 'default', name })
  const first = await deleteObjects(path, [named('a'), named('nobody')])
  assert.deepEqual(
    first.deleted.map(({ name }) => name),
    ['a'],
  )
  assert.deepEqual(first.missing, [named('nobody')])
  assert.equal(readFileSync(join(path, 'mesh.yaml'), 'utf8'), rule('b', 'why'))
  await deleteObjects(path, [named('b')])
  assert.deepEqual(readdirSync(path), [])
})

test('items of a List become objects of their own', async (t) => {
  const path = folder(t)
  const list = JSON.stringify({
    apiVersion: 'v1',
    kind: 'List',
    items: ['a', 'b'].map((name) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
      data: { key: name },
    })),
  })
  assert.equal((await applyFile(path, list, 'list.json')).ok, true)
  const written = JSON.parse(readFileSync(join(path, 'configmap.default.b.yaml'), 'utf8'))
  assert.equal(written.data.key, 'b')
  assert.equal((await applyFile(path, list, 'list.json')).objects[0]?.outcome, 'unchanged')
})

test('the two kinds of Gateway do not take each other for the same', async (t) => {
  const path = folder(t)
  const istio =
    'apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}\n'
  const kubernetes =
    'apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec: {gatewayClassName: weft, listeners: [{name: a, port: 80, protocol: HTTP}]}\n'
  await applyFile(path, istio, 'in.yaml')
  await applyFile(path, kubernetes, 'in.yaml')
  assert.equal(readdirSync(path).length, 2)
})

const MIXED = `apiVersion: v1
kind: List
# what the team keeps
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: d}
- apiVersion: networking.istio.io/v1
  kind: DestinationRule
  metadata: {name: broken}
  spec: {host: [1]}
- apiVersion: v1
  kind: Service
  metadata:
    name: a
# not the end of it
  spec:
    ports:
    - port: 80

# the last
- apiVersion: v1
  kind: Service
  metadata: {name: b, finalizers: [keep]}
  spec: {ports: [{port: 81}]}
metadata: {resourceVersion: ""}
`
const SERVICE_A = MIXED.slice(
  MIXED.indexOf('- apiVersion: v1\n  kind: Service'),
  MIXED.indexOf('# the last'),
)
const service = (name: string) => ({ kind: 'Service', namespace: 'default', name })

test('an object leaves its List, the invalid, the unread and all other text stay', async (t) => {
  const path = folder(t)
  const file = join(path, 'list.yaml')
  writeFileSync(file, MIXED)
  const { deleted } = await deleteObjects(path, [service('a')])
  assert.deepEqual(deleted, [{ ...service('a'), file }])
  assert.equal(readFileSync(file, 'utf8'), MIXED.replace(SERVICE_A, ''))
  await deleteObjects(path, [service('b')])
  const rest = readFileSync(file, 'utf8')
  assert.match(rest, /Deployment/)
  assert.match(rest, /host: \[1\]/)
  assert.doesNotMatch(rest, /Service/)
})

test('an object of a List is replaced by one beside the List', async (t) => {
  const path = folder(t)
  const file = join(path, 'list.yaml')
  writeFileSync(file, MIXED)
  const next = 'apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 8080}]}\n'
  assert.equal((await applyFile(path, next, 'in.yaml')).objects[0]?.outcome, 'configured')
  assert.equal(readFileSync(file, 'utf8'), `${MIXED.replace(SERVICE_A, '')}---\n${next}`)
  assert.equal((await applyFile(path, next, 'in.yaml')).objects[0]?.outcome, 'unchanged')
})

test('of a List in JSON everything but the object stays', async (t) => {
  const path = folder(t)
  const file = join(path, 'list.json')
  const others = [
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec: { replicas: 2 } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a', namespace: 'other' }, spec: {} },
    { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { name: 'broken' } },
  ]
  const a = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'a' },
    spec: { ports: [{ port: 80 }] },
  }
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [a, ...others] }))
  await deleteObjects(path, [service('a')])
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), {
    apiVersion: 'v1',
    kind: 'List',
    items: others,
  })
})

test('what cannot leave its List without harm is refused, and nothing is written', async (t) => {
  const path = folder(t)
  const file = join(path, 'list.yaml')
  const text =
    'apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}, {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}]\n'
  writeFileSync(file, text)
  writeFileSync(join(path, 'rule.yaml'), rule('r', 'ex'))
  const named = { kind: 'DestinationRule', namespace: 'default', name: 'r' }
  await assert.rejects(deleteObjects(path, [named, service('a')]), /list\.yaml:3; edit it there/)
  const next = 'apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 81}]}\n'
  await assert.rejects(
    applyFile(path, `${rule('fresh', 'ex')}---\n${next}`, 'in.yaml'),
    ApplyRefused,
  )
  assert.equal(readFileSync(file, 'utf8'), text)
  assert.deepEqual(readdirSync(path).sort(), ['list.yaml', 'rule.yaml'])
})
