import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hashName } from '../../http1/field-names.ts'
import { OutBuffer } from '../../http1/out-buffer.ts'
import { type FieldSink, HpackDecoder } from './decoder.ts'
import { fieldHash, HpackEncoder } from './encoder.ts'
import { decodedBound, decodeHuffman } from './huffman.ts'

class Lines implements FieldSink {
  room = 1_000_000
  lines: string[] = []
  tooLarge = 0
  onField(line: Uint8Array, length: number): void {
    this.lines.push(Buffer.from(line.subarray(0, length - 2)).toString('latin1'))
  }
  onTooLarge(): void {
    this.tooLarge++
  }
}

function decode(decoder: HpackDecoder, hex: string): string[] | false {
  const sink = new Lines()
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  return decoder.decode(bytes, 0, bytes.length, sink) && sink.lines
}

const firstRequest = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com']
const requests: readonly (readonly string[])[] = [
  firstRequest,
  [...firstRequest, 'cache-control: no-cache'],
  [
    ':method: GET',
    ':scheme: https',
    ':path: /index.html',
    ':authority: www.example.com',
    'custom-key: custom-value',
  ],
]
const dates = ['Mon, 21 Oct 2013 20:13:21 GMT', 'Mon, 21 Oct 2013 20:13:22 GMT']
const location = 'location: https://www.example.com'
const responses: readonly (readonly string[])[] = [
  [':status: 302', 'cache-control: private', `date: ${dates[0]}`, location],
  [':status: 307', 'cache-control: private', `date: ${dates[0]}`, location],
  [
    ':status: 200',
    'cache-control: private',
    `date: ${dates[1]}`,
    location,
    'content-encoding: gzip',
    'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
  ],
]

test('RFC 7541, appendix C.2: each form of a literal', () => {
  const decoder = new HpackDecoder(4_096)
  assert.deepEqual(decode(decoder, '400a637573746f6d2d6b65790d637573746f6d2d686561646572'), [
    'custom-key: custom-header',
  ])
  assert.deepEqual(decode(decoder, '040c2f73616d706c652f70617468'), [':path: /sample/path'])
  assert.deepEqual(decode(decoder, '100870617373776f726406736563726574'), ['password: secret'])
  assert.deepEqual(decode(decoder, '82'), [':method: GET'])
})

const sequences: readonly [string, number, readonly string[], readonly (readonly string[])[]][] = [
  [
    'C.3, requests without Huffman code',
    4_096,
    [
      '828684410f7777772e6578616d706c652e636f6d',
      '828684be58086e6f2d6361636865',
      '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
    ],
    requests,
  ],
  [
    'C.4, requests with Huffman code',
    4_096,
    [
      '828684418cf1e3c2e5f23a6ba0ab90f4ff',
      '828684be5886a8eb10649cbf',
      '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
    ],
    requests,
  ],
  [
    'C.5, responses without Huffman code, in a table of 256 bytes',
    256,
    [
      '4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d',
      '4803333037c1c0bf',
      '88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
    ],
    responses,
  ],
  [
    'C.6, responses with Huffman code, in a table of 256 bytes',
    256,
    [
      '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
      '4883640effc1c0bf',
      '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
    ],
    responses,
  ],
]

for (const [name, tableBytes, blocks, expected] of sequences) {
  test(`RFC 7541, appendix ${name}`, () => {
    const decoder = new HpackDecoder(tableBytes)
    for (const [i, block] of blocks.entries()) assert.deepEqual(decode(decoder, block), expected[i])
  })
}

const broken = {
  'index 0': '80',
  'an index beyond both tables': 'be',
  'an integer without end': 'ffffffffffffffffff',
  'a string longer than its block': '400561',
  'a size update behind a field': '823f00',
  'a size update beyond what was allowed': '3fe2ff03',
  'padding that is not ones': '40018c01ff00',
  'padding of eight bits': '400182' + '1fff' + '0161',
  'the end symbol': '400184ffffffff0161',
}

for (const [name, hex] of Object.entries(broken)) {
  test(`breaks the compression: ${name}`, () => {
    assert.equal(decode(new HpackDecoder(4_096), hex), false)
  })
}

test('every bit pattern decodes or is refused, within its bound', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const into = new Uint8Array(decodedBound(bytes.length))
      const end = decodeHuffman(bytes, 0, bytes.length, into, 0)
      assert.ok(end >= -1 && end <= into.length)
    }),
  )
})

test('noise never throws and never leaves a table larger than allowed', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (blocks) => {
      const decoder = new HpackDecoder(512)
      for (const block of blocks) {
        if (!decoder.decode(block, 0, block.length, new Lines())) return
      }
    }),
  )
})

/** A field whose name and value stand in `line` without anything between them. */
function write(encoder: HpackEncoder, line: Buffer, nameLength: number): void {
  const nameHash = hashName(line.toString('latin1', 0, nameLength))
  const hash = fieldHash(nameHash, line, nameLength, line.length)
  if (encoder.indexed(hash, line, 0, nameLength, line, nameLength, line.length)) return
  encoder.field(hash, nameHash, line, 0, nameLength, line, nameLength, line.length)
}

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/)
const value = fc.stringMatching(/^([!-~]([ -~]{0,80}[!-~])?)?$/)

test('what the encoder writes the decoder reads, block after block', () => {
  const fields = fc.array(fc.tuple(name, value), { maxLength: 12 })
  const blocks = fc.array(fc.tuple(fields, fc.integer({ min: 0, max: 6_000 })), { maxLength: 6 })
  fc.assert(
    fc.property(blocks, (list) => {
      const out = new OutBuffer()
      const encoder = new HpackEncoder(out)
      const decoder = new HpackDecoder(4_096)
      for (const [block, table] of list) {
        // Each field twice: the second time it is indexed, the third time an index.
        for (let again = 0; again < 3; again++) {
          out.clear()
          encoder.limitTable(table)
          encoder.begin()
          for (const [field, text] of block) {
            const line = Buffer.from(`${field}${text}`, 'latin1')
            write(encoder, line, field.length)
          }
          const sink = new Lines()
          assert.ok(decoder.decode(out.bytes, 0, out.length, sink))
          assert.deepEqual(
            sink.lines,
            block.map(([field, text]) => `${field}: ${text}`),
          )
        }
      }
    }),
  )
})

test('credentials are never indexed', () => {
  const out = new OutBuffer()
  const encoder = new HpackEncoder(out)
  for (let i = 0; i < 3; i++) {
    out.clear()
    const line = Buffer.from('AuthorizationBearer x')
    write(encoder, line, 'authorization'.length)
    assert.equal((out.bytes[0] as number) & 0xf0, 0x10)
  }
})

test('a head without room is skipped, its table entries are kept', () => {
  const decoder = new HpackDecoder(4_096)
  const sink = new Lines()
  sink.room = 3
  const block = Buffer.from('400a637573746f6d2d6b65790d637573746f6d2d686561646572', 'hex')
  assert.ok(decoder.decode(block, 0, block.length, sink))
  assert.equal(sink.tooLarge, 1)
  assert.deepEqual(decode(decoder, 'be'), ['custom-key: custom-header'])
})
