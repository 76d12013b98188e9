import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FLAG, FRAME, HEADER_BYTES, PREFACE, writeFrameHeader } from './frames.ts'
import { newEnd } from './session-fixture.ts'

const WHOLE = FLAG.endHeaders | FLAG.endStream
const OPEN = FLAG.endHeaders

function frame(type: number, flags: number, id: number, content: string | Uint8Array = ''): Buffer {
  const body = typeof content === 'string' ? Buffer.from(content, 'hex') : content
  const bytes = Buffer.alloc(HEADER_BYTES + body.length)
  writeFrameHeader(bytes, 0, body.length, type, flags, id)
  bytes.set(body, HEADER_BYTES)
  return bytes
}

/** Fields as literals without index. */
function block(...fields: readonly (readonly [string, string])[]): Buffer {
  const parts = fields.flatMap(([name, value]) => [
    Buffer.from([0, name.length]),
    Buffer.from(name, 'latin1'),
    Buffer.from([value.length]),
    Buffer.from(value, 'latin1'),
  ])
  return Buffer.concat(parts)
}

const pseudo = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'a'],
] as const
const GET = '828684410161'
const preface = Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0)])

function run(frames: readonly Buffer[], cuts: readonly number[] = [], options = {}) {
  const { session, told } = newEnd('server', options)
  const bytes = Buffer.concat([preface, ...frames])
  let at = 0
  for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
    const end = Math.min(cut, bytes.length)
    const piece = Buffer.from(bytes.subarray(at, end))
    session.receive(piece, piece.length)
    at = end
  }
  return { session, told }
}

const headers = (id: number, flags: number, content: string | Uint8Array = GET) =>
  frame(FRAME.headers, flags, id, content)

/** What ends the whole connection, and with which code. */
const connectionErrors: readonly [string, number, readonly Buffer[]][] = [
  ['DATA on stream 0', 1, [frame(FRAME.data, 0, 0, '00')]],
  ['DATA on an idle stream', 1, [frame(FRAME.data, 0, 1, '00')]],
  ['padding longer than DATA', 1, [headers(1, OPEN), frame(FRAME.data, FLAG.padded, 1, '0500')]],
  ['HEADERS on stream 0', 1, [headers(0, WHOLE)]],
  ['HEADERS on an even stream', 1, [headers(2, WHOLE)]],
  ['HEADERS on a lower stream', 5, [headers(5, WHOLE), headers(3, WHOLE)]],
  ['padding longer than HEADERS', 1, [headers(1, WHOLE | FLAG.padded, '0882')]],
  ['HEADERS shorter than its priority', 6, [headers(1, WHOLE | FLAG.priority, '0000')]],
  ['a block that is no HPACK', 9, [headers(1, WHOLE, '80')]],
  ['CONTINUATION without HEADERS', 1, [frame(FRAME.continuation, 4, 1, '82')]],
  ['a frame inside a head', 1, [headers(1, 0), frame(FRAME.ping, 0, 0, '0000000000000000')]],
  ['DATA inside a head', 1, [headers(1, 0), frame(FRAME.data, 0, 1, '00')]],
  ['CONTINUATION of another stream', 1, [headers(1, 0), frame(FRAME.continuation, 4, 3, '')]],
  ['PRIORITY on stream 0', 1, [frame(FRAME.priority, 0, 0, '0000000000')]],
  ['RST_STREAM on an idle stream', 1, [frame(FRAME.rstStream, 0, 1, '00000000')]],
  ['RST_STREAM of three bytes', 6, [headers(1, WHOLE), frame(FRAME.rstStream, 0, 1, '000000')]],
  ['SETTINGS on a stream', 1, [frame(FRAME.settings, 0, 1)]],
  ['SETTINGS of five bytes', 6, [frame(FRAME.settings, 0, 0, '0000000000')]],
  ['SETTINGS that acknowledge with content', 6, [frame(FRAME.settings, 1, 0, '000100000000')]],
  ['ENABLE_PUSH of 2', 1, [frame(FRAME.settings, 0, 0, '000200000002')]],
  ['INITIAL_WINDOW_SIZE too large', 3, [frame(FRAME.settings, 0, 0, '000480000000')]],
  ['MAX_FRAME_SIZE too small', 1, [frame(FRAME.settings, 0, 0, '000500000001')]],
  ['PUSH_PROMISE', 1, [frame(FRAME.pushPromise, 4, 1, '00000002')]],
  ['PING on a stream', 1, [frame(FRAME.ping, 0, 1, '0000000000000000')]],
  ['PING of six bytes', 6, [frame(FRAME.ping, 0, 0, '000000000000')]],
  ['GOAWAY on a stream', 1, [frame(FRAME.goaway, 0, 1, '0000000000000000')]],
  ['WINDOW_UPDATE of nothing', 1, [frame(FRAME.windowUpdate, 0, 0, '00000000')]],
  ['WINDOW_UPDATE of three bytes', 6, [frame(FRAME.windowUpdate, 0, 0, '000001')]],
  ['WINDOW_UPDATE on an idle stream', 1, [frame(FRAME.windowUpdate, 0, 1, '00000001')]],
  ['a connection window too large', 3, [frame(FRAME.windowUpdate, 0, 0, '7fffffff')]],
  ['a frame too large', 6, [headers(1, WHOLE, Buffer.alloc(16_385))]],
]

