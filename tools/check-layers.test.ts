import assert from 'node:assert/strict'
import { test } from 'node:test'
import { layerProblems } from './check-layers.ts'

const none = new Map<string, string>()

test('a package may depend on what its row names', () => {
  const manifest = { dependencies: { '@weft/base': '0.1.0' } }
  const sources = new Map([['packages/model/src/a.ts', "import { x } from '@weft/base'"]])
  assert.deepEqual(layerProblems('model', manifest, sources), [])
})

test('an upward dependency is a problem', () => {
  const manifest = { dependencies: { '@weft/proxy': '0.1.0' } }
  assert.match(layerProblems('traffic', manifest, none)[0] ?? '', /its layer may not/)
})

test('an undeclared import is a problem, static or dynamic', () => {
  for (const text of ["import { x } from '@weft/net'", "await import('@weft/net')"]) {
    const problems = layerProblems('wire', {}, new Map([['packages/wire/src/a.ts', text]]))
    assert.match(problems[0] ?? '', /does not declare/)
  }
})

test('tests may use devDependencies, sources may not', () => {
  const manifest = { devDependencies: { '@weft/testkit': '0.1.0' } }
  const text = "import { FakeClock } from '@weft/testkit'"
  assert.deepEqual(layerProblems('wire', manifest, new Map([['src/a.test.ts', text]])), [])
  assert.deepEqual(layerProblems('wire', manifest, new Map([['src/a-fixture.ts', text]])), [])
  assert.equal(layerProblems('wire', manifest, new Map([['src/a.ts', text]])).length, 1)
})

test('a package without a row is a problem', () => {
  assert.match(layerProblems('novel', {}, none)[0] ?? '', /add its row/)
})
