import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PATHS_ANNOTATION, readPaths } from './paths.ts'

const of = (text: string) => readPaths({ [PATHS_ANNOTATION]: text })

test('F5: the order of paths, any, and nothing that is neither', () => {
  assert.deepEqual(of('direct, broker'), ['direct', 'broker'])
  assert.deepEqual(of('broker,direct'), ['broker', 'direct'])
  assert.deepEqual(of(' broker '), ['broker'])
  assert.equal(of('any'), 'any')
  for (const bad of ['', 'direct,', 'direct,direct', 'node', 'direct broker', 'any, direct']) {
    assert.equal(of(bad), undefined, bad)
  }
  assert.equal(readPaths({}), undefined)
})
