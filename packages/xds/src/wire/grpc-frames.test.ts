import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FrameError, FrameReader, frame } from './grpc-frames.ts'
import { field, readTwoTexts, textField } from './protobuf.ts'

describe('gRPC messages', () => {
  const messages = ['', 'a', 'x'.repeat(300)].map((text) => Buffer.from(text))
  const bytes = Buffer.concat(messages.map((message) => frame([message])))

  test('come out the same however the bytes are cut', () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const reader = new FrameReader(1_000)
      const got = [...reader.read(bytes.subarray(0, cut)), ...reader.read(bytes.subarray(cut))]
      assert.deepEqual(got.map(String), messages.map(String), `cut at ${cut}`)
    }
  })

  test('come out the same byte by byte', () => {
    const reader = new FrameReader(1_000)
    const got = [...bytes].flatMap((byte) => reader.read(Buffer.from([byte])))
    assert.deepEqual(got.map(String), messages.map(String))
  })

  test('larger than allowed are refused before they are buffered', () => {
    const head = Buffer.from([0, 0, 0, 4, 1])
    assert.throws(() => new FrameReader(1_024).read(head), { name: 'FrameError', status: 8 })
  })

  test('that are compressed are refused', () => {
    assert.throws(() => new FrameReader(1_024).read(Buffer.from([1, 0, 0, 0, 0])), FrameError)
  })
})

describe('the shortcut for ACKs', () => {
  const ack = Buffer.concat([textField(2, 'type'), textField(6, '17')])

  test('reads the two strings in any order', () => {
    assert.deepEqual(readTwoTexts(ack, 2, 6), ['type', '17'])
    const turned = Buffer.concat([textField(6, '17'), textField(2, 'type')])
    assert.deepEqual(readTwoTexts(turned, 2, 6), ['type', '17'])
  })

  test('steps aside for anything else', () => {
    for (const extra of [
      field(3, Buffer.from('a')),
      field(7, Buffer.alloc(0)),
      Buffer.from([8, 1]),
    ]) {
      assert.equal(readTwoTexts(Buffer.concat([ack, extra]), 2, 6), undefined)
    }
    assert.equal(readTwoTexts(Buffer.from(textField(2, 'x'.repeat(200))), 2, 6), undefined)
  })

  test('steps aside for what is cut short', () => {
    for (let cut = 1; cut < ack.length; cut++) {
      const read = readTwoTexts(ack.subarray(0, cut), 2, 6)
      if (cut !== textField(2, 'type').length) assert.equal(read, undefined, `cut at ${cut}`)
    }
  })
})
