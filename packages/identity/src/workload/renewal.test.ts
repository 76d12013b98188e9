import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renewAtMs } from './renewal.ts'

const day = { issuedAtMs: 1_000, notAfterMs: 1_000 + 86_400_000 }

test('a certificate is renewed between 40 and 60 % of its life', () => {
  assert.equal(
    renewAtMs(day, () => 0.5),
    1_000 + 43_200_000,
  )
  assert.equal(
    renewAtMs(day, () => 0),
    1_000 + 34_560_000,
  )
  assert.ok(renewAtMs(day, () => 0.999_999) < 1_000 + 51_840_000)
})
