import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_LOCALITY } from '@weft/model'
import { nativeHost } from './native-hosts.ts'

const kind = (namespace: string, name = 'cart') => ({
  workload: {
    ...{ name, namespace, serviceAccount: 'default', labels: {}, cluster: 'c' },
    locality: NO_LOCALITY,
  },
  services: [{ name, port: 80 }],
})
const all = () => true

test('who is of the caller’s namespace goes first, whoever else offers the name', () => {
  const found = nativeHost([kind('a'), kind('b'), kind('a', 'other')], 'b', all)
  assert.deepEqual(found, { kind: 'one', host: 'cart.b:80' })
})

test('a name from elsewhere is one namespace’s, or of nobody', () => {
  assert.deepEqual(nativeHost([], 'c', all), { kind: 'none' })
  assert.deepEqual(nativeHost([kind('a'), kind('a', 'other')], 'c', all), {
    kind: 'one',
    host: 'cart.a:80',
  })
  assert.deepEqual(nativeHost([kind('b'), kind('a')], 'c', all), {
    kind: 'several',
    namespaces: ['a', 'b'],
  })
})

test('of several, those count that the caller has a route to', () => {
  const onlyA = (host: string) => host === 'cart.a:80'
  assert.deepEqual(nativeHost([kind('b'), kind('a')], undefined, onlyA), {
    kind: 'one',
    host: 'cart.a:80',
  })
  // The refusal then names a host, as that of one alone does.
  assert.equal(nativeHost([kind('b'), kind('a')], 'c', () => false).kind, 'one')
})
