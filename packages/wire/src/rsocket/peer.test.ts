import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { renderLease, renderMetadataPush, renderSetup, type Setup } from './connection-frames.ts'
import {
  type RSocketPayload,
  renderCancel,
  renderHead,
  renderPayload,
  renderRequest,
} from './frame-writer.ts'
import { FRAME_FLAG, FRAME_TYPE, LENGTH_PREFIX_BYTES, RSOCKET_ERROR } from './frames.ts'
import { RSocketPeer, type RSocketPeerHandler, type RSocketPeerOptions } from './peer.ts'
import type { RSocketStream, RSocketStreamHandler } from './stream.ts'

const OPTIONS: RSocketPeerOptions = {
  role: 'connecting',
  sendFrameBytes: 200,
  maxPayloadBytes: 100_000,
  maxStreams: 100,
}

const SETUP: Setup = {
  majorVersion: 1,
  minorVersion: 0,
  keepaliveMs: 20_000,
  maxLifetimeMs: 90_000,
  resumeToken: undefined,
  lease: false,
  metadataMime: 'message/x.rsocket.composite-metadata.v0',
  dataMime: 'application/json',
  payload: { data: Buffer.alloc(0) },
}

/** One side, which notes what it is told and answers as the test says. */
class Side implements RSocketPeerHandler {
  readonly told: string[] = []
  readonly sent: Uint8Array[] = []
  readonly peer: RSocketPeer
  answer: (stream: RSocketStream, payload: RSocketPayload) => void = () => {}
  refusal: string | undefined

  constructor(options: Partial<RSocketPeerOptions>) {
    this.peer = new RSocketPeer({ ...OPTIONS, ...options }, this)
  }

  write(frame: Uint8Array): void {
    this.sent.push(frame)
  }

  onSetup(setup: Setup): string | undefined {
    this.told.push(`setup ${setup.dataMime}`)
    return this.refusal
  }

  onRequest(stream: RSocketStream, payload: RSocketPayload): void {
    this.told.push(`${stream.interaction} ${stream.id} ${text(payload)}`)
    this.answer(stream, payload)
  }

  onLease(lease: { ttlMs: number; requests: number }): void {
    this.told.push(`lease ${lease.requests}`)
  }

  onMetadataPush(metadata: Uint8Array): void {
    this.told.push(`push ${Buffer.from(metadata)}`)
  }

  onFatal(code: number, message: string): void {
    this.told.push(`fatal ${code} ${message}`)
  }

  /** A stream handler that notes into `told`. */
  listen(name: string): RSocketStreamHandler {
    const { told } = this
    return {
      onItem: (payload, complete) =>
        told.push(`${name} item ${text(payload)}${complete ? ' end' : ''}`),
      onComplete: () => told.push(`${name} complete`),
      onError: (code, message) => told.push(`${name} error ${code} ${message}`),
      onRequestN: (n) => told.push(`${name} n ${n}`),
      onCancel: () => told.push(`${name} cancel`),
    }
  }
}

function text(payload: RSocketPayload): string {
  const metadata = payload.metadata === undefined ? '' : `[${Buffer.from(payload.metadata)}]`
  return `${metadata}${Buffer.from(payload.data)}`
}

function item(data: string, metadata?: string): RSocketPayload {
  return {
    data: Buffer.from(data),
    metadata: metadata === undefined ? undefined : Buffer.from(metadata),
  }
}

function feed(to: Side, frame: Uint8Array): void {
  to.peer.onFrame(frame, LENGTH_PREFIX_BYTES, frame.length)
}

/** Carries frames both ways until there are none. */
function settle(a: Side, b: Side): void {
  while (a.sent.length + b.sent.length > 0) {
    for (const frame of a.sent.splice(0)) feed(b, frame)
    for (const frame of b.sent.splice(0)) feed(a, frame)
  }
}

function connect(options: Partial<RSocketPeerOptions> = {}): { client: Side; server: Side } {
  const client = new Side({ ...options, role: 'connecting' })
  const server = new Side({ ...options, role: 'accepting' })
  client.write(renderSetup(SETUP))
  settle(client, server)
  server.told.length = 0
  return { client, server }
}

test('the four interactions, from both sides of a connection', () => {
  const { client, server } = connect()
  const answer = (stream: RSocketStream) => {
    stream.handler = client.listen('-')
    if (stream.interaction === 'rr') stream.next(item('pong', 'm'), true)
    while (stream.interaction === 'stream' && stream.credit > 0) stream.next(item('i'))
    if (stream.interaction === 'stream') stream.complete()
  }
  for (const [asker, other, odd] of [
    [client, server, 1],
    [server, client, 2],
  ] as const) {
    other.answer = answer
    asker.peer.request('rr', item('ping'), asker.listen('rr'))
    asker.peer.request('stream', item('s'), asker.listen('stream'), { initialN: 2 })
    asker.peer.request('fnf', item('f', 'meta'), asker.listen('fnf'))
    settle(client, server)
    assert.deepEqual(other.told.splice(0), [
      `rr ${odd} ping`,
      `stream ${odd + 2} s`,
      `fnf ${odd + 4} [meta]f`,
    ])
    assert.deepEqual(asker.told.splice(0), [
      'rr item [m]pong end',
      'stream item i',
      'stream item i',
      'stream complete',
    ])
  }
  assert.equal(client.peer.openStreams + server.peer.openStreams, 0)
})

