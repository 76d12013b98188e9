/**
 * The protocol as bytes over real sockets: what a broker must take, refuse and ignore
 * (Protocol.md), and what clients of the field do beyond it ("trap n" names the list of the design).
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '@weft/testkit'
import {
  FRAME_FLAG,
  FRAME_TYPE,
  METADATA_ID,
  RSOCKET_ERROR,
  renderComposite,
  renderKeepalive,
  renderLease,
  renderRequestN,
  renderRoutingTags,
  renderSetup,
} from '@weft/wire'
import { setupOf } from './broker-fixture.ts'
import {
  body,
  openRawBroker,
  plainSetup,
  type RawBroker,
  type RawPeer,
  rawFrame,
  routeTo,
} from './raw-fixture.ts'

const { metadata: M, follows: F, complete: C, next: N, ignore: I } = FRAME_FLAG
const RR = FRAME_TYPE.requestResponse
const FNF = FRAME_TYPE.requestFnf
const STREAM = FRAME_TYPE.requestStream
const CHANNEL = FRAME_TYPE.requestChannel
const { payload: PAYLOAD, cancel: CANCEL, error: ERROR } = FRAME_TYPE
const ROUTED = body({ metadata: routeTo('s.m'), data: 'q' })
const UNKNOWN_TYPE = 0x2a
const M0 = Buffer.alloc(0)

let raw: RawBroker
let asker: RawPeer
let answerer: RawPeer
let instances = 0

before(async () => {
  raw = await openRawBroker({ limits: { maxShortFragments: 4 } })
})
after(() => raw.broker.close())

/** Both ends anew, so that stream ids begin at 1 and 2. */
async function ends(): Promise<void> {
  asker?.close()
  answerer?.close()
  await eventually(() => assert.equal(raw.broker.connections, 0))
  answerer = await raw.peer({ services: ['s'], instance: `answerer-${++instances}` })
  asker = await raw.peer()
}

/** What both ends heard, once everything under way has arrived. */
async function heard(): Promise<{ asker: string[]; answerer: string[] }> {
  if (!asker.closed) await asker.settled()
  if (!answerer.closed) await answerer.settled()
  if (!asker.closed) await asker.settled()
  return { asker: asker.take(), answerer: answerer.take() }
}

interface Case {
  readonly name: string
  readonly run: () => void | Promise<void>
  readonly asker?: readonly string[]
  readonly answerer?: readonly string[]
  /** The broker ends the asker's connection with this on stream 0. */
  readonly fatal?: string
}

/** Sends, and lets the other end hear it before it answers. */
async function then(next: () => void): Promise<void> {
  await asker.settled()
  await answerer.settled()
  next()
}

const stream = (n: number) => body({ n, metadata: routeTo('s.m'), data: 'q' })

