import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { canonicalPath, type PathRules } from './canonical-path.ts'

const NONE: PathRules = { normalizePath: false, mergeSlashes: false }
const BASE: PathRules = { normalizePath: true, mergeSlashes: false }
const MERGE: PathRules = { normalizePath: true, mergeSlashes: true }
const DECODE: PathRules = { ...MERGE, escapedSlashes: 'decode' }
const STRICT: PathRules = { ...MERGE, escapedSlashes: 'reject' }

/** Path as sent, then in each mode; `-`: refused. */
const TABLE: readonly (readonly [string, string, string, string, string, string])[] = [
  ['/a/b', '/a/b', '/a/b', '/a/b', '/a/b', '/a/b'],
  ['/a/../b', '/a/../b', '/b', '/b', '/b', '/b'],
  ['/a/./b/.', '/a/./b/.', '/a/b/', '/a/b/', '/a/b/', '/a/b/'],
  ['/%61%2e%2E/x', '/%61%2e%2E/x', '/a../x', '/a../x', '/a../x', '/a../x'],
  ['/a/%2e%2e/b', '/a/%2e%2e/b', '/b', '/b', '/b', '/b'],
  ['//a///b', '//a///b', '//a///b', '/a/b', '/a/b', '/a/b'],
  ['/a%2fb', '/a%2fb', '/a%2Fb', '/a%2Fb', '/a/b', '-'],
  ['/a%5cb', '/a%5cb', '/a%5Cb', '/a%5Cb', '/a/b', '-'],
  ['/a%2f..%2Fb', '/a%2f..%2Fb', '/a%2F..%2Fb', '/a%2F..%2Fb', '/b', '-'],
  ['/a%252fb', '/a%252fb', '/a%252fb', '/a%252fb', '/a%252fb', '/a%252fb'],
  ['/a/..;/b', '/a/..;/b', '/a/..;/b', '/a/..;/b', '/a/..;/b', '-'],
  ['/a;x=1/b', '/a;x=1/b', '/a;x=1/b', '/a;x=1/b', '/a;x=1/b', '/a;x=1/b'],
  ['/%c0%ae', '/%c0%ae', '/%C0%AE', '/%C0%AE', '/%C0%AE', '-'],
  ['/%e2%82%ac', '/%e2%82%ac', '/%E2%82%AC', '/%E2%82%AC', '/%E2%82%AC', '/%E2%82%AC'],
  ['/../../a', '/../../a', '/a', '/a', '/a', '/a'],
]

test('each level of normalisation does what the ones before it do, and more', () => {
  for (const [sent, ...expected] of TABLE) {
    const found = [NONE, BASE, MERGE, DECODE, STRICT].map((rules) => canonicalPath(sent, rules))
    assert.deepEqual(
      found.map((path) => path ?? '-'),
      expected,
      sent,
    )
  }
})

test('the query is never touched (R51)', () => {
  assert.equal(canonicalPath('/a/../b?x=/../%2f//', DECODE), '/b?x=/../%2f//')
  assert.equal(canonicalPath('/a?%2f', STRICT), '/a?%2f')
})

describe('whatever is sent', () => {
  const piece = fc.constantFrom('/', '.', '..', 'a', '%2e', '%2F', '%5c', '%61', ';', '%25', '%c0')
  const path = fc.array(piece, { maxLength: 12 }).map((parts) => `/${parts.join('')}`)

  test('a second time changes nothing: what one hop forwards, the next one reads alike (R47)', () => {
    fc.assert(
      fc.property(path, fc.constantFrom(BASE, MERGE, DECODE, STRICT), (sent, rules) => {
        const once = canonicalPath(sent, rules)
        if (once !== undefined) assert.equal(canonicalPath(once, rules), once)
      }),
      { seed: 4, numRuns: 2_000 },
    )
  })

  test('the strict form is one that everybody reads alike (R48)', () => {
    fc.assert(
      fc.property(path, (sent) => {
        const strict = canonicalPath(sent, STRICT)
        if (strict === undefined) return
        assert.doesNotMatch(strict, /%2f|%5c|%2e|\/\/|\/\.{1,2}(\/|;|$)/i)
        // An application that decodes once sees the same segments.
        const decoded = strict.replaceAll(/%([0-7][0-9a-f])/gi, (_, hex: string) =>
          String.fromCharCode(Number(`0x${hex}`)),
        )
        assert.equal(decoded.split('/').length, strict.split('/').length)
      }),
      { seed: 5, numRuns: 2_000 },
    )
  })
})
