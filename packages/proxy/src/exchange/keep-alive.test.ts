import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { keepAliveSeconds } from './keep-alive.ts'

function seconds(value: string): number {
  // What is around the value must not be looked at.
  const bytes = Buffer.from(`timeout=9${value}99`, 'latin1')
  return keepAliveSeconds(bytes, 9, 9 + value.length)
}

test('the timeout of Keep-Alive is read wherever it stands', () => {
  assert.equal(seconds('timeout=5'), 5)
  assert.equal(seconds('TimeOut=600, max=100'), 600)
  assert.equal(seconds('max=100, timeout=0'), 0)
  assert.equal(seconds('max=100 timeout=72'), 72)
})

test('a value without a number for the timeout says nothing', () => {
  for (const value of ['', 'timeout', 'timeout=', 'timeout=x', 'xtimeout=5', 'max=5', '5']) {
    assert.equal(seconds(value), -1, value)
  }
})

test('any value is read as the expression for it reads it', () => {
  const part = fc.constantFrom('timeout=', 'TIMEOUT=', 'max=', '5', '1234567', ' ', ',', '\t', 'a')
  const property = fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
    const value = parts.join('')
    const found = /(?:^|[,\s])timeout=(\d{1,6})/i.exec(value)
    assert.equal(seconds(value), found === null ? -1 : Number(found[1]))
  })
  fc.assert(property, { numRuns: 1_000, seed: 7 })
})