const CASES: readonly Case[] = [
  {
    name: 'a request on an id in use is ignored',
    run() {
      asker.ask(1, 's.m', 'first')
      asker.ask(1, 's.m', 'second')
    },
    answerer: ['2 requestResponse first'],
  },
  {
    name: 'ids of any parity are taken, and ours keep clear of them',
    run() {
      asker.ask(4, 's.m', 'even')
      asker.ask(99, 's.m', 'far')
    },
    answerer: ['2 requestResponse even', '4 requestResponse far'],
  },
  {
    name: 'an unknown type with I is ignored, on the connection and on a stream',
    run() {
      asker.frame(0, UNKNOWN_TYPE, I)
      asker.frame(7, UNKNOWN_TYPE, I)
      asker.frame(0, FRAME_TYPE.ext, I, Buffer.alloc(4))
    },
  },
  {
    name: 'an unknown type without I on stream 0',
    run: () => asker.frame(0, UNKNOWN_TYPE, 0),
    fatal: '0 error 101 a frame of type 0x2a on stream 0',
  },
  {
    name: 'an unknown type without I on a stream',
    run: () => asker.frame(9, UNKNOWN_TYPE, 0),
    fatal: '0 error 101 a frame of type 0x2a on a stream',
  },
  {
    name: 'EXT without I',
    run: () => asker.frame(0, FRAME_TYPE.ext, 0, Buffer.alloc(4)),
    fatal: '0 error 101 a frame of type 0x3f on stream 0',
  },
  {
    name: 'a second SETUP is ignored',
    run: () => asker.send(renderSetup(plainSetup())),
  },
  {
    name: 'late frames of streams that nobody knows are dropped',
    run() {
      asker.item(11, N | C, 'late')
      asker.frame(11, CANCEL, 0)
      asker.frame(11, ERROR, 0, Buffer.from([0, 0, 2, 1]))
      asker.send(renderRequestN(11, 5))
    },
  },
  {
    name: 'trap 6: a fire-and-forget in fragments, with and without N',
    run() {
      asker.frame(1, FNF, M | F, ROUTED)
      asker.item(1, F | N, 'and this one goes on for long')
      asker.item(1, F, 'without next, as some clients do')
      asker.item(1, N, 'end')
      asker.item(1, N, 'after the end')
    },
    answerer: [
      '2 requestFnf F q',
      '2 payload FN and this one goes on for long',
      '2 payload F without next, as some clients do',
      '2 payload N end',
    ],
  },
  {
    name: 'trap 7: metadata over several fragments, answered by one',
    async run() {
      const whole = routeTo('s.m', `k=${'v'.repeat(60)}`)
      const [a, b, c] = [whole.subarray(0, 20), whole.subarray(20, 50), whole.subarray(50)]
      asker.frame(1, RR, M | F, body({ metadata: a }))
      asker.frame(1, PAYLOAD, M | F, body({ metadata: b }))
      asker.frame(1, PAYLOAD, M | N, body({ metadata: c, data: 'data' }))
      await then(() => answerer.item(2, N | C, 'ok'))
    },
    answerer: ['2 requestResponse F', '2 payload F', '2 payload N data'],
    asker: ['1 payload CN ok'],
  },
  {
    name: 'metadata that is cancelled before it is whole',
    run() {
      asker.frame(1, RR, M | F, body({ metadata: routeTo('s.m').subarray(0, 3) }))
      asker.frame(1, CANCEL, 0)
      asker.ask(3, 's.m', 'next')
    },
    answerer: ['2 requestResponse next'],
  },
  {
    name: 'trap 8: a PAYLOAD of request/response without C ends it',
    async run() {
      asker.ask(1, 's.m')
      await then(() => {
        answerer.item(2, N, 'all')
        answerer.item(2, N | C, 'more')
      })
    },
    answerer: ['2 requestResponse'],
    asker: ['1 payload N all'],
  },
  {
    name: 'an answer in fragments, with and without N',
    async run() {
      asker.ask(1, 's.m')
      await then(() => {
        answerer.item(2, F | N, 'a first part of the answer')
        answerer.item(2, F, 'a part in between, with no N')
        answerer.item(2, N | C, 'end')
      })
    },
    answerer: ['2 requestResponse'],
    asker: [
      '1 payload FN a first part of the answer',
      '1 payload F a part in between, with no N',
      '1 payload CN end',
    ],
  },
  {
    name: 'F beside C is no fragment: the stream is over',
    async run() {
      asker.frame(1, STREAM, M, stream(3))
      await then(() => {
        answerer.item(2, F | N | C, 'last')
        answerer.item(2, N, 'more')
      })
    },
    answerer: ['2 requestStream 3 q'],
    asker: ['1 payload FCN last'],
  },
  {
    name: "trap 9: CANCEL from a channel's responder ends the requester's half only",
    async run() {
      asker.frame(1, CHANNEL, M, stream(5))
      await then(() => {
        answerer.send(renderRequestN(2, 3))
        answerer.frame(2, CANCEL, 0)
        answerer.item(2, N, 'still')
      })
      await then(() => asker.item(1, N, 'into the void'))
      await then(() => answerer.item(2, N | C, 'end'))
    },
    answerer: ['2 requestChannel 5 q'],
    asker: ['1 requestN 3', '1 cancel', '1 payload N still', '1 payload CN end'],
  },
  {
    name: 'CANCEL from the requester of a channel ends both halves',
    async run() {
      asker.frame(1, CHANNEL, M, stream(5))
      await then(() => asker.frame(1, CANCEL, 0))
      await then(() => answerer.item(2, N, 'late'))
    },
    answerer: ['2 requestChannel 5 q', '2 cancel'],
  },
  {
    name: 'a channel that completes with its request, and one whose halves end one by one',
    async run() {
      asker.frame(1, CHANNEL, M | C, stream(5))
      asker.frame(3, CHANNEL, M, stream(5))
      await then(() => {
        answerer.send(renderRequestN(2, 9), renderRequestN(4, 9))
        answerer.item(2, N | C, 'one')
        answerer.item(4, C)
      })
      await then(() => asker.item(3, N | C, 'last'))
    },
    answerer: ['2 requestChannel C 5 q', '4 requestChannel 5 q', '4 payload CN last'],
    asker: ['3 requestN 9', '1 payload CN one', '3 payload C'],
  },
  {
    name: 'trap 11: a first request n of 0 is INVALID, of a stream and of a channel',
    run() {
      asker.frame(1, STREAM, M, stream(0))
      asker.frame(3, CHANNEL, M, stream(0))
      asker.frame(5, STREAM, M, stream(0x8000_0000))
    },
    asker: [
      '1 error 204 request n must be > 0',
      '3 error 204 request n must be > 0',
      '5 error 204 request n must be > 0',
    ],
  },
  {
    name: 'trap 11: more than everything is still everything; a request n of 0 is nothing',
    async run() {
      asker.frame(1, STREAM, M, stream(0x7fff_ffff))
      asker.send(renderRequestN(1, 0x7fff_ffff), renderRequestN(1, 1), renderRequestN(1, 0))
      await then(() => {
        for (let item = 0; item < 64; item++) answerer.item(2, N, 'i')
      })
    },
    answerer: ['2 requestStream 128 q', '2 requestN 129'],
    asker: Array.from({ length: 64 }, () => '1 payload N i'),
  },
  {
    name: 'REQUEST_N of a request/response and of a responder of a stream are dropped',
    async run() {
      asker.ask(1, 's.m')
      asker.send(renderRequestN(1, 5))
      asker.frame(3, STREAM, M, stream(1))
      await then(() => answerer.send(renderRequestN(4, 5)))
    },
    answerer: ['2 requestResponse', '4 requestStream 1 q'],
  },
  {
    name: 'items of a channel that the responder did not ask for end it on both sides',
    async run() {
      asker.frame(1, CHANNEL, M, stream(5))
      await then(() => answerer.send(renderRequestN(2, 1)))
      await then(() => {
        asker.item(1, N, 'asked for')
        asker.item(1, N, 'not asked for')
      })
    },
    answerer: ['2 requestChannel 5 q', '2 payload N asked for', '2 cancel'],
    asker: ['1 requestN 1', '1 error 204 more items than asked for'],
  },
  {
    name: 'fragments that add nothing end the stream, before and after the verdict',
    run() {
      asker.frame(1, RR, M | F, ROUTED)
      for (let part = 0; part < 6; part++) asker.item(1, F | N)
      asker.frame(3, RR, M | F, body({ metadata: routeTo('s.m').subarray(0, 3) }))
      for (let part = 0; part < 6; part++) asker.frame(3, PAYLOAD, M | F, body({ metadata: M0 }))
    },
    answerer: [
      '2 requestResponse F q',
      ...Array.from({ length: 4 }, () => '2 payload FN'),
      '2 cancel',
    ],
    asker: [
      '1 error 204 fragments that add next to nothing',
      '3 error 204 fragments that add next to nothing',
    ],
  },
  {
    name: 'an ERROR of the requester ends a channel and nothing else',
    async run() {
      const code = Buffer.from([0, 0, 2, 1])
      asker.frame(1, CHANNEL, M, stream(5))
      asker.ask(3, 's.m')
      await then(() => {
        asker.frame(1, ERROR, 0, code)
        asker.frame(3, ERROR, 0, code)
      })
      await then(() => answerer.item(4, N | C, 'answer'))
    },
    answerer: ['2 requestChannel 5 q', '4 requestResponse', '2 error 201'],
    asker: ['3 payload CN answer'],
  },
  {
    name: 'frames of one end that belong to the other are dropped',
    async run() {
      asker.ask(1, 's.m')
      await then(() => {
        asker.item(1, N | C, 'I answer myself')
        answerer.frame(2, CANCEL, 0)
        answerer.item(1, N | C, 'by the wrong id')
      })
      await then(() => answerer.item(2, N | C, 'answer'))
    },
    answerer: ['2 requestResponse'],
    asker: ['1 payload CN answer'],
  },
  {
    name: 'trap 15: KEEPALIVE answers carry position 0 and the data, whatever was claimed',
    async run() {
      asker.send(renderKeepalive(true, 123_456, Buffer.from('data')))
      await eventually(() => assert.equal(asker.heard.length, 1))
      assert.equal(asker.frames[0]?.readBigUInt64BE(6), 0n)
      asker.send(renderKeepalive(false, 5, Buffer.from('no answer is wanted')))
    },
    asker: ['0 keepalive data'],
  },
  {
    name: 'KEEPALIVE without a position',
    run: () => asker.frame(0, FRAME_TYPE.keepalive, 0x80, Buffer.alloc(7)),
    fatal: '0 error 101 KEEPALIVE is shorter than its position',
  },
  {
    name: 'trap 25: metadata longer than its frame breaks the connection, not the broker',
    run: () => asker.frame(1, RR, M, Buffer.from([0xff, 0xff, 0xff, 1])),
    fatal: '0 error 101 metadata is longer than its frame',
  },
  {
    name: 'trap 25: a length of metadata that is cut off',
    run: () => asker.frame(1, RR, M, Buffer.from([0, 0])),
    fatal: '0 error 101 a frame ends within the length of its metadata',
  },
  {
    name: 'trap 25: a frame of length 0',
    run: () => asker.send(Buffer.from([0, 0, 0])),
    fatal: '0 error 101 a frame of 0 bytes is shorter than its head of 6',
  },
  {
    name: 'trap 25: a request n that is cut off',
    run: () => asker.frame(1, STREAM, 0, Buffer.from([0, 0])),
    fatal: '0 error 101 a frame ends within its fields',
  },
  {
    name: 'a stream id with its top bit set',
    run: () => asker.frame(0x8000_0001, RR, 0),
    fatal: '0 error 101 the top bit of a stream id is set',
  },
  {
    name: 'trap 1: entries of types that are spelled out are passed over by length − 1',
    async run() {
      const metadata = Buffer.concat([
        Buffer.from([2, 0x78, 0x2f, 0x79, 0, 0, 3, 1, 2, 3]),
        routeTo('s.m'),
      ])
      asker.frame(1, RR, M, body({ metadata, data: 'found' }))
    },
    answerer: ['2 requestResponse found'],
  },
  {
    name: 'trap 19: metadata under eight bytes is only that',
    run() {
      for (let length = 0; length < 8; length++) {
        const metadata = Buffer.alloc(length, 0xd0)
        asker.frame(1 + 2 * length, RR, M, body({ metadata }))
      }
    },
    asker: [
      '1 error 204 the request has no routing metadata',
      ...Array.from(
        { length: 7 },
        (_, at) => `${3 + 2 * at} error 204 the composite metadata ends within an entry`,
      ),
    ],
  },
]

