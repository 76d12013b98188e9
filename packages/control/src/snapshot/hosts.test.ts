import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compareHosts, covers, intersectHosts, resolveHost } from './hosts.ts'
import { isVisible } from './visibility.ts'

test('only a name without dots is short', () => {
  const resolve = (host: string) => resolveHost(host, 'shop', 'cluster.local')
  assert.equal(resolve('Reviews'), 'reviews.shop.svc.cluster.local')
  assert.equal(resolve('reviews.other'), 'reviews.other')
  assert.equal(resolve('*'), '*')
  assert.equal(resolve('*.example.com'), '*.example.com')
})

test('a wildcard stands for one label or more, never for none', () => {
  assert.equal(covers('*.example.com', 'a.example.com'), true)
  assert.equal(covers('*.example.com', 'a.b.example.com'), true)
  assert.equal(covers('*.example.com', 'example.com'), false)
  assert.equal(covers('*.example.com', '*.b.example.com'), true)
  assert.equal(covers('a.example.com', '*.example.com'), false)
  assert.equal(covers('*', '*.example.com'), true)
})

test('the intersection of two hosts is the narrower one, whichever comes first', () => {
  const label = fc.constantFrom('a', 'b', 'example', 'com')
  const host = fc
    .tuple(fc.boolean(), fc.array(label, { minLength: 0, maxLength: 3 }))
    .map(([isWild, labels]) =>
      (isWild || labels.length === 0 ? ['*', ...labels] : labels).join('.'),
    )
  fc.assert(
    fc.property(host, host, (a, b) => {
      const common = intersectHosts(a, b)
      assert.equal(common, intersectHosts(b, a))
      if (common === undefined) return
      assert.ok(covers(a, common) && covers(b, common))
      assert.ok(compareHosts(common, a) <= 0 && compareHosts(common, b) <= 0)
    }),
    { seed: 1 },
  )
})

test('exportTo: everybody, the own namespace, named ones, nobody', () => {
  const sees = (exportTo: string[] | undefined, namespace: string) =>
    isVisible(exportTo, ['*'], 'own', namespace)
  assert.equal(sees(undefined, 'any'), true)
  assert.equal(sees(['.'], 'own'), true)
  assert.equal(sees(['.'], 'any'), false)
  assert.equal(sees(['a', 'b'], 'b'), true)
  assert.equal(sees(['~'], 'own'), false)
})
