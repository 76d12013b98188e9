/** The requirements of zero trust and of the control plane each have a test that says so by name. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

const FIRST = 38
const LAST = 69
const TESTS = '{packages/*/src,test,tools,bench}/**/*.test.ts'
/** What a comment says proves nothing. */
const COMMENTS = /\/\*[\s\S]*?\*\/|(?<![:'"`\\])\/\/[^\n]*/g

test(`each requirement R${FIRST} to R${LAST} has a test with its number in its name`, () => {
  const named = new Set<string>()
  for (const file of globSync(TESTS, { exclude: ['**/node_modules/**'] })) {
    if (file.endsWith('requirements.test.ts')) continue
    const code = readFileSync(file, 'utf8').replaceAll(COMMENTS, '')
    for (const [id] of code.matchAll(/\bR\d+\b/g)) named.add(id)
  }
  const wanted = Array.from({ length: LAST - FIRST + 1 }, (_, i) => `R${FIRST + i}`)
  assert.deepEqual(
    wanted.filter((id) => !named.has(id)),
    [],
  )
})
