/** Honest load, of any shape, is never taken for an attack: by neither side. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { newHttp2Counters } from './contract.ts'
import { FLAG, FRAME, HEADER_BYTES, PREFACE, writeFrameHeader, writeUint32 } from './frames.ts'
import { type End, newEnd, settle, taken } from './session-fixture.ts'
import type { Http2Stream } from './stream.ts'

const HEAD = Buffer.from('POST /a HTTP/1.1\r\nhost: a\r\n\r\n', 'latin1')
const ANSWER = Buffer.from('HTTP/1.1 200 OK\r\nserver: b\r\n\r\n', 'latin1')

function frame(type: number, flags: number, id: number, content: Uint8Array = Buffer.alloc(0)) {
  const bytes = Buffer.alloc(HEADER_BYTES + content.length)
  writeFrameHeader(bytes, 0, content.length, type, flags, id)
  bytes.set(content, HEADER_BYTES)
  return bytes
}

interface Load {
  readonly client: End
  readonly server: End
  readonly random: () => number
  /** Every so many calls one is given up by the client. */
  readonly cancelEvery: number
  readonly bodyBytes: number
}

/** Bytes go over in pieces, to one side or the other, so that everything can cross on the way. */
function carry({ client, server, random }: Load): void {
  const [from, to] = random() < 0.5 ? [client, server] : [server, client]
  const bytes = taken(from)
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + Math.floor(random() * 4_000))
    to.session.receive(bytes.subarray(at, end), end - at)
    at = end
  }
}

function answerAll({ server, random, bodyBytes }: Load): void {
  for (const [id, stream] of server.told.streams) {
    if (stream.closed) server.told.streams.delete(id)
    if (stream.closed || !stream.headDone || stream.user === 'answered') continue
    if (random() < 0.5) continue
    // As a proxy does with an answer that needs nothing of the body.
    const early = random() < 0.1
    if (!stream.remoteEnded && !early) continue
    stream.user = 'answered'
    server.session.sendResponseText(stream, ANSWER, 0, ANSWER.length, false)
    const body = Buffer.alloc(Math.floor(random() * bodyBytes))
    server.session.sendData(stream, body, 0, body.length, true)
    if (early && stream.queue === undefined) server.session.resetStream(stream, 0)
  }
}

function call({ client, random, cancelEvery, bodyBytes }: Load, opened: Http2Stream[]): void {
  const { session } = client
  const bare = random() < 0.5
  const stream = session.sendRequestText('http', HEAD, 0, HEAD.length, bare)
  if (stream === undefined) return
  opened.push(stream)
  if (!bare) {
    const body = Buffer.alloc(Math.floor(random() * bodyBytes))
    session.sendData(stream, body, 0, body.length, true)
  }
  if (opened.length % cancelEvery === 0) session.resetStream(stream, 8)
}

for (const cancelEvery of [3, 7, 1_000_000]) {
  for (const bodyBytes of [2, 200, 40_000]) {
    test(`no honest load is punished: bodies below ${bodyBytes} B, each ${cancelEvery}th given up`, () => {
      const counters = newHttp2Counters()
      const quiet = { streamWindowBytes: 65_536, connectionWindowBytes: 131_072 }
      const server = newEnd('server', { counters, ...quiet })
      const client = newEnd('client', { counters, ...quiet })
      const seed = cancelEvery + bodyBytes
      const load = { client, server, random: seededRandom(seed), cancelEvery, bodyBytes }
      const opened: Http2Stream[] = []
      for (let turn = 0; turn < 200_000 && opened.length < 3_000; turn++) {
        call(load, opened)
        carry(load)
        answerAll(load)
        for (const told of [client.told, server.told]) {
          for (const line of told.log) assert.doesNotMatch(line, /^(error|goaway)/)
          told.log.length = 0
          told.bodies.clear()
        }
      }
      assert.equal(opened.length, 3_000)
      assert.equal(client.session.closed || server.session.closed, false)
      const punished = Object.entries(counters).filter(([name]) =>
        /flood|too_many|goaway/.test(name),
      )
      assert.deepEqual(
        punished.filter(([, count]) => count > 0),
        [],
      )
    })
  }
}

