import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { renderWebSocketControl, webSocketHeadBytes, writeWebSocketHead } from './frame-head.ts'
import { readWebSocketHandshake, renderWebSocketAccept } from './handshake.ts'
import { WebSocketReader, WS_CLOSE, WS_OPCODE } from './message-reader.ts'

class Sink {
  closed = false
  readonly told: string[] = []

  onMessage(bytes: Uint8Array, from: number, to: number): void {
    const content = createHash('sha1').update(bytes.subarray(from, to)).digest('hex')
    this.told.push(`message ${to - from} ${content}`)
  }

  onPing(payload: Uint8Array): void {
    this.told.push(`ping ${Buffer.from(payload)}`)
  }

  onWebSocketClose(code: number): void {
    this.told.push(`close ${code}`)
  }

  onWebSocketError(code: number, why: string): void {
    this.told.push(`error ${code} ${why}`)
    this.closed = true
  }
}

/** A frame as a client sends it. */
function masked(opcode: number, payload: Buffer, last = true): Buffer {
  const head = Buffer.alloc(webSocketHeadBytes(payload.length))
  writeWebSocketHead(head, 0, payload.length)
  head[0] = (last ? 0x80 : 0) | opcode
  head[1] = (head[1] as number) | 0x80
  const mask = Buffer.of(1, 2, 3, 250)
  const hidden = Buffer.from(payload.map((byte, at) => byte ^ (mask[at & 3] as number)))
  return Buffer.concat([head, mask, hidden])
}

function read(pieces: readonly Buffer[], expectMasked = true): string[] {
  const sink = new Sink()
  const reader = new WebSocketReader(sink, { maxMessageBytes: 100_000, expectMasked })
  for (const piece of pieces) reader.receive(Buffer.from(piece), piece.length)
  return sink.told
}

const digest = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex')

test('messages in one frame or several, with pings between, in any cut', () => {
  const sizes = fc.array(fc.constantFrom(0, 1, 125, 126, 500, 65_535, 65_536), { maxLength: 4 })
  const cuts = fc.array(fc.nat(150_000), { maxLength: 8 })
  fc.assert(
    fc.property(sizes, cuts, fc.boolean(), (lengths, places, inFragments) => {
      const expected: string[] = []
      const frames = lengths.flatMap((length, index) => {
        const payload = Buffer.alloc(length, index + 65)
        expected.push(...(inFragments ? ['ping p'] : []), `message ${length} ${digest(payload)}`)
        if (!inFragments) return [masked(WS_OPCODE.binary, payload)]
        const middle = length >> 1
        return [
          masked(WS_OPCODE.binary, payload.subarray(0, middle), false),
          masked(WS_OPCODE.ping, Buffer.from('p')),
          masked(WS_OPCODE.continuation, payload.subarray(middle)),
        ]
      })
      const bytes = Buffer.concat(frames)
      const sorted = places.filter((place) => place < bytes.length).sort((a, b) => a - b)
      const pieces = [0, ...sorted].map((from, i) =>
        bytes.subarray(from, sorted[i] ?? bytes.length),
      )
      assert.deepEqual(read(pieces), expected)
    }),
    { numRuns: 60 },
  )
})

test('what the RFC forbids ends the connection with its code', () => {
  const hello = Buffer.from('hello')
  const error = (code: number) => new RegExp(`^error ${code} `)
  const cases: [Buffer, number][] = [
    [masked(WS_OPCODE.text, hello), WS_CLOSE.unsupportedData],
    [masked(WS_OPCODE.continuation, hello), WS_CLOSE.protocolError],
    [masked(3, hello), WS_CLOSE.protocolError],
    [masked(11, hello), WS_CLOSE.protocolError],
    [masked(WS_OPCODE.ping, hello, false), WS_CLOSE.protocolError],
    [masked(WS_OPCODE.ping, Buffer.alloc(126)), WS_CLOSE.protocolError],
    [masked(WS_OPCODE.binary, Buffer.alloc(100_001)), WS_CLOSE.tooBig],
    [Buffer.concat([masked(2, hello, false), masked(2, hello)]), WS_CLOSE.protocolError],
    [renderWebSocketControl(WS_OPCODE.ping, hello), WS_CLOSE.protocolError],
  ]
  for (const [bytes, code] of cases) assert.match(read([bytes]).at(-1) ?? '', error(code))
  const reserved = masked(WS_OPCODE.binary, hello)
  reserved[0] = (reserved[0] as number) | 0x40
  assert.match(read([reserved])[0] ?? '', error(WS_CLOSE.protocolError))
  assert.match(read([masked(2, hello)], false)[0] ?? '', /is masked/)
})

test('close says its code', () => {
  assert.deepEqual(read([masked(WS_OPCODE.close, Buffer.of(3, 232))]), ['close 1000'])
  assert.deepEqual(read([masked(WS_OPCODE.close, Buffer.alloc(0))]), ['close 1005'])
})

test('no bytes make the reader throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, expectMasked) => {
      read([Buffer.from(bytes)], expectMasked)
    }),
    { numRuns: 3000 },
  )
})

const REQUEST =
  'GET /rsocket?x=1 HTTP/1.1\r\nHost: broker:7879\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'

test('a handshake is read, and answered as in the RFC', () => {
  const bytes = Buffer.from(`${REQUEST}frames`)
  const found = readWebSocketHandshake(bytes, bytes.length)
  assert.equal(found.kind, 'asked')
  if (found.kind !== 'asked') return
  assert.equal(bytes.toString('latin1', found.end), 'frames')
  assert.equal(found.request.path, '/rsocket?x=1')
  assert.match(
    renderWebSocketAccept(found.request.key).toString(),
    /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/,
  )
  for (let length = 1; length < REQUEST.length; length++) {
    assert.equal(readWebSocketHandshake(bytes, length).kind, 'more', `${length} bytes`)
  }
})

test('what is no handshake is refused with a status', () => {
  const status = (text: string) => {
    const bytes = Buffer.from(text)
    const found = readWebSocketHandshake(bytes, bytes.length)
    return found.kind === 'refused' ? found.answer.toString().split(' ')[1] : found.kind
  }
  assert.equal(status(REQUEST.replace('GET', 'POST')), '405')
  assert.equal(status(REQUEST.replace('Upgrade: websocket\r\n', '')), '426')
  assert.equal(status(REQUEST.replace('Version: 13', 'Version: 8')), '426')
  assert.equal(status(REQUEST.replace('dGhl', '')), '400')
  assert.equal(status('nonsense\r\n\r\n'), '400')
})
