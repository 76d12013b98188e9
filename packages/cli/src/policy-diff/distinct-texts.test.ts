import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { distinctTexts } from './distinct-texts.ts'
import { LazyDfa, UnknownPattern } from './lazy-dfa.ts'

function matches(pattern: string, text: string): boolean {
  const dfa = new LazyDfa(pattern)
  let state = dfa.start
  for (const char of text) state = dfa.step(state, char)
  return dfa.accepts(state)
}

test('an automaton matches what the pattern matches', () => {
  const patterns = ['a.*', '.*b', '[^/]+/(x|y)?', '(ab)+', 'a\\.b', '[a-c]*', '/(.+/)?z', '']
  const random = seededRandom(1)
  const letters = 'ab./xyzc'
  for (let i = 0; i < 2_000; i++) {
    const length = Math.floor(random() * 6)
    const text = Array.from({ length }, () => letters[Math.floor(random() * letters.length)]).join(
      '',
    )
    for (const pattern of patterns) {
      const expected = new RegExp(`^(?:${pattern})$`).test(text)
      assert.equal(matches(pattern, text), expected, `${pattern} on "${text}"`)
    }
  }
})

test('what it does not take is said, not guessed', () => {
  for (const pattern of ['a{2}', '\\d', '^a', '(a']) {
    assert.throws(() => new LazyDfa(pattern), UnknownPattern, pattern)
  }
})

test('there is a text for every combination of matches that any text has', () => {
  const patterns = ['/a.*', '.*z', '/a/b', '/[^/]+/b', '.*/.*/.*']
  const { texts, isComplete } = distinctTexts(patterns, '/[a-z/]*')
  assert.equal(isComplete, true)
  const found = new Set(texts.map(({ matched }) => matched.join()))
  assert.equal(found.size, texts.length, 'each once')
  const random = seededRandom(2)
  for (let i = 0; i < 5_000; i++) {
    const length = Math.floor(random() * 7)
    const rest = Array.from({ length }, () => 'abz/q'[Math.floor(random() * 5)]).join('')
    const vector = patterns.map((pattern) => new RegExp(`^(?:${pattern})$`).test(`/${rest}`))
    assert.ok(found.has(vector.join()), `/${rest} has ${vector}`)
  }
})