for (const [name, code, frames] of connectionErrors) {
  test(`ends the connection: ${name}`, () => {
    const { session, told } = run(frames)
    assert.equal(session.closed, true)
    assert.match(told.log.at(-1) ?? '', new RegExp(`^error ${code} `))
  })
}

/** What costs one stream (RFC 9113, section 8.1.1): others go on. */
const streamErrors: readonly [string, number, readonly Buffer[]][] = [
  ['an upper-case name', 1, [headers(1, WHOLE, block(...pseudo, ['X-A', '1']))]],
  ['an empty name', 1, [headers(1, WHOLE, block(...pseudo, ['', '1']))]],
  ['a colon in a name', 1, [headers(1, WHOLE, block(...pseudo, ['x:a', '1']))]],
  ['a line end in a value', 1, [headers(1, WHOLE, block(...pseudo, ['x', 'a\r\nb: c']))]],
  ['a NUL in a value', 1, [headers(1, WHOLE, block(...pseudo, ['x', 'a\0b']))]],
  ['a blank before a value', 1, [headers(1, WHOLE, block(...pseudo, ['x', ' a']))]],
  ['Connection', 1, [headers(1, WHOLE, block(...pseudo, ['connection', 'close']))]],
  ['Transfer-Encoding', 1, [headers(1, WHOLE, block(...pseudo, ['transfer-encoding', 'chunked']))]],
  ['Upgrade', 1, [headers(1, WHOLE, block(...pseudo, ['upgrade', 'h2c']))]],
  ['TE other than trailers', 1, [headers(1, WHOLE, block(...pseudo, ['te', 'gzip']))]],
  ['an unknown pseudo-field', 1, [headers(1, WHOLE, block(...pseudo, [':a', 'b']))]],
  ['a field of responses', 1, [headers(1, WHOLE, block(...pseudo, [':status', '200']))]],
  ['a pseudo-field twice', 1, [headers(1, WHOLE, block(...pseudo, [':path', '/']))]],
  ['a pseudo-field behind others', 1, [headers(1, WHOLE, block(['x', '1'], ...pseudo))]],
  ['no path', 1, [headers(1, WHOLE, block(...pseudo.filter(([name]) => name !== ':path')))]],
  ['no method', 1, [headers(1, WHOLE, block(...pseudo.slice(1)))]],
  ['no scheme', 1, [headers(1, WHOLE, block(...pseudo.filter(([name]) => name !== ':scheme')))]],
  ['an empty path', 1, [headers(1, WHOLE, '82864400410161')]],
  ['a blank in the path', 1, [headers(1, WHOLE, `828644042f206120410161`)]],
  ['a method that is no token', 1, [headers(1, WHOLE, `42034720548684410161`)]],
  ['Host that contradicts', 1, [headers(1, WHOLE, block(...pseudo, ['host', 'b']))]],
  [
    'a length twice',
    1,
    [headers(1, OPEN, block(...pseudo, ['content-length', '1'], ['content-length', '1']))],
  ],
  ['a length without a body', 1, [headers(1, WHOLE, block(...pseudo, ['content-length', '1']))]],
  [
    'more than the length',
    1,
    [headers(1, OPEN, block(...pseudo, ['content-length', '1'])), frame(FRAME.data, 1, 1, '0000')],
  ],
  [
    'less than the length',
    1,
    [headers(1, OPEN, block(...pseudo, ['content-length', '3'])), frame(FRAME.data, 1, 1, '0000')],
  ],
  [
    'trailers too early for the length',
    1,
    [
      headers(1, OPEN, block(...pseudo, ['content-length', '3'])),
      headers(1, WHOLE, block(['x', '1'])),
    ],
  ],
  ['trailers that do not end', 1, [headers(1, OPEN), headers(1, OPEN, block(['x', '1']))]],
  ['a pseudo-field in trailers', 1, [headers(1, OPEN), headers(1, WHOLE, block([':path', '/']))]],
  ['DATA behind the end', 5, [headers(1, WHOLE), frame(FRAME.data, 1, 1, '00')]],
  ['HEADERS behind the end', 5, [headers(1, WHOLE), headers(1, WHOLE, block(['x', '1']))]],
  [
    'WINDOW_UPDATE of nothing on it',
    1,
    [headers(1, OPEN), frame(FRAME.windowUpdate, 0, 1, '00000000')],
  ],
  ['a window too large', 3, [headers(1, OPEN), frame(FRAME.windowUpdate, 0, 1, '7fffffff')]],
  ['dependence on itself', 1, [headers(1, OPEN), frame(FRAME.priority, 0, 1, '0000000100')]],
  [
    'extended CONNECT that was not offered',
    1,
    [
      headers(
        1,
        OPEN,
        block(
          [':method', 'CONNECT'],
          [':protocol', 'websocket'],
          [':scheme', 'http'],
          [':path', '/'],
          [':authority', 'a'],
        ),
      ),
    ],
  ],
  [
    'CONNECT with a path',
    1,
    [headers(1, OPEN, block([':method', 'CONNECT'], [':path', '/'], [':authority', 'a:1']))],
  ],
]

