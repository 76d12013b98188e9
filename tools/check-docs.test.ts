import assert from 'node:assert/strict'
import { test } from 'node:test'
import { docProblems } from './check-docs.ts'

const files = new Set([
  'docs/a.md',
  'docs/b.md',
  'packages/proxy/src/listen/accept.ts',
  'README.md',
])
const exists = (path: string) => files.has(path)

test('links that resolve and files that exist pass', () => {
  const text =
    'See [b](b.md), [top](../README.md), [web](https://example.org) and `proxy/listen/accept.ts`.'
  assert.deepEqual(docProblems('docs/a.md', text, exists), [])
})

test('a dead link and a file that is gone are named', () => {
  assert.match(docProblems('docs/a.md', '[c](c.md)', exists)[0] ?? '', /links to c\.md/)
  assert.match(docProblems('docs/a.md', '`proxy/listen/gone.ts`', exists)[0] ?? '', /names proxy/)
})

test('code blocks are not read', () => {
  assert.deepEqual(
    docProblems('docs/a.md', '```\n[c](c.md) `proxy/listen/gone.ts`\n```\n', exists),
    [],
  )
})
