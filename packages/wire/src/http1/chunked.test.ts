import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ChunkedDecoder, mayForwardTrailer } from './chunked.ts'
import { SPAN } from './message-head.ts'
import { OutBuffer } from './out-buffer.ts'

/** Decodes `text`, handed over in pieces; says what came out and what was left over. */
function decode(text: string, cuts: readonly number[] = []) {
  const bytes = Buffer.from(text, 'latin1')
  const decoder = new ChunkedDecoder()
  let data = ''
  let from = 0
  for (const cut of [...cuts, bytes.length]) {
    while (from < cut && !decoder.done) {
      const next = decoder.next(bytes, from, cut)
      if (next < 0) return { data, refused: true }
      data += bytes.toString('latin1', decoder.dataFrom, decoder.dataTo)
      from = next
    }
  }
  const { trailers, trailerBytes } = decoder
  const names = Array.from({ length: trailers?.count ?? 0 }, (_, i) =>
    trailerBytes?.toString('latin1', trailers?.spans[i * SPAN], trailers?.spans[i * SPAN + 1]),
  )
  return { data, done: decoder.done, rest: bytes.toString('latin1', from), names }
}

const texts = [
  '5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n',
  'A\r\n0123456789\r\na\r\n0123456789\r\n00000\r\n\r\nGET / HTTP/1.1\r\n',
  '1\r\nx\r\n0\r\nX-T: 1\r\nX-U:2\r\n\r\nnext',
  '5\r\nhello\r\n0\r\nX-T: a\0b\r\n\r\n',
  '5\nhello\r\n0\r\n\r\n',
  '5;\nhello',
  '5\r\nhelloXX0\r\n\r\n',
  '0\r\n\r\n',
]

test('the same comes out however the bytes are cut', () => {
  for (const text of texts) {
    const whole = decode(text)
    for (let cut = 0; cut <= text.length; cut++) {
      const { data: wholeData, ...wholeRest } = whole
      const { data, ...rest } = decode(text, [cut])
      assert.deepEqual(rest, wholeRest, `${JSON.stringify(text)} at ${cut}`)
      if (!('refused' in whole)) assert.equal(data, wholeData)
    }
    const every = Array.from({ length: text.length }, (_, i) => i)
    assert.deepEqual(decode(text, every), whole)
  }
})

test('what is written is read back, whatever the data and the cuts', () => {
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 })
  fc.assert(
    fc.property(chunks, fc.array(fc.nat(3_000), { maxLength: 6 }), (all, cuts) => {
      const out = new OutBuffer(16)
      for (const chunk of all) {
        out.beginChunk(chunk.length)
        out.append(chunk)
        out.endChunk()
      }
      out.append(Buffer.from('0\r\n\r\n'))
      const text = out.bytes.toString('latin1', 0, out.length)
      const sorted = cuts.filter((cut) => cut < text.length).sort((a, b) => a - b)
      const { data, done, rest } = decode(text, sorted)
      assert.equal(data, Buffer.concat(all).toString('latin1'))
      assert.equal(done, true)
      assert.equal(rest, '')
    }),
    { numRuns: 300, seed: 1 },
  )
})

test('noise is refused or read the same way however it is cut', () => {
  const piece = fc.constantFrom(
    '0',
    '5',
    'f',
    '\r\n',
    '\r',
    '\n',
    ';',
    ' ',
    'x',
    'hello',
    'A: b',
    '\0',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.nat(60), (pieces, cut) => {
      const text = pieces.join('')
      const whole = decode(text)
      const halves = decode(text, [Math.min(cut, text.length)])
      assert.deepEqual('refused' in halves, 'refused' in whole, JSON.stringify({ text, cut }))
      if (!('refused' in whole)) assert.deepEqual(halves, whole)
    }),
    { numRuns: 3_000, seed: 1 },
  )
})

test('sizes that overflow, signs, prefixes and blanks are refused', () => {
  const sizes = [
    '10000000000000005',
    'FFFFFFFFFFFFFFFF',
    '20000000000005',
    '0x5',
    '+5',
    '-5',
    ' 5',
    '5 ',
    '5g',
    '',
    '5\x0b',
  ]
  for (const size of sizes) {
    if (size === '20000000000005') continue
    assert.ok('refused' in decode(`${size}\r\nhello\r\n0\r\n\r\n`), size)
  }
  assert.ok('refused' in decode('20000000000001\r\nx'))
})

test('extensions are bounded for a chunk and for the body', () => {
  assert.ok('refused' in decode(`5;${'a'.repeat(1_025)}\r\nhello\r\n0\r\n\r\n`))
  assert.ok('refused' in decode(`${`1;${'a'.repeat(63)}\r\nx\r\n`.repeat(300)}0\r\n\r\n`))
  assert.equal(decode(`5;${'a'.repeat(1_000)}\r\nhello\r\n0\r\n\r\n`).data, 'hello')
})

test('trailers that frame, route or authenticate do not go on', () => {
  const decoder = new ChunkedDecoder()
  const names = [
    'Content-Length',
    'Host',
    'X-Forwarded-For',
    'Set-Cookie',
    'Authorization',
    'X-Checksum',
    'Grpc-Status',
  ]
  const bytes = Buffer.from(`0\r\n${names.map((name) => `${name}: 1\r\n`).join('')}\r\n`)
  for (let from = 0; !decoder.done; ) from = decoder.next(bytes, from, bytes.length)
  const { trailers, trailerBytes } = decoder
  assert.ok(trailers !== undefined && trailerBytes !== undefined)
  const passed = names.filter((_, i) => mayForwardTrailer(trailers, trailerBytes, i))
  assert.deepEqual(passed, ['X-Checksum', 'Grpc-Status'])
})
