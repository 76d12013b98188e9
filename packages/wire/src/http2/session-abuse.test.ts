import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Http2Counters, type Http2Options, newHttp2Counters } from './contract.ts'
import { FLAG, FRAME, HEADER_BYTES, PREFACE, writeFrameHeader, writeUint32 } from './frames.ts'
import { newEnd, taken } from './session-fixture.ts'

function frame(type: number, flags: number, id: number, content: Uint8Array = Buffer.alloc(0)) {
  const bytes = Buffer.alloc(HEADER_BYTES + content.length)
  writeFrameHeader(bytes, 0, content.length, type, flags, id)
  bytes.set(content, HEADER_BYTES)
  return bytes
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  writeUint32(bytes, 0, value)
  return bytes
}

/** :method GET, :scheme http, :path /, :authority a. */
const REQUEST = Buffer.from('8286840101' + '61', 'hex')
const WHOLE = FLAG.endHeaders | FLAG.endStream
const preface = Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0)])
const ids = Array.from({ length: 6_000 }, (_, i) => i * 2 + 1)

function attacked(frames: Iterable<Buffer>, options: Partial<Http2Options> = {}) {
  const counters = newHttp2Counters()
  const end = newEnd('server', { counters, ...options })
  const { session, told } = end
  session.receive(preface, preface.length)
  taken(end)
  let received = 0
  let mostOut = 0
  for (const bytes of frames) {
    if (session.closed) break
    session.receive(bytes, bytes.length)
    received++
    mostOut = Math.max(mostOut, session.out.length)
    if (received % 50 === 0) taken(end)
  }
  return { session, told, counters, received, mostOut }
}

const calm = 11
const attacks: readonly [
  string,
  keyof Http2Counters,
  () => Iterable<Buffer>,
  Partial<Http2Options>,
][] = [
  [
    'rapid reset',
    'too_many_premature_resets',
    () =>
      ids.flatMap((id) => [
        frame(FRAME.headers, WHOLE, id, REQUEST),
        frame(FRAME.rstStream, 0, id, number(8)),
      ]),
    {},
  ],
  [
    'resets that the client makes us send (MadeYouReset)',
    'too_many_premature_resets',
    () =>
      ids.flatMap((id) => [
        frame(FRAME.headers, WHOLE, id, REQUEST),
        frame(FRAME.windowUpdate, 0, id, number(0)),
      ]),
    { limits: { glitches: 1_000_000, prematureResets: 500 } },
  ],
  [
    'breach after breach',
    'too_many_glitches',
    () => ids.map((id) => frame(FRAME.headers, WHOLE, id, Buffer.from('82', 'hex'))),
    {},
  ],
  [
    'settings',
    'inbound_control_frames_flood',
    () => ids.map(() => frame(FRAME.settings, 0, 0)),
    {},
  ],
  [
    'pings',
    'inbound_control_frames_flood',
    () => ids.map(() => frame(FRAME.ping, 0, 0, Buffer.alloc(8))),
    {},
  ],
  [
    'priorities',
    'inbound_priority_frames_flood',
    () => ids.map((id) => frame(FRAME.priority, 0, id, Buffer.alloc(5))),
    {},
  ],
  [
    'window updates',
    'inbound_window_update_frames_flood',
    () => ids.map(() => frame(FRAME.windowUpdate, 0, 0, number(1))),
    {},
  ],
  [
    'empty DATA',
    'inbound_empty_frames_flood',
    () => [
      frame(FRAME.headers, FLAG.endHeaders, 1, REQUEST),
      ...ids.map(() => frame(FRAME.data, 0, 1)),
    ],
    {},
  ],
  [
    'CONTINUATION of single bytes',
    'inbound_continuation_frames_flood',
    () => [
      frame(FRAME.headers, 0, 1, REQUEST),
      ...ids.map(() => frame(FRAME.continuation, 0, 1, Buffer.from([0x84]))),
    ],
    {},
  ],
  [
    'CONTINUATION of large pieces',
    'header_overflow',
    () => [
      frame(FRAME.headers, 0, 1, REQUEST),
      ...ids.map(() => frame(FRAME.continuation, 0, 1, Buffer.alloc(16_384))),
    ],
    {},
  ],
]

