import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { applyFile, deleteObjects } from './apply.ts'

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