describe('one connection asks, another answers', () => {
  for (const each of CASES) {
    test(each.name, async () => {
      await ends()
      await each.run()
      if (each.fatal !== undefined) {
        await eventually(() => assert.ok(asker.closed, 'the broker closes'))
        assert.deepEqual(asker.take(), [each.fatal])
        assert.deepEqual((await heard()).answerer, each.answerer ?? [])
        return
      }
      const { asker: atAsker, answerer: atAnswerer } = await heard()
      assert.deepEqual(atAnswerer, each.answerer ?? [], 'at the responder')
      assert.deepEqual(atAsker, each.asker ?? [], 'at the requester')
      assert.equal(asker.closed, false)
    })
  }
})

describe('the first frame', () => {
  const cases = [
    ['a request', rawFrame(1, RR, M, ROUTED), '0 error 1 the first frame must be SETUP'],
    ['SETUP on a stream', rawFrame(1, FRAME_TYPE.setup, 0, Buffer.alloc(20)), '0 error 1'],
    ['KEEPALIVE', renderKeepalive(true, 0, M0), '0 error 1 the first frame must be SETUP'],
    [
      'RESUME',
      rawFrame(0, FRAME_TYPE.resume, 0, Buffer.alloc(22)),
      '0 error 4 resumption is not supported',
    ],
    [
      'trap 24: SETUP with a resume token',
      renderSetup(plainSetup({ resumeToken: Buffer.from('t') })),
      '0 error 3 resumption is not supported',
    ],
    [
      'SETUP of version 2',
      renderSetup(plainSetup({ majorVersion: 2 })),
      '0 error 1 version 2 is not supported',
    ],
    [
      'SETUP that ends within its MIME types',
      rawFrame(0, FRAME_TYPE.setup, 0, Buffer.from([0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 9])),
      '0 error 1 SETUP ends within its MIME types',
    ],
    [
      'a frame longer than an introduction may be',
      Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0]),
      '0 error 101 a frame of 16777215 bytes is longer than the limit of 131072',
    ],
  ] as const
  for (const [name, bytes, answer] of cases) {
    test(`${name} is refused`, async () => {
      const peer = await raw.silent()
      peer.send(bytes)
      await eventually(() => assert.ok(peer.closed))
      assert.equal(peer.heard.length, 1)
      assert.equal(peer.heard[0]?.slice(0, answer.length), answer)
    })
  }

  test('trap 5: nothing answers SETUP, and requests may come right behind it (false start)', async () => {
    await ends()
    const peer = await raw.silent()
    peer.send(
      renderSetup(plainSetup()),
      rawFrame(1, RR, M, body({ metadata: routeTo('s.m'), data: 'a' })),
      rawFrame(3, FNF, M, body({ metadata: routeTo('s.m'), data: 'b' })),
    )
    await peer.settled()
    await answerer.settled()
    assert.deepEqual(peer.take(), [])
    assert.deepEqual(answerer.take(), ['2 requestResponse a', '4 requestFnf b'])
    peer.close()
  })

  test('trap 5: a false start of 4 MB waits for its verdict too', async () => {
    await ends()
    const peer = await raw.silent()
    const data = Buffer.alloc(4_000_000, 'd')
    peer.send(
      renderSetup(plainSetup()),
      rawFrame(1, RR, M, body({ metadata: routeTo('s.m'), data })),
    )
    await eventually(() => assert.equal(answerer.heard[0]?.length, 18 + data.length))
    peer.close()
  })

  test('SETUP and a request, cut at every byte', async () => {
    await ends()
    const bytes = Buffer.concat([
      renderSetup(setupOf({ instance: 'cut' })),
      rawFrame(1, RR, M, ROUTED),
    ])
    for (let cut = 1; cut < bytes.length; cut++) {
      const peer = await raw.silent()
      peer.socket.write(bytes.subarray(0, cut))
      await new Promise<void>((resolve) => setImmediate(resolve))
      peer.socket.write(bytes.subarray(cut))
      await eventually(() => assert.match(answerer.heard.join(), /requestResponse q/))
      peer.close()
      await eventually(() => assert.match(answerer.heard.join(), /cancel/))
      answerer.take()
    }
  })

  test('trap 4: a LEASE before SETUP is kept', async () => {
    await ends()
    const peer = await raw.silent()
    const hello = setupOf({ services: ['leased'], instance: 'leased', lease: true })
    peer.send(renderLease({ ttlMs: 60_000, requests: 1 }), renderSetup(hello))
    await peer.settled()
    assert.deepEqual(peer.take(), ['0 lease 16384'], 'and the broker leases too')
    asker.ask(1, 'leased.m', 'one')
    asker.ask(3, 'leased.m', 'two')
    assert.deepEqual((await heard()).asker, [
      '3 error 202 WEFT-503 no responder can take the request',
    ])
    await peer.settled()
    assert.deepEqual(peer.take(), ['2 requestResponse one'])
    peer.close()
  })
})

