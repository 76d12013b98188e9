import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseStrictJson } from './strict-json.ts'

const parse = (text: string, maxDepth = 32) => parseStrictJson(text, { maxDepth })

describe('strict JSON', () => {
  test('is JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify(value)
        assert.deepEqual(parse(text), JSON.parse(text))
        assert.deepEqual(parse(JSON.stringify(value, null, 2)), JSON.parse(text))
      }),
    )
  })

  for (const text of [
    '{"a":1,"a":2}',
    '{"a":1, "\\u0061" : 2}',
    '{"b":{"a":1,"c":[{}],"a":2}}',
    '[{"x":1},{"x":1,"y":{"x":1},"x":3}]',
    '{"__proto__":1,"__proto__":2}',
  ]) {
    test(`has no name twice: ${text}`, () => assert.throws(() => parse(text), /comes twice/))
  }

  test('may have a name in several objects, and a value like a name', () => {
    assert.deepEqual(parse('{"a":{"a":"a"},"b":["a","a"]}'), { a: { a: 'a' }, b: ['a', 'a'] })
    assert.deepEqual(parse('{"a":"{\\"b\\":1,\\"b\\":2}"}'), { a: '{"b":1,"b":2}' })
  })

  test('is not too deep', () => {
    assert.deepEqual(parse('[[[]]]', 3), [[[]]])
    assert.throws(() => parse('[[[[]]]]', 3), /deeper than 3/)
    assert.throws(() => parse('['.repeat(1_000_000)), /deeper than 32/)
  })

  for (const text of [
    '',
    '{',
    '{"a"',
    '"',
    '"\\',
    '{"a":1,}',
    '{a:1}',
    ']',
    '}{',
    '{"a":1}x',
    'NaN',
  ]) {
    test(`is nothing else: ${JSON.stringify(text)}`, () =>
      assert.throws(() => parse(text), SyntaxError))
  }
})