test('a channel: both halves, credit both ways', () => {
  const { client, server } = connect()
  let far: RSocketStream | undefined
  server.answer = (stream) => {
    far = stream
    stream.handler = server.listen('far')
  }
  const near = client.peer.request('channel', item('0'), client.listen('near'), { initialN: 1 })
  settle(client, server)
  assert.ok(far !== undefined)
  assert.throws(() => near.next(item('1')), /asked for none/)
  far.requestN(2)
  far.next(item('a'))
  assert.throws(() => far?.next(item('b')), /asked for none/)
  settle(client, server)
  near.next(item('1'))
  near.next(item('2'), true)
  near.requestN(5)
  settle(client, server)
  far.next(item('b'), true)
  settle(client, server)
  assert.deepEqual(client.told, ['near n 2', 'near item a', 'near item b end'])
  assert.deepEqual(server.told, ['channel 1 0', 'far item 1', 'far item 2 end', 'far n 5'])
  assert.equal(client.peer.openStreams + server.peer.openStreams, 0)
})

test('a channel with one item tells the responder that it is the only one', () => {
  const { client, server } = connect()
  server.answer = (stream) => {
    stream.handler = server.listen('far')
  }
  client.peer.request('channel', item('x'.repeat(500)), client.listen('near'), { complete: true })
  settle(client, server)
  assert.deepEqual(server.told, [`channel 1 ${'x'.repeat(500)}`, 'far complete'])
})

test('large payloads travel in fragments, both ways', () => {
  const { client, server } = connect()
  const large = item('d'.repeat(3000), 'm'.repeat(900))
  server.answer = (stream, payload) => stream.next(payload, true)
  client.peer.request('rr', large, client.listen('rr'))
  assert.ok(client.sent.every((frame) => frame.length <= 203) && client.sent.length > 15)
  settle(client, server)
  assert.deepEqual(client.told, [`rr item ${text(large)} end`])
})

test('errors and cancels end streams on both sides', () => {
  const { client, server } = connect()
  server.answer = (stream) => {
    stream.handler = server.listen(`s${stream.id}`)
    if (stream.interaction === 'rr') stream.fail(RSOCKET_ERROR.applicationError, 'no')
  }
  client.peer.request('rr', item(''), client.listen('rr'))
  const stream = client.peer.request('stream', item(''), client.listen('stream'), { initialN: 1 })
  settle(client, server)
  stream.cancel()
  settle(client, server)
  assert.deepEqual(client.told, ['rr error 513 no'])
  assert.deepEqual(server.told.slice(2), ['s3 cancel'])
  assert.equal(client.peer.openStreams + server.peer.openStreams, 0)
})

test('more items than asked for break the stream, not the connection', () => {
  const { client, server } = connect()
  const asked = client.peer.request('stream', item(''), client.listen('s'), { initialN: 1 })
  client.sent.length = 0
  for (const data of ['a', 'b']) feed(client, renderPayload(asked.id, item(data), FRAME_FLAG.next))
  assert.deepEqual(client.told, ['s item a', 's error 516 more items than asked for'])
  assert.equal(client.sent.length, 1, 'CANCEL')
  assert.equal(client.peer.openStreams + server.peer.openStreams, 0)
})

test('the first frame must be SETUP; a LEASE before it is tolerated; a refusal is said', () => {
  const wrong = new Side({ role: 'accepting' })
  feed(wrong, renderRequest('rr', 1, item(''), 0))
  assert.deepEqual(wrong.told, ['fatal 1 the first frame must be SETUP'])
  const lenient = new Side({ role: 'accepting' })
  feed(lenient, renderLease({ ttlMs: 1, requests: 1 }))
  feed(lenient, renderSetup(SETUP))
  assert.deepEqual(lenient.told, ['setup application/json'])
  const refusing = new Side({ role: 'accepting' })
  refusing.refusal = 'not you'
  feed(refusing, renderSetup(SETUP))
  assert.equal(refusing.told.at(-1), 'fatal 3 not you')
  assert.equal(refusing.peer.closed, true)
})

test('frames of the connection', () => {
  const { client } = connect()
  feed(client, renderLease({ ttlMs: 1000, requests: 4 }))
  feed(client, renderMetadataPush(Buffer.from('event')))
  feed(client, renderHead(FRAME_TYPE.ext, FRAME_FLAG.ignore, 0, 4))
  assert.deepEqual(client.told, ['lease 4', 'push event'])
  feed(client, renderHead(0x20, 0, 0, 0))
  assert.equal(client.told.at(-1), 'fatal 257 a frame of type 0x20 on stream 0')
})

