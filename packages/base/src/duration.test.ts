import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDurationMs, renderDuration } from './duration.ts'

test('parses what Istio, Kubernetes and Gateway API write', () => {
  for (const [text, ms] of [
    ['1s', 1000],
    ['1.5s', 1500],
    ['100ms', 100],
    ['1h30m', 5_400_000],
    ['0s', 0],
    ['0', 0],
    ['500us', 0.5],
  ] as const) {
    assert.equal(parseDurationMs(text), ms, text)
  }
})

test('refuses bare numbers, signs, blanks and unknown units', () => {
  for (const text of ['5', '', ' 1s', '1s ', '-1s', '+1s', '1d', '1', 's', '1s2', 'Infinity']) {
    assert.equal(parseDurationMs(text), undefined, JSON.stringify(text))
  }
})

test('renders the shortest usual form', () => {
  assert.deepEqual([0, 250, 1500, 120_000, 3_600_000].map(renderDuration), [
    '0ms',
    '250ms',
    '1.5s',
    '2m',
    '1h',
  ])
})
