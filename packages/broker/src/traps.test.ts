/**
 * What the clients of the field do, and protocols tempt to do wrong: the list of traps of the
 * design, and where each has its test. The names of the tests say "trap n".
 *
 *      1  lengths of spelled-out types are one less   protocol, wire/rsocket/metadata
 *      2  METADATA_PUSH kills 1.0.0-alpha.3           peer-events, interop/rsocket-traps
 *      3  CONNECTION_CLOSE kills requests             peer-events, interop/rsocket-traps
 *      4  LEASE before SETUP                          protocol, interop/rsocket
 *      5  SETUP has no answer                         protocol
 *      6  fire-and-forget in fragments                protocol, interop/rsocket-traps
 *      7  metadata over fragments                     protocol, interop/rsocket-traps
 *      8  PAYLOAD without C ends request/response     protocol, wire/rsocket/stream-state
 *      9  CANCEL of a channel's responder             protocol, wire/rsocket/stream-state
 *     10  stream ids wrap                             here, protocol
 *     11  request n of 0, and of everything           protocol
 *     12  frames of 16 MB                             protocol, interop/rsocket-traps
 *     13  WebSocket: a message a frame, binary        here
 *     14  dead after the lifetime, not the interval   peer-events
 *     15  position 0 in KEEPALIVE                     protocol
 *     16  what may be sent again stays as it was      protocol
 *     17  Nagle's algorithm                           here
 *     18  signed hashes                               alibaba, wire/rsocket/metadata
 *     19  binary routing first, short metadata        protocol, alibaba
 *     20  data is not decoded                         protocol
 *     21  open files of 10,000 connections            bench/rsocket/idle
 *     22  what coalescing does to figures             no client's: bench/rsocket/run names its works so
 *     23  rsocket-py’s keepalive of 500 ms            protocol
 *     24  resume positions of npm's generations       here, protocol, interop/rsocket-traps
 *     25  lengths beyond the frame                    protocol, wire/rsocket/codec
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { mock, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { createHandleTransport, createNodeTransport } from '@weft/net'
import { eventually } from '@weft/testkit'
import { FRAME_FLAG, FRAME_TYPE, renderKeepalive, renderSetup } from '@weft/wire'
import { Broker } from './broker.ts'
import { openRawBroker, plainSetup } from './raw-fixture.ts'

const { complete: C, next: N } = FRAME_FLAG
const LOOPBACK = { host: '127.0.0.1', port: 0 }
/** Over WebSocket nothing says how long a frame is. */
const PREFIX_BYTES = 3

test('trap 10: forty requests from id 2^31 − 20 on, around those that stay open', async () => {
  const raw = await openRawBroker()
  const answerer = await raw.peer({ services: ['s'] })
  const asker = await raw.peer()
  for (const id of [1, 3]) asker.ask(id, 's.stays')
  await asker.settled()
  await answerer.settled()
  assert.deepEqual(answerer.take(), ['2 requestResponse', '4 requestResponse'])
  raw.broker.registry.find('s')[0]?.beginIdsAt(0x8000_0000 - 20)
  const expected = [
    ...Array.from({ length: 10 }, (_, at) => 0x8000_0000 - 20 + at * 2),
    // Not 0, which is the connection, and neither 2 nor 4.
    ...Array.from({ length: 30 }, (_, at) => 6 + at * 2),
  ]
  for (const at of expected.keys()) asker.ask(5 + at * 2, 's.m', String(at))
  await asker.settled()
  await answerer.settled()
  assert.deepEqual(
    answerer.take(),
    expected.map((id, at) => `${id} requestResponse ${at}`),
  )
  for (const [at, id] of expected.entries()) answerer.item(id, N | C, String(at))
  const answers = expected.map((_, at) => `${5 + at * 2} payload CN ${at}`)
  await eventually(() => assert.deepEqual(asker.heard, answers))
  assert.equal(raw.broker.openStreams, 2)
  raw.broker.close()
})

