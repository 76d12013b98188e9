import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { RE2JS } from 're2js'
import { ConfigError } from '../config-error.ts'
import { compileRegex, MAX_PATTERN_LENGTH, regexShape, shapeMatches } from './regex.ts'
import { TextMatcher } from './text-matcher.ts'

describe('compileRegex()', () => {
  for (const pattern of [
    '(',
    '(?=a)',
    'a(?!b)',
    '(a)\\1',
    'a{1001}',
    '((a{100}){100}){100}',
    '[z-a]',
  ]) {
    test(`refuses ${pattern}, which is no RE2 pattern`, () => {
      assert.throws(
        () => compileRegex(pattern, false, 'route "x"'),
        (error) => error instanceof ConfigError && error.where === 'route "x"',
      )
    })
  }

  test('refuses a pattern that is too long or compiles to too much', () => {
    assert.throws(() => compileRegex('a'.repeat(MAX_PATTERN_LENGTH + 1), false, 'x'), /4097/)
    assert.throws(() => compileRegex('(\\pL{0,900}){1}'.repeat(20), false, 'x'), /RE2 instructions/)
  })

  test('a pattern that makes backtracking engines stall takes linear time', () => {
    const regex = compileRegex('(a+)+b', false, 'x')
    // 2^40 steps for a backtracking engine.
    assert.equal(regex.testExact('a'.repeat(40)), false)
    assert.equal(regex.testExact(`${'a'.repeat(10_000)}b`), true)
  })
})

describe('regexShape()', () => {
  const shaped: [string, (string | undefined)[], string][] = [
    ['/productpage', ['/productpage'], 'end'],
    ['^/api/.*$', ['/api/'], 'any'],
    ['.*', [], 'any'],
    ['.+', [], 'some'],
    ['/items/[^/]+', ['/items/', undefined], 'end'],
    ['/items/[^/]+/reviews/[^/]+', ['/items/', undefined, '/reviews/', undefined], 'end'],
    ['/items/[^/]+/.*', ['/items/', undefined, '/'], 'any'],
    ['/v1\\.0/a\\-b', ['/v1.0/a-b'], 'end'],
    ['a\\$', ['a$'], 'end'],
  ]
  for (const [pattern, steps, tail] of shaped) {
    test(`${pattern} needs no automaton`, () => {
      assert.deepEqual(regexShape(pattern), { steps, tail })
    })
  }

  const unshaped = [
    'a|b',
    'a?',
    'a*',
    'ab+',
    'a{2}',
    '(a)',
    '[^/]+x',
    '[^/]+.*',
    '.*x',
    'a.b',
    '\\d+',
    '[^/]*',
    '(?i)a',
    'a.*?',
    '[^/]+[^/]+',
    'a^b',
    'a$b',
    '\\Qa',
    '.*.*',
  ]
  for (const pattern of unshaped) {
    test(`${pattern} is left to the automaton`, () => {
      assert.equal(regexShape(pattern), undefined)
    })
  }

  test('every shape answers as RE2 does, for any text', () => {
    const random = seededRandom(4_242)
    const pick = (list: readonly string[]) => list[Math.floor(random() * list.length)] ?? ''
    const join = (list: readonly string[], most: number) =>
      Array.from({ length: Math.floor(random() * most) }, () => pick(list)).join('')
    const pieces = [
      '/',
      'a',
      'b',
      '\\.',
      '[^/]+',
      '.*',
      '.+',
      '^',
      '$',
      '[^/]+/',
      '/[^/]+',
      '\\/',
      '\\_',
      '\\ ',
      '\\é',
      '\\\\',
    ]
    const texts = ['/', 'a', 'b', '.', '\n', '//', 'ab', '/a', '_', '\\']
    let shapes = 0
    for (let round = 0; round < 4_000; round++) {
      const pattern = join(pieces, 6)
      const shape = regexShape(pattern)
      if (shape === undefined) continue
      shapes++
      const regex = RE2JS.compile(pattern)
      for (let i = 0; i < 12; i++) {
        const text = join(texts, 7)
        assert.equal(
          shapeMatches(shape, text),
          regex.testExact(text),
          `${JSON.stringify(pattern)} on ${JSON.stringify(text)}`,
        )
      }
    }
    assert.ok(shapes > 1_000, `only ${shapes} patterns had a shape`)
  })
})

describe('TextMatcher', () => {
  test('a regex must match the whole text', () => {
    const matcher = new TextMatcher({ kind: 'regex', value: 'b|c+' }, 'x')
    for (const text of ['b', 'c', 'cc']) assert.equal(matcher.matches(text), true, text)
    for (const text of ['ab', 'bc', 'b\n', '']) assert.equal(matcher.matches(text), false, text)
  })

  test('long prefixes compare like short ones', () => {
    for (const length of [1, 47, 48, 49, 300]) {
      const value = `/${'x'.repeat(length)}`
      const matcher = new TextMatcher({ kind: 'prefix', value, ignoreCase: false }, 'x')
      assert.equal(matcher.matches(`${value}/rest`), true)
      assert.equal(matcher.matches(`/y${value.slice(2)}/rest`), false)
      assert.equal(matcher.matches(value.slice(0, -1)), false)
    }
  })

  test('ignoring case folds A to Z and nothing beside them', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
    const fold = (value: string) => new TextMatcher({ kind: 'exact', value, ignoreCase: true }, 'x')
    assert.equal(fold(alphabet).matches(alphabet.toLowerCase()), true)
    assert.equal(fold(alphabet.toLowerCase()).matches(alphabet), true)
    for (const [a, b] of [
      ['@', '`'],
      ['[', '{'],
      ['\u00c4', '\u00e4'],
    ] as const) {
      assert.equal(fold(a).matches(b), false, a)
      assert.equal(fold(b).matches(a), false, b)
    }
  })
})
