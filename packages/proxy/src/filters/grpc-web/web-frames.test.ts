import assert from 'node:assert/strict'
import { text as textOf } from 'node:stream/consumers'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { Base64Decoder } from './base64-decoder.ts'
import { WebFrames } from './web-frames.ts'

function decode(pieces: readonly Buffer[]): Buffer | 'failed' {
  const decoder = new Base64Decoder()
  const plain = pieces.map((piece) => decoder.take(piece, 0, piece.length))
  decoder.end()
  return decoder.failed ? 'failed' : Buffer.concat(plain)
}

function cut(bytes: Buffer, random: () => number): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const to = Math.min(bytes.length, at + 1 + Math.floor(random() * 7))
    pieces.push(bytes.subarray(at, to))
    at = to
  }
  return pieces
}

function bytesOf(length: number, random: () => number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)))
}

function frame(payload: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(payload.length, 1)
  return Buffer.concat([head, payload])
}

test('base64 of several parts is the same however it is cut', () => {
  const random = seededRandom(11)
  for (let round = 0; round < 500; round++) {
    const parts = Array.from({ length: 1 + Math.floor(random() * 4) }, () =>
      bytesOf(Math.floor(random() * 30), random),
    )
    const coded = Buffer.from(parts.map((part) => part.toString('base64')).join(''))
    assert.deepEqual(decode(cut(coded, random)), Buffer.concat(parts))
  }
})

test('what is no base64 is refused, however it is cut', () => {
  const wrong = ['A', 'AA', 'AAA', 'A===', '====', 'AA=A', 'AAB=', 'A A=', 'AA-_', '\n', 'AAAA=']
  for (const text of wrong) {
    assert.equal(decode([Buffer.from(text)]), 'failed', text)
    assert.equal(decode([...text].map((character) => Buffer.from(character))), 'failed', text)
  }
})

async function webText(body: Buffer, trailers: string | undefined, random: () => number) {
  const frames = new WebFrames({
    text: true,
    trailers: () => (trailers === undefined ? undefined : Buffer.from(trailers)),
  })
  for (const piece of cut(body, random)) frames.write(piece)
  frames.end()
  return await textOf(frames)
}

test('an answer as text is one base64 part per frame, however it is cut', async () => {
  const random = seededRandom(5)
  for (let round = 0; round < 200; round++) {
    const messages = Array.from({ length: Math.floor(random() * 4) }, () =>
      frame(bytesOf(Math.floor(random() * 20), random)),
    )
    const got = await webText(Buffer.concat(messages), 'Grpc-Status: 0\r\nX-A: b: c \r\n', random)
    const end = Buffer.from('\x80\0\0\0\x1egrpc-status:0\r\nx-a:b: c\r\n', 'latin1')
    end.writeUInt32BE(end.length - 5, 1)
    assert.equal(got, [...messages, end].map((one) => one.toString('base64')).join(''))
  }
})

test('an answer that ends without trailers has no status that is good', async () => {
  const got = Buffer.from(await webText(Buffer.alloc(0), undefined, seededRandom(1)), 'base64')
  assert.equal(got.toString('latin1'), '\x80\0\0\0\x0fgrpc-status:2\r\n')
})
