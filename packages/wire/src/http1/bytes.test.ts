import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { endOfValue, FIELD_VALUE, foursIn } from './bytes.ts'

/** Mostly what values are made of, with every other byte now and then. */
const byte = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) },
  { weight: 1, arbitrary: fc.integer({ min: 0x80, max: 0xff }) },
  { weight: 1, arbitrary: fc.constantFrom(0x09, 0x0a, 0x0d, 0x1f, 0x7f, 0xff, 0x00) },
)

test('a value ends at the same byte wherever it lies in memory', () => {
  fc.assert(
    fc.property(
      fc.array(byte, { maxLength: 80 }),
      fc.nat(9),
      fc.nat(7),
      fc.nat(7),
      (value, before, offset, behind) => {
        const memory = new Uint8Array(offset + before + value.length + behind).fill(0x41)
        memory.set(value, offset + before)
        // `offset` moves where the memory begins, `before` where the value does.
        const bytes = memory.subarray(offset)
        const end = before + value.length
        let expected = before
        while (expected < end && FIELD_VALUE[bytes[expected] as number] === 1) expected++
        assert.equal(endOfValue(bytes, foursIn(bytes), before, end), expected)
      },
    ),
    { numRuns: 3_000 },
  )
})
