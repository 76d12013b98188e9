import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { readComposite, renderComposite } from './composite-metadata.ts'
import { HOP_ALLOWED, HOP_MIME, readHop, renderHop } from './hop-entry.ts'

test('a hop is one composite entry, its MIME length written as length minus one', () => {
  const entry = renderHop({ endpointId: 'i1', verdict: HOP_ALLOWED, hops: 1 })
  assert.equal(entry[0], 0x14)
  assert.equal(entry.toString('hex', 22), '000005' + '0101' + '026931')
  assert.equal(readComposite(entry)?.[0]?.mime, HOP_MIME)
})

test('what is written in front of other metadata is read back, and where it ends', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 60 }),
      fc.integer({ min: 1, max: 255 }),
      fc.integer({ min: 0, max: 255 }),
      fc.uint8Array({ maxLength: 40 }),
      (endpointId, hops, verdict, rest) => {
        const entry = renderHop({ endpointId, verdict, hops })
        const bytes = Buffer.concat([Buffer.of(0xff), entry, rest])
        assert.deepEqual(readHop(bytes, 1, bytes.length), {
          ...{ endpointId: Buffer.from(endpointId).toString('utf8'), verdict, hops },
          bytes: entry.length,
        })
      },
    ),
  )
})

test('whatever is cut off, too long or something else is no hop', () => {
  const entry = renderHop({ endpointId: 'instance', verdict: HOP_ALLOWED, hops: 1 })
  for (let to = 0; to < entry.length; to++) assert.equal(readHop(entry, 0, to), undefined)
  const longer = Buffer.from(entry)
  longer[entry.length - 9] = 9
  assert.equal(readHop(longer, 0, longer.length), undefined)
  const other = renderComposite([{ mime: 'message/x.weft.hop.v1', content: Buffer.alloc(9) }])
  assert.equal(readHop(other, 0, other.length), undefined)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      readHop(bytes, 0, bytes.length)
    }),
  )
  assert.throws(() => renderHop({ endpointId: 'x'.repeat(256), verdict: 1, hops: 1 }), /255/)
})