test('trap 10: ids wrap at 2^31 − 1 and keep clear of those in use', async () => {
  await ends()
  const leg = raw.broker.registry.find('s')[0]
  asker.ask(1, 's.m', 'stays open')
  await asker.settled()
  leg?.beginIdsAt(0x7fff_fffe)
  for (const id of [3, 5]) asker.ask(id, 's.m')
  assert.deepEqual((await heard()).answerer, [
    '2 requestResponse stays open',
    '2147483646 requestResponse',
    '4 requestResponse',
  ])
})

test('trap 12: an answer of 16 MB in one frame passes', async () => {
  await ends()
  asker.ask(1, 's.m')
  await then(() => {})
  const data = Buffer.alloc(0xff_ff_ff - 6, 'x')
  answerer.frame(2, PAYLOAD, N | C, data)
  await eventually(() => assert.equal(asker.frames.length, 1))
  assert.equal(asker.frames[0]?.length, 0xff_ff_ff)
  assert.ok(asker.frames[0]?.subarray(6).equals(data))
})

test('trap 16: who gets a request in place of another gets it as it was', async () => {
  await ends()
  const second = await raw.peer({ services: ['s'], instance: 'second' })
  const metadata = renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags(['s.m', 'k=v']) },
  ])
  asker.frame(1, STREAM, M, body({ n: 7, metadata, data: 'data' }))
  await asker.settled()
  const [from, to] = answerer.heard.length === 1 ? [answerer, second] : [second, answerer]
  await eventually(() => assert.equal(from.frames.length, 1))
  const first = from.frames[0] as Buffer
  const refusal = Buffer.alloc(4)
  refusal.writeUInt32BE(RSOCKET_ERROR.rejected)
  from.frame(first.readUInt32BE(0), ERROR, 0, refusal)
  await eventually(() => assert.equal(to.frames.length, 1))
  assert.ok(to.frames[0]?.subarray(4).equals(first.subarray(4)))
  second.close()
})