async function openWebSocket() {
  const broker = new Broker(
    { id: 'b' },
    {
      transport: createHandleTransport(),
      clock: realClock,
      log: silentLogger,
      random: Math.random,
    },
  )
  const { port } = await broker.listen({ kind: 'websocket', address: LOOPBACK })
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`)
  socket.binaryType = 'arraybuffer'
  await once(socket, 'open')
  const messages: Buffer[] = []
  socket.onmessage = ({ data }) => void messages.push(Buffer.from(data as ArrayBuffer))
  socket.send(Buffer.from(renderSetup(plainSetup()).subarray(PREFIX_BYTES)))
  const end = once(socket, 'close').then(([event]) => (event as CloseEvent).code)
  return { broker, socket, messages, end }
}

test('trap 13: over WebSocket every message is one frame, both ways', async () => {
  const { broker, socket, messages, end } = await openWebSocket()
  const words = ['one', 'two', 'three']
  for (const word of words) {
    socket.send(Buffer.from(renderKeepalive(true, 0, Buffer.from(word)).subarray(PREFIX_BYTES)))
  }
  await eventually(() => assert.equal(messages.length, 3))
  for (const [at, word] of words.entries()) {
    const message = messages[at] ?? Buffer.alloc(6)
    assert.equal(message.readUInt16BE(4) >>> 10, FRAME_TYPE.keepalive)
    assert.equal(message.subarray(-word.length).toString(), word)
  }
  // Two frames in one message are one frame with data: nobody looks for a second one.
  const first = renderKeepalive(true, 0, Buffer.from('a')).subarray(PREFIX_BYTES)
  socket.send(Buffer.concat([first, first]))
  await eventually(() => assert.equal(messages.length, 4))
  assert.equal(messages[3]?.length, 2 * first.length)
  socket.close()
  await end
  broker.close()
})

test('trap 13: a text message ends the connection with 1003', async () => {
  const { broker, socket, end } = await openWebSocket()
  socket.send('text')
  assert.equal(await end, 1003)
  assert.equal(broker.connections, 0)
  broker.close()
})

test('trap 13: a message longer than a frame can be ends the connection with 1009', async () => {
  const { broker, socket, end } = await openWebSocket()
  socket.send(Buffer.alloc(20_000_000))
  assert.equal(await end, 1009)
  broker.close()
})

for (const create of [createHandleTransport, createNodeTransport]) {
  test(`trap 17: ${create.name} turns Nagle’s algorithm off for who dials in`, async () => {
    const broker = new Broker(
      { id: 'b' },
      { transport: create(), clock: realClock, log: silentLogger, random: Math.random },
    )
    const { port } = await broker.listen({ kind: 'tcp', address: LOOPBACK })
    const socket = connect({ host: '127.0.0.1', port })
    // Sockets of both sides have the same class of handles; this one does not turn it off itself.
    const { _handle: handle } = socket as unknown as {
      _handle: { setNoDelay(on: boolean): number }
    }
    const turned = mock.method(Object.getPrototypeOf(handle) as typeof handle, 'setNoDelay')
    socket.write(renderSetup(plainSetup()))
    await eventually(() => assert.equal(broker.connections, 1))
    assert.deepEqual(
      turned.mock.calls.map((call) => call.arguments),
      [[true]],
    )
    turned.mock.restore()
    socket.destroy()
    broker.close()
  })
}

test('trap 24: whoever wants to resume is refused, and counted among those who were not let in', async () => {
  const raw = await openRawBroker()
  const begins = await raw.silent()
  begins.send(renderSetup(plainSetup({ resumeToken: Buffer.from('token') })))
  await eventually(() => assert.ok(begins.closed))
  const resumes = await raw.silent()
  resumes.frame(0, FRAME_TYPE.resume, 0, Buffer.alloc(22))
  await eventually(() => assert.ok(resumes.closed))
  assert.equal(raw.broker.counters.rejectedSetups, 2)
  raw.broker.close()
})
