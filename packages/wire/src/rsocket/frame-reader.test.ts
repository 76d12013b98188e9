import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RSocketFrameReader } from './frame-reader.ts'
import { renderPayload } from './frame-writer.ts'

class Sink {
  closed = false
  readonly frames: string[] = []
  error: string | undefined

  onFrame(bytes: Uint8Array, from: number, to: number): void {
    this.frames.push(Buffer.from(bytes.subarray(from, to)).toString('hex'))
  }

  onFrameError(why: string): void {
    this.error = why
    this.closed = true
  }
}

function deliver(pieces: readonly Buffer[], maxFrameBytes = 0xff_ff_ff): Sink {
  const sink = new Sink()
  const reader = new RSocketFrameReader(sink, maxFrameBytes)
  // One buffer for all reads, longer than what it holds and overwritten, as the transport's is.
  const shared = Buffer.alloc(32_768)
  for (const piece of pieces) {
    shared.fill(0xee)
    piece.copy(shared)
    reader.receive(shared, piece.length)
  }
  if (sink.error === undefined) assert.ok(reader.heldBytes >= 0)
  return sink
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort(
    (a, b) => a - b,
  )
  return [0, ...sorted].map((from, index) => bytes.subarray(from, sorted[index] ?? bytes.length))
}

test('any cut of the bytes gives the same frames', () => {
  const sizes = fc.array(
    fc.oneof(fc.integer({ max: 40, min: 0 }), fc.integer({ max: 9000, min: 0 })),
    {
      maxLength: 6,
    },
  )
  const places = fc.array(fc.nat(20_000), { maxLength: 12 })
  fc.assert(
    fc.property(sizes, places, (dataSizes, cuts) => {
      const frames = dataSizes.map((size, index) =>
        renderPayload(index + 1, { data: Buffer.alloc(size, index + 1) }, 0x20),
      )
      const stream = Buffer.concat(frames).subarray(0, 32_000)
      const whole = frames.filter((_, index) => {
        const end = frames.slice(0, index + 1).reduce((sum, frame) => sum + frame.length, 0)
        return end <= stream.length
      })
      const sink = deliver(cut(stream, cuts))
      assert.deepEqual(
        sink.frames,
        whole.map((frame) => frame.subarray(3).toString('hex')),
      )
    }),
  )
})

test('byte by byte is no different', () => {
  const frames = [3, 0, 700].map((size) => renderPayload(7, { data: Buffer.alloc(size, 9) }, 0x20))
  const bytes = Buffer.concat(frames)
  const sink = deliver([...bytes].map((byte) => Buffer.of(byte)))
  assert.deepEqual(
    sink.frames,
    frames.map((frame) => frame.subarray(3).toString('hex')),
  )
})

test('a length below a head or above the limit ends the connection, in one piece or in several', () => {
  for (const [length, words] of [
    [5, /shorter than its head/],
    [2000, /longer than the limit of 1000/],
  ] as const) {
    const bytes = Buffer.alloc(20)
    bytes.writeUIntBE(length, 0, 3)
    assert.match(deliver([bytes], 1000).error ?? '', words)
    assert.match(deliver([bytes.subarray(0, 2), bytes.subarray(2)], 1000).error ?? '', words)
  }
})

test('memory follows what came, not the length that a peer claims', () => {
  const sink = new Sink()
  const reader = new RSocketFrameReader(sink, 0xff_ff_ff)
  const head = Buffer.alloc(100)
  head.writeUIntBE(0xff_ff_ff, 0, 3)
  const before = process.memoryUsage().arrayBuffers
  const readers = Array.from({ length: 100 }, () => new RSocketFrameReader(sink, 0xff_ff_ff))
  for (const each of [reader, ...readers]) each.receive(head, head.length)
  assert.equal(reader.heldBytes, 100)
  assert.ok(process.memoryUsage().arrayBuffers - before < 10_000_000)
})
