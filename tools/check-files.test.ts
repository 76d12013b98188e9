import assert from 'node:assert/strict'
import { test } from 'node:test'
import { catalogProblems, fileProblems, MAX_LINES } from './check-files.ts'

test('a file at the limit passes, one line more does not', () => {
  assert.deepEqual(fileProblems('packages/a/src/x.ts', '\n'.repeat(MAX_LINES - 1)), [])
  assert.match(fileProblems('packages/a/src/x.ts', '\n'.repeat(MAX_LINES))[0] ?? '', /split it/)
})

test('the clock is passed in, except at the edges, in tests and in comments', () => {
  const text = 'const now = Date.now()'
  assert.match(fileProblems('packages/proxy/src/x.ts', text)[0] ?? '', /x\.ts:1 uses Date\.now\(/)
  assert.deepEqual(fileProblems('packages/base/src/clock.ts', text), [])
  assert.deepEqual(fileProblems('packages/proxy/src/x.test.ts', text), [])
  assert.deepEqual(fileProblems('packages/proxy/src/x.ts', ' * never Date.now() here'), [])
})

test("a method of a global timer's name is no use of it", () => {
  assert.deepEqual(fileProblems('packages/net/src/stream.ts', '  setTimeout(): this {'), [])
  assert.equal(fileProblems('packages/net/src/stream.ts', '  setTimeout(stop, 5)').length, 1)
})

test('a member that the catalog forgot is named', () => {
  const catalog = "import { a } from './a.ts'\n// not a member: contract.ts\n"
  assert.deepEqual(catalogProblems('catalog.ts', catalog, ['a.ts', 'a.test.ts', 'contract.ts']), [])
  assert.match(catalogProblems('catalog.ts', catalog, ['b.ts'])[0] ?? '', /does not list b\.ts/)
})