test('late frames, unknown frames to be ignored and ids in use cost nothing', () => {
  const { client, server } = connect()
  server.answer = (stream) => {
    stream.handler = server.listen('far')
  }
  feed(server, renderPayload(99, item('late'), FRAME_FLAG.next))
  feed(server, renderHead(0x21, FRAME_FLAG.ignore, 5, 3))
  feed(server, renderRequest('rr', 4, item('even id'), 0))
  feed(server, renderRequest('rr', 4, item('twice'), 0))
  assert.deepEqual(server.told, ['rr 4 even id'])
  const own = server.peer.request('rr', item(''), server.listen('own'))
  assert.equal(own.id, 2)
  assert.equal(server.peer.request('rr', item(''), server.listen('own')).id, 6, '4 is in use')
  assert.equal(client.peer.closed, false)
})

test('too many streams are REJECTED, an initial request n of 0 is INVALID', () => {
  const { client, server } = connect({ maxStreams: 1 })
  server.answer = (stream) => {
    stream.handler = server.listen('far')
  }
  client.peer.request('rr', item('1'), client.listen('a'))
  client.peer.request('rr', item('2'), client.listen('b'))
  client.peer.request('stream', item('3'), client.listen('c'), { initialN: 0 })
  settle(client, server)
  assert.deepEqual(client.told, [
    'b error 514 too many open streams',
    'c error 516 initial request n must be > 0',
  ])
})

test('a payload above the limit is INVALID, in one frame as in fragments', () => {
  for (const sendFrameBytes of [200, 10_000]) {
    const { client, server } = connect({ sendFrameBytes, maxPayloadBytes: 1_000 })
    server.answer = (stream) => stream.next(item('x'.repeat(1_001)), true)
    client.peer.request('rr', item('x'.repeat(1_001)), client.listen('long'))
    client.peer.request('rr', item('short'), client.listen('short'))
    settle(client, server)
    assert.deepEqual(
      server.told.filter((line) => line.startsWith('rr')),
      ['rr 3 short'],
    )
    const errors = client.told.filter((line) => /error/.test(line))
    assert.equal(errors.length, 2, client.told.join())
    for (const line of errors) assert.match(line, /a payload of more than 1000 bytes/)
    assert.deepEqual([client.peer.openStreams, server.peer.openStreams], [0, 0])
  }
})

test('payloads under way in fragments cost no more than was allowed, in all', () => {
  const { client, server } = connect({ sendFrameBytes: 1_000, maxHeldBytes: 5_000 })
  const begin = (id: number) =>
    feed(server, renderRequest('rr', id, item('y'.repeat(900)), 0, FRAME_FLAG.follows))
  const refused = () =>
    server.sent.filter((frame) => frame[LENGTH_PREFIX_BYTES + 4] === 0x2c).length
  server.sent.length = 0
  for (let id = 1; id <= 11; id += 2) begin(id)
  assert.equal(server.peer.openStreams, 5)
  assert.equal(refused(), 1)
  assert.equal(Buffer.from(server.sent.at(-1) ?? []).readUInt32BE(9), RSOCKET_ERROR.rejected)
  // Whoever ends, leaves or is done gives back what it had.
  for (let id = 1; id <= 5; id += 2) feed(server, renderCancel(id))
  feed(server, renderPayload(7, item('end'), FRAME_FLAG.next | FRAME_FLAG.complete))
  for (let id = 13; id <= 19; id += 2) begin(id)
  assert.equal(refused(), 1)
  begin(21)
  assert.equal(refused(), 2)
  assert.equal(client.told.length, 0)
})

test('closing ends every stream with an error that says it may have run', () => {
  const { client, server } = connect()
  client.peer.request('rr', item(''), client.listen('a'))
  client.peer.close('the connection is lost')
  client.peer.close('twice')
  assert.deepEqual(client.told, ['a error 515 the connection is lost'])
  feed(client, renderPayload(1, item('late'), FRAME_FLAG.next))
  assert.equal(client.told.length, 1)
  assert.equal(server.peer.closed, false)
})

test('no frames make a peer throw, and streams that were open are accounted for', () => {
  const random = seededRandom(7)
  for (let round = 0; round < 300; round++) {
    const { server } = connect({ maxStreams: 5 })
    server.answer = (stream) => {
      stream.handler = server.listen('far')
    }
    for (let count = 0; count < 60; count++) {
      const type = Math.floor(random() * 16)
      const frame = renderHead(type, Math.floor(random() * 1024), Math.floor(random() * 6), 12)
      for (let at = 9; at < frame.length; at++) frame[at] = random() < 0.7 ? 0 : random() * 256
      feed(server, frame)
    }
    assert.ok(server.peer.openStreams <= 5)
    server.peer.close('end')
    assert.equal(server.peer.openStreams, 0)
  }
})
