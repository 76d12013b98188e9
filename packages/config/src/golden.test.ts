/**
 * `golden/<name>/in.yaml` → `out.txt`: what a user reads who runs `weft validate`.
 * After a wanted change: `UPDATE_GOLDEN=1 npm test`, then read the difference.
 */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkGolden } from '@weft/testkit'
import { PROBLEM_CODES } from './problem-codes.ts'
import { renderProblems } from './render-problems.ts'
import { validateDocuments } from './validate.ts'

const FOLDER = new URL('./golden/', import.meta.url)

for (const name of readdirSync(FOLDER)) {
  test(`problems of golden/${name} read as expected`, () => {
    const text = readFileSync(new URL(`${name}/in.yaml`, FOLDER), 'utf8')
    const { problems, skipped } = validateDocuments([{ file: 'in.yaml', text }])
    const notes = skipped.map(
      ({ line, object, note }) => `in.yaml:${line}: skipped ${object.name}: ${note}\n`,
    )
    const out = renderProblems(problems, new Map([['in.yaml', text]])) + notes.join('')
    checkGolden(fileURLToPath(new URL(`${name}/out.txt`, FOLDER)), out)
  })
}

test('every problem code is used by something', () => {
  const sources = readdirSync(new URL('.', import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.includes('problem-codes'))
    .map((file) => readFileSync(new URL(file, import.meta.url), 'utf8'))
    .join('')
  const elsewhere = new Set(['unreadable-file'])
  for (const code of Object.keys(PROBLEM_CODES)) {
    assert.ok(elsewhere.has(code) || sources.includes(`'${code}'`), code)
  }
})
