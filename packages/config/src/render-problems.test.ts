import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Problem } from './problem.ts'
import { renderProblems } from './render-problems.ts'

const PROBLEM: Problem = {
  file: 'a.yaml',
  line: 2,
  column: 3,
  path: 'spec.x',
  severity: 'error',
  code: 'unknown-field',
  message: 'spec.x: unknown field "x"; remove it',
}

test('place, message, the line of the source and a caret are shown', () => {
  assert.equal(
    renderProblems([PROBLEM], new Map([['a.yaml', 'spec:\r\n  x: 1\r\n']])),
    'a.yaml:2:3: error: spec.x: unknown field "x"; remove it\n  2 |   x: 1\n    |   ^\n',
  )
})

test('without the source, or beyond it, only the message is shown', () => {
  const head = 'a.yaml:2:3: error: spec.x: unknown field "x"; remove it\n'
  assert.equal(renderProblems([PROBLEM], new Map()), head)
  assert.equal(renderProblems([PROBLEM], new Map([['a.yaml', 'spec:']])), head)
})

test('a problem of a whole file has no line', () => {
  const problem: Problem = {
    ...PROBLEM,
    line: 0,
    column: 0,
    code: 'unreadable-file',
    message: 'gone',
  }
  assert.equal(renderProblems([problem], new Map()), 'a.yaml: error: gone\n')
})

test('problems are sorted by file, line and column', () => {
  const at = (file: string, line: number): Problem => ({ ...PROBLEM, file, line })
  const out = renderProblems([at('b', 1), at('a', 9), at('a', 2)], new Map())
  assert.deepEqual(
    out.split('\n').map((line) => line.slice(0, 3)),
    ['a:2', 'a:9', 'b:1', ''],
  )
})

test('characters that a terminal would act on are not passed through', () => {
  const out = renderProblems([PROBLEM], new Map([['a.yaml', '\n  x: \u001b[31m\n']]))
  assert.ok(!out.includes('\u001b'))
})
