import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderYaml } from './golden.ts'

test('what is empty is left out, maps are objects, lists keep their order', () => {
  const value = { none: undefined, list: [], a: new Map([['k', [1, { b: true }]]]), text: 'x' }
  assert.equal(renderYaml(value), 'a:\n  k:\n    - 1\n    - b: true\ntext: x\n')
})

test('texts that YAML would read as something else are quoted', () => {
  const texts = [
    'yes',
    '12',
    'a: b',
    'ends:',
    '',
    'say "no"',
    'two\nlines',
    '/path',
    'outbound|80||x',
  ]
  assert.deepEqual(
    texts.map((text) => renderYaml(text).trimEnd()),
    [
      '"yes"',
      '"12"',
      '"a: b"',
      '"ends:"',
      '""',
      `'say "no"'`,
      '"two\\nlines"',
      '/path',
      'outbound|80||x',
    ],
  )
})
