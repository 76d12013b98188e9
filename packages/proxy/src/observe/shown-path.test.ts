import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shownPath } from './shown-path.ts'

test('R75: a token in a query is not shown, wherever it stands; the rest is', () => {
  const cases = [
    ['/a', '/a'],
    ['/a?access_token=secret', '/a?access_token=[redacted]'],
    ['/a?x=1&access_token=secret&y=2', '/a?x=1&access_token=[redacted]&y=2'],
    ['/a?access%5Ftoken=secret', '/a?access%5Ftoken=[redacted]'],
    [
      '/a?access_token=s1&access_token=s2#f',
      '/a?access_token=[redacted]&access_token=[redacted]#f',
    ],
    ['/a?access_token=', '/a?access_token=[redacted]'],
    ['/access_token=x', '/access_token=x'],
    ['/a?my_access_token=1', '/a?my_access_token=1'],
  ] as const
  for (const [path, shown] of cases) assert.equal(shownPath(path), shown)
})