test('a stream that both sides have ended is not reset', () => {
  const client = newEnd('client')
  const server = newEnd('server')
  const stream = client.session.sendRequestText('http', HEAD, 0, HEAD.length, true)
  assert.ok(stream)
  settle(client, server)
  const there = server.told.streams.get(1)
  assert.ok(there)
  server.session.sendResponseText(there, ANSWER, 0, ANSWER.length, false)
  server.session.sendData(there, ANSWER, 0, 3, true)
  // The owner is done as soon as it has the last byte, in the middle of the call.
  client.told.onData = (at) => client.session.resetStream(at, 0)
  const bytes = taken(server)
  client.session.receive(bytes, bytes.length)
  assert.equal(client.session.out.length, 0)
  assert.equal(client.session.counters.tx_reset, 0)
  assert.deepEqual(client.told.log.slice(-1), ['closed 1'])
})

/** :method GET, :scheme http, :path /, :authority a. */
const REQUEST = Buffer.from('8286840101' + '61', 'hex')
const WHOLE = FLAG.endHeaders | FLAG.endStream
const begin = Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0)])
const code = Buffer.alloc(4)
writeUint32(code, 0, 8)

test('a reset that crosses the answer is allowed once for each stream, and no more', () => {
  const end = newEnd('server')
  const { session, told } = end
  session.receive(begin, begin.length)
  for (let id = 1; id < 6_000; id += 2) {
    const open = frame(FRAME.headers, WHOLE, id, REQUEST)
    session.receive(open, open.length)
    const stream = told.streams.get(id)
    assert.ok(stream)
    session.sendResponseText(stream, ANSWER, 0, ANSWER.length, true)
    const reset = frame(FRAME.rstStream, 0, id, code)
    session.receive(reset, reset.length)
    taken(end)
  }
  assert.equal(session.closed, false)
  const again = frame(FRAME.rstStream, 0, 1, code)
  for (let i = 0; i < 200; i++) session.receive(again, again.length)
  assert.equal(session.closed, true)
  assert.equal(session.counters.inbound_control_frames_flood, 1)
})

test('streams beyond a limit that the client has not heard of are refused without a grudge', () => {
  const end = newEnd('server', { maxConcurrentStreams: 10 })
  const { session } = end
  session.receive(begin, begin.length)
  for (let id = 1; id < 1_600; id += 2) {
    const open = frame(FRAME.headers, WHOLE, id, REQUEST)
    session.receive(open, open.length)
    if (id % 100 === 1) taken(end)
  }
  assert.equal(session.closed, false)
  assert.equal(session.counters.stream_refused_errors, 790)
  const ack = frame(FRAME.settings, FLAG.ack, 0)
  session.receive(ack, ack.length)
  for (let id = 1_601; id < 2_400; id += 2) {
    const open = frame(FRAME.headers, WHOLE, id, REQUEST)
    session.receive(open, open.length)
  }
  assert.equal(session.closed, true)
})

test('pings that follow our DATA are no flood', () => {
  const end = newEnd('server', { streamWindowBytes: 1_000_000 })
  const { session, told } = end
  const wide = Buffer.from('00047fffffff', 'hex')
  const bytes = Buffer.concat([
    PREFACE,
    frame(FRAME.settings, 0, 0, wide),
    frame(FRAME.windowUpdate, 0, 0, Buffer.from('7fff0000', 'hex')),
    frame(FRAME.headers, WHOLE, 1, REQUEST),
  ])
  session.receive(bytes, bytes.length)
  const stream = told.streams.get(1)
  assert.ok(stream)
  session.sendResponseText(stream, ANSWER, 0, ANSWER.length, false)
  const ping = frame(FRAME.ping, 0, 0, Buffer.alloc(8))
  for (let i = 0; i < 5_000; i++) {
    session.sendData(stream, ANSWER, 0, ANSWER.length, false)
    session.receive(ping, ping.length)
    taken(end)
  }
  assert.equal(session.closed, false)
})

test('a peer that never acknowledges SETTINGS is let go, and one that does is not', () => {
  for (const acknowledges of [true, false]) {
    const end = newEnd('server')
    const { session, told } = end
    session.receive(begin, begin.length)
    const ack = frame(FRAME.settings, FLAG.ack, 0)
    if (acknowledges) session.receive(ack, ack.length)
    session.settingsTimedOut()
    assert.equal(session.closed, !acknowledges)
    assert.equal(session.counters.settings_timeout, acknowledges ? 0 : 1)
    if (!acknowledges) assert.deepEqual(told.log, ['error 4 SETTINGS were not acknowledged'])
  }
})