test('trap 20: data is nobody’s business: every byte comes as it went', async () => {
  await ends()
  const data = Buffer.from(Array.from({ length: 1024 }, (_, at) => (at * 7) & 0xff))
  asker.frame(1, RR, M, body({ metadata: routeTo('s.m'), data }))
  await then(() => {})
  assert.ok(answerer.frames[0]?.subarray(-1024).equals(data))
})

test('trap 23: keepalives every 500 ms by the hundred connections are no flood, a hundred at once are', async () => {
  await ends()
  for (let count = 0; count < 4; count++) asker.send(renderKeepalive(true, 0, Buffer.from('k')))
  await asker.settled()
  assert.equal(asker.take().length, 4)
  for (let count = 0; count < 100; count++) asker.send(renderKeepalive(true, 0, M0))
  await eventually(() => assert.ok(asker.closed))
  assert.equal(asker.heard.at(-1), '0 error 101 more keepalives than announced')
})

test('an ERROR on stream 0 ends its connection: requests it had are CANCELED', async () => {
  await ends()
  asker.ask(1, 's.m')
  await then(() => {
    answerer.frame(0, ERROR, 0, Buffer.from([0, 0, 1, 1, 0x78]))
  })
  await eventually(() =>
    assert.deepEqual(asker.take(), ['1 error 203 WEFT-504 the responder is gone']),
  )
  await eventually(() => assert.ok(answerer.closed))
})