for (const [name, code, frames] of streamErrors) {
  test(`costs one stream: ${name}`, () => {
    const { session, told } = run([...frames, headers(3, WHOLE)])
    assert.equal(session.closed, false)
    assert.ok(told.log.includes(`reset 1 ${code}`), told.log.join('\n'))
    assert.ok(told.log.some((line) => line.startsWith('headers 3 end')))
    assert.equal(session.activeStreams, 1)
  })
}

test('what HTTP/1 would answer is refused with the same problem', () => {
  const noHost = run([headers(1, WHOLE, '828684')]).told.log
  assert.match(noHost[0] ?? '', /^refused 1 -8$/)
  const long = Array.from({ length: 101 }, (_, i): [string, string] => [`x-${i}`, '1'])
  assert.match(
    run([headers(1, WHOLE, block(...pseudo, ...long))]).told.log[0] ?? '',
    /^refused 1 -7$/,
  )
})

test('crumbs of Cookie become one field', () => {
  const crumbs = block(...pseudo, ['cookie', 'a=1'], ['x', '1'], ['cookie', 'b=2'])
  const { told } = run([headers(1, WHOLE, crumbs)])
  assert.equal(told.text(1), 'POST / HTTP/1.1\r\nhost: a\r\nx: 1\r\ncookie: a=1; b=2\r\n\r\n')
})

test('CONNECT names its target', () => {
  const { told } = run([headers(1, OPEN, block([':method', 'CONNECT'], [':authority', 'a:1']))])
  assert.equal(told.text(1), 'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n')
  assert.equal(told.targets.get(1)?.head.form, 'authority')
})

test('padding counts for windows and is no content', () => {
  const { told, session } = run([
    headers(1, OPEN | FLAG.padded | FLAG.priority, `02${'0000000010'}${GET}0000`),
    frame(FRAME.data, FLAG.padded | FLAG.endStream, 1, '0361620000' + '00'),
  ])
  assert.equal(told.log.at(-1), 'end 1 ab')
  assert.equal(session.closed, false)
})

test('any cut of the bytes gives the same answer', () => {
  const frames = [
    headers(1, FLAG.padded, `02${GET.slice(0, 8)}0000`),
    frame(FRAME.continuation, FLAG.endHeaders, 1, GET.slice(8)),
    frame(FRAME.data, FLAG.padded, 1, '026162630000'),
    frame(FRAME.ping, 0, 0, '0102030405060708'),
    frame(FRAME.data, 0, 1, Buffer.alloc(300, 0x61)),
    headers(1, WHOLE, block(['x-t', '1'])),
    headers(3, WHOLE, block(...pseudo, ['X-A', '1'])),
    headers(5, WHOLE),
    frame(FRAME.rstStream, 0, 5, '00000008'),
  ]
  const whole = run(frames).told
  const cut = fc.integer({ min: 0, max: 700 })
  fc.assert(
    fc.property(fc.array(cut, { maxLength: 40 }), (cuts) => {
      const { told } = run(frames, cuts)
      assert.deepEqual(told.log, whole.log)
      assert.deepEqual(told.bodies, whole.bodies)
    }),
  )
  const each = Array.from({ length: 700 }, (_, i) => i)
  assert.deepEqual(run(frames, each).told.log, whole.log)
})

test('noise in well-formed frames never throws and holds little memory', () => {
  const noise = fc.array(
    fc.tuple(
      fc.integer({ min: 0, max: 11 }),
      fc.integer({ min: 0, max: 255 }),
      fc.integer({ min: 0, max: 7 }),
      fc.uint8Array({ maxLength: 60 }),
    ),
    { maxLength: 60 },
  )
  for (const role of ['server', 'client'] as const) {
    fc.assert(
      fc.property(noise, (frames) => {
        const { session } = newEnd(role, { maxConcurrentStreams: 3 })
        const begin = role === 'server' ? preface : frame(FRAME.settings, 0, 0)
        session.receive(begin, begin.length)
        for (const [type, flags, id, content] of frames) {
          const bytes = frame(type, flags, id, content)
          session.receive(bytes, bytes.length)
        }
        assert.ok(session.activeStreams <= 3)
        assert.ok(session.out.length < 65_536)
      }),
    )
  }
})