for (const [name, counter, frames, options] of attacks) {
  test(`a flood ends the connection and is counted: ${name}`, () => {
    const { session, told, counters, received, mostOut } = attacked(frames(), options)
    assert.equal(session.closed, true)
    assert.equal(counters[counter], 1)
    assert.match(told.log.at(-1) ?? '', new RegExp(`^error ${calm} `))
    assert.ok(received < 2_100, `${received} frames`)
    assert.ok(mostOut < 65_536, `${mostOut} bytes`)
    assert.equal(session.activeStreams, 0)
  })
}

test('answers that nobody reads are bounded', () => {
  const counters = newHttp2Counters()
  const { session } = newEnd('server', { counters, limits: { controlFramesPerSecond: 100_000 } })
  const ping = frame(FRAME.ping, 0, 0, Buffer.alloc(8))
  session.receive(preface, preface.length)
  for (let i = 0; i < 10_000; i++) session.receive(ping, ping.length)
  assert.equal(session.closed, true)
  assert.equal(counters.outbound_control_flood, 1)
  assert.ok(session.out.length < 32_768)
})

test('a client that cancels few of very many calls is no attacker', () => {
  const frames = ids.slice(0, 4_000).flatMap((id) => {
    const open = frame(FRAME.headers, WHOLE, id, REQUEST)
    return id % 8 === 1 ? [open, frame(FRAME.rstStream, 0, id, number(8))] : [open]
  })
  const { session, counters } = attacked(frames, { maxConcurrentStreams: 10_000 })
  assert.equal(session.closed, false)
  assert.equal(counters.rx_reset, 1_000)
})

test('F17 a reference bomb ends the connection before it is laid out', () => {
  const value = Buffer.alloc(4_000, 0x61)
  const literal = Buffer.concat([Buffer.from('40017a7fa11e', 'hex'), value])
  // 0x7f 0xa1 0x1e: 127 + 33 + 30 * 128 = 4,000.
  const bomb = Buffer.concat([REQUEST, literal, Buffer.alloc(12_000, 0xbe)])
  const { told, session, counters } = attacked([frame(FRAME.headers, WHOLE, 1, bomb)])
  assert.equal(session.closed, true)
  assert.match(told.log.join('\n'), /unpacks to far more/)
  assert.equal(counters.header_overflow, 1)
  assert.ok((told.targets.get(1)?.headBytes.length ?? 0) <= 131_072)
})

test('F17 a head that is only too large costs its stream', () => {
  const literal = Buffer.concat([Buffer.from('40017a7fa11e', 'hex'), Buffer.alloc(4_000, 0x61)])
  const large = Buffer.concat([REQUEST, ...Array.from({ length: 3 }, () => literal)])
  const { told, session } = attacked([frame(FRAME.headers, WHOLE, 1, large)], {
    maxHeadBytes: 8_000,
  })
  assert.equal(session.closed, false)
  assert.match(told.log[0] ?? '', /^refused 1 /)
})

test('as many cookie crumbs as references are counted, too', () => {
  const crumbs = Buffer.concat([REQUEST, Buffer.from('600162', 'hex'), Buffer.alloc(12_000, 0xbe)])
  const { told } = attacked([frame(FRAME.headers, WHOLE, 1, crumbs)])
  assert.match(told.log.join('\n'), /unpacks to far more/)
})

test('more streams than allowed are refused, one by one', () => {
  const frames = ids.slice(0, 12).map((id) => frame(FRAME.headers, WHOLE, id, REQUEST))
  const { session, told, counters } = attacked(frames, { maxConcurrentStreams: 10 })
  assert.equal(session.activeStreams, 10)
  assert.equal(counters.streams_active, 10)
  assert.equal(told.log.length, 10)
  assert.equal(counters.stream_refused_errors, 2)
})

test('a client that never opens its window costs one queue', () => {
  const zero = Buffer.from('000400000000', 'hex')
  const counters = newHttp2Counters()
  const end = newEnd('server', { counters })
  const { session, told } = end
  const begin = Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0, zero)])
  session.receive(begin, begin.length)
  const request = frame(FRAME.headers, WHOLE, 1, REQUEST)
  session.receive(request, request.length)
  const stream = told.streams.get(1)
  assert.ok(stream)
  const answer = Buffer.from('HTTP/1.1 200 OK\r\n\r\n', 'latin1')
  session.sendResponseText(stream, answer, 0, answer.length, false)
  taken(end)
  assert.equal(session.sendData(stream, Buffer.alloc(65_536), 0, 65_536, false), false)
  assert.equal(stream.queuedBytes, 65_536)
  assert.equal(session.out.length, 0)
  session.resetStream(stream, 8)
  assert.equal(stream.queuedBytes, 0)
})
