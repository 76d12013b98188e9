import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EventReader } from './event-reader.ts'

/** As whoever cuts at each of the places would send it. */
function readIn(bytes: Buffer, cuts: readonly number[]): string[] {
  const reader = new EventReader(1_000_000)
  const places = [
    0,
    ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b),
    bytes.length,
  ]
  return places
    .slice(1)
    .flatMap(
      (to, index) => reader.read(bytes.subarray(places[index], to)) ?? [Buffer.from('too long')],
    )
    .map(String)
}

test('events come out however their bytes are cut, with each end of line', () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !/[\r\n]/.test(text))
  const events = fc.array(fc.array(line, { minLength: 1, maxLength: 3 }), { maxLength: 6 })
  const end = fc.constantFrom('\n', '\r\n', '\r')
  fc.assert(
    fc.property(events, end, fc.array(fc.nat(), { maxLength: 8 }), (all, eol, cuts) => {
      const text = all
        .map((one) => [...one.map((each) => `data: ${each}`), '', ''].join(eol))
        .join('')
      // What follows shows that a last carriage return was one.
      const bytes = Buffer.from(`${text}:${eol}`)
      assert.deepEqual(
        readIn(bytes, cuts),
        all.map((one) => one.join('\n')),
      )
    }),
  )
})

test('other fields and notes are passed over, and an end without a blank line is none', () => {
  assert.deepEqual(readIn(Buffer.from(': x\nid: 1\nevent: y\n\ndata\n\ndata: z\n'), []), [''])
})

test('says when an event is too long', () => {
  const reader = new EventReader(10)
  assert.deepEqual(reader.read(Buffer.from('data: 12345\n')), [])
  assert.equal(reader.read(Buffer.from('data: 1234567\n')), undefined)
})
