import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createHandleTransport } from '@weft/net'
import { eventually, FakeClock, seededRandom } from '@weft/testkit'
import {
  EVENT_MIME,
  FRAME_FLAG,
  FRAME_TYPE,
  FrameView,
  isResumable,
  readFrame,
  receivedPosition,
  renderComposite,
  renderKeepalive,
  renderMetadataPush,
  renderResume,
  renderSetup,
} from '@weft/wire'
import { echo, type HelloOptions, setupOf, TestClient } from '../broker-fixture.ts'
import {
  body,
  openRawBroker,
  type RawBroker,
  type RawPeer,
  rawFrame,
  routeTo,
} from '../raw-fixture.ts'

const closing: (() => void)[] = []
after(() => {
  for (const close of closing) close()
})

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const TOKEN = Buffer.from('0123456789abcdef')

async function open(limits: Parameters<typeof openRawBroker>[0] = {}) {
  const clock = new FakeClock()
  const raw = await openRawBroker(
    { limits: { resumeWindowMs: 60_000, ...limits.limits } },
    { clock },
  )
  closing.push(() => raw.broker.close())
  const address = { host: '127.0.0.1', port: raw.port }
  const dial = async (hello: HelloOptions) => {
    const client = await TestClient.dial(createHandleTransport(), address, hello)
    closing.push(() => client.close())
    return client
  }
  return { raw, clock, dial }
}

/** A client that keeps what it sends, counts what it gets, and comes back when it was cut. */
class Resuming {
  readonly raw: RawBroker
  readonly token: Buffer
  peer!: RawPeer
  /** Frames of streams, as `RawPeer` describes them. */
  readonly heard: string[] = []
  received = 0
  #sent: Buffer[] = []
  #first = 0

  constructor(raw: RawBroker, token = TOKEN) {
    this.raw = raw
    this.token = token
  }

  async begin(hello: HelloOptions = {}): Promise<this> {
    this.peer = await this.raw.silent()
    closing.push(() => this.peer.close())
    this.peer.send(renderSetup({ ...setupOf(hello), resumeToken: this.token }))
    await this.peer.settled()
    return this
  }

  frame(streamId: number, type: number, flags: number, content: Uint8Array): void {
    const frame = rawFrame(streamId, type, flags, content)
    this.#sent.push(frame)
    this.peer.send(frame)
  }

  ask(streamId: number, key: string, data: string): void {
    const content = body({ metadata: routeTo(key), data })
    this.frame(streamId, FRAME_TYPE.requestResponse, FRAME_FLAG.metadata, content)
  }

  /** Takes what came into account. */
  harvest(): void {
    const view = new FrameView()
    for (const [at, frame] of this.peer.frames.entries()) {
      readFrame(view, frame, 0, frame.length)
      if (!isResumable(view)) continue
      this.received += frame.length
      this.heard.push(this.peer.heard[at] ?? '')
    }
    this.peer.take()
  }

  cut(): void {
    this.peer.socket.destroy()
    this.harvest()
  }

  /** The first frame that answers RESUME, described. */
  async resume(changes: { received?: number; first?: number } = {}): Promise<string> {
    const peer = await this.raw.silent()
    this.peer = peer
    peer.send(
      renderResume({
        token: this.token,
        lastReceivedServerPosition: changes.received ?? this.received,
        firstAvailableClientPosition: changes.first ?? this.#first,
      }),
    )
    await eventually(() => assert.ok(peer.frames.length > 0))
    const view = new FrameView()
    const answer = peer.frames.shift() as Buffer
    const described = peer.heard.shift() ?? ''
    readFrame(view, answer, 0, answer.length)
    if (view.type !== FRAME_TYPE.resumeOk) return described
    const position = receivedPosition(view) ?? 0
    for (; this.#first < position; ) this.#first += (this.#sent.shift()?.length ?? 3) - 3
    assert.equal(this.#first, position, 'the broker has whole frames')
    if (this.#sent.length > 0) peer.send(...this.#sent)
    return 'ok'
  }
}

test('connections that break at random lose no frame and run nothing twice', async () => {
  const { raw, dial } = await open()
  for (let seed = 1; seed <= 5; seed++) {
    const random = seededRandom(seed)
    const seen: string[] = []
    const responder = await dial({ services: [`s${seed}`], instance: `responder ${seed}` })
    responder.answer = (stream, { data }) => {
      seen.push(Buffer.from(data).toString())
      stream.next({ data }, true)
    }
    const client = await new Resuming(raw, Buffer.from(`random token ${seed}`.padEnd(20))).begin()
    const wanted: string[] = []
    for (let i = 0; i < 60; i++) {
      wanted.push(`item ${i} ${'x'.repeat(Math.floor(random() * 3_000))}`)
      client.ask(2 * i + 1, `s${seed}.m`, wanted.at(-1) ?? '')
      for (let turns = Math.floor(random() * 4); turns > 0; turns--) await turn()
      if (random() < 0.2) {
        client.cut()
        if (random() < 0.5) await eventually(() => assert.ok(isLost(raw)))
        assert.equal(await client.resume(), 'ok')
      }
      // Says what it has, so that the broker lets go of it.
      client.harvest()
      if (random() < 0.2) client.peer.send(renderKeepalive(false, client.received, Buffer.alloc(0)))
    }
    await eventually(() => {
      client.harvest()
      assert.equal(client.heard.length, wanted.length)
    })
    assert.deepEqual(seen.sort(), [...wanted].sort())
    const answers = wanted.map((data, i) => `${2 * i + 1} payload CN ${data}`)
    assert.deepEqual([...client.heard].sort(), answers.sort())
    client.peer.close()
    responder.close()
  }
})

function isLost(raw: RawBroker): boolean {
  return [...raw.broker.legs].some((leg) => leg.isOpen && !leg.isServing)
}

test('traps 15, 24: positions of keepalives are what was received, and impossible ones end the connection', async () => {
  const { raw, dial } = await open()
  const responder = await dial({ services: ['s'] })
  responder.answer = echo()
  const client = await new Resuming(raw).begin()
  client.ask(1, 's.m', 'hello')
  client.peer.send(renderKeepalive(true, 0, Buffer.from('position?')))
  await eventually(() => assert.ok(client.peer.heard.includes('0 keepalive position?')))
  const at = client.peer.heard.indexOf('0 keepalive position?')
  const view = new FrameView()
  const answer = client.peer.frames[at] as Buffer
  readFrame(view, answer, 0, answer.length)
  const request = rawFrame(1, 0, 0, body({ metadata: routeTo('s.m'), data: 'hello' }))
  assert.equal(receivedPosition(view), request.length - 3)
  await eventually(() => assert.ok(client.peer.heard.includes('1 payload CN hello')))
  client.peer.send(renderKeepalive(true, 1_000_000, Buffer.alloc(0)))
  await eventually(() => assert.ok(client.peer.closed))
  assert.equal(client.peer.heard.at(-1), '0 error 101 KEEPALIVE has an impossible position')
  assert.match(await client.resume(), /^0 error 4 WEFT-404/)
})

test('who comes back too late is refused, and its requests were canceled when time was over', async () => {
  const { raw, clock, dial } = await open()
  const responder = await dial({ services: ['s'] })
  let canceled = false
  responder.answer = (stream) => {
    stream.handler = {
      ...stream.handler,
      onCancel: () => (canceled = true),
    } as typeof stream.handler
  }
  const client = await new Resuming(raw).begin()
  client.ask(1, 's.m', 'never answered')
  await eventually(() => assert.equal(raw.broker.openStreams, 1))
  client.cut()
  await eventually(() => assert.ok(isLost(raw)))
  clock.advance(59_000)
  await turn()
  assert.equal(canceled, false)
  assert.equal(raw.broker.openStreams, 1)
  clock.advance(1_000)
  await eventually(() => assert.equal(raw.broker.openStreams, 0))
  await eventually(() => assert.ok(canceled))
  assert.equal(
    await client.resume(),
    '0 error 4 WEFT-404 there is no such session, or its time is over',
  )
})

test('a peer that is away costs a bounded number of bytes, and gets the rest when it is back', async () => {
  const { raw, dial } = await open({ limits: { softOutboxBytes: 65_536 } } as never)
  const responder = await dial({ services: ['s'] })
  const ITEMS = 3_000
  let begin: () => void = () => undefined
  responder.answer = (stream, payload) => {
    begin = () => echo(ITEMS)(stream, payload)
  }
  const client = await new Resuming(raw).begin()
  const data = 'd'.repeat(4_096)
  const content = body({ n: 0x7fff_ffff, metadata: routeTo('s.m'), data })
  client.frame(1, FRAME_TYPE.requestStream, FRAME_FLAG.metadata, content)
  await eventually(() => assert.equal(raw.broker.openStreams, 1))
  client.cut()
  await eventually(() => assert.ok(isLost(raw)))
  begin()
  for (let turns = 0; turns < 200; turns++) await turn()
  const held = [...raw.broker.legs].map((leg) => leg.outbox.bytes)
  assert.ok(Math.max(...held) < 2_500_000, `${held} bytes of ${ITEMS * 4_096}`)
  assert.equal(await client.resume(), 'ok')
  await eventually(() => {
    client.harvest()
    assert.equal(client.heard.length, ITEMS)
  })
  assert.ok(client.heard.at(-1)?.startsWith('1 payload CN'))
})

test('an instance that is away is not called, one that is back is', async () => {
  const { raw, dial } = await open()
  const caller = await dial({})
  const provider = await new Resuming(raw).begin({ services: ['s'], instance: 'provider' })
  provider.cut()
  await eventually(() => assert.ok(isLost(raw)))
  const payload = { data: Buffer.from('x'), metadata: routeTo('s.m') }
  assert.deepEqual(await caller.ask('rr', payload), [
    '#202 WEFT-503 no responder can take the request',
  ])
  assert.equal(await provider.resume(), 'ok')
  const answered = caller.ask('rr', payload)
  await eventually(() => assert.ok(provider.peer.heard.length > 0))
  provider.harvest()
  provider.frame(2, FRAME_TYPE.payload, FRAME_FLAG.next | FRAME_FLAG.complete, Buffer.from('back'))
  assert.deepEqual(await answered, ['back'])
  const { carriersLost, carriersResumed } = raw.broker.counters
  assert.deepEqual([carriersLost, carriersResumed], [1, 1])
})

test('who is back before the broker knows that it was gone takes its place', async () => {
  const { raw, dial } = await open()
  const responder = await dial({ services: ['s'] })
  responder.answer = echo()
  const client = await new Resuming(raw).begin()
  const before = client.peer
  before.socket.pause()
  client.ask(1, 's.m', 'answered where nobody reads')
  await eventually(() => assert.equal(raw.broker.openStreams, 0))
  assert.equal(await client.resume(), 'ok')
  await eventually(() => {
    client.harvest()
    assert.deepEqual(client.heard, ['1 payload CN answered where nobody reads'])
  })
  before.socket.resume()
  await eventually(() => assert.ok(before.closed))
})

test('an instance that wanted no more requests is not called because it came back', async () => {
  const { raw } = await open()
  const provider = await new Resuming(raw).begin({ services: ['s'], instance: 'provider' })
  const before = provider.peer
  const content = Buffer.from(JSON.stringify({ status: 'draining' }))
  before.send(renderMetadataPush(renderComposite([{ mime: EVENT_MIME, content }])))
  const isServing = () => raw.broker.registry.find('s')[0]?.isServing
  await eventually(() => assert.equal(isServing(), false))
  // Once before the broker knows that it was gone, and once after.
  assert.equal(await provider.resume(), 'ok')
  assert.equal(isServing(), false)
  provider.cut()
  await eventually(() => assert.ok(isLost(raw)))
  assert.equal(await provider.resume(), 'ok')
  assert.equal(isServing(), false)
  before.close()
})

test('sessions that cannot be: guessable, in use, too many, lost frames', async () => {
  const { raw, dial } = await open({ limits: { maxResumable: 2, maxResumeBytes: 1_000 } } as never)
  const refused = async (token: string) => {
    const peer = await raw.silent()
    peer.send(renderSetup({ ...setupOf({}), resumeToken: Buffer.from(token) }))
    await eventually(() => assert.ok(peer.closed))
    return peer.heard
  }
  assert.deepEqual(await refused('short'), ['0 error 3 a resume token has 16 bytes or more'])
  const responder = await dial({ services: ['s'] })
  responder.answer = echo()
  const client = await new Resuming(raw).begin()
  assert.deepEqual(await refused(TOKEN.toString()), ['0 error 3 the resume token is in use'])
  await new Resuming(raw, Buffer.from('another token of mine')).begin()
  assert.deepEqual(await refused('one token more than may be'), [
    '0 error 3 WEFT-503 the broker has as many resumable connections as it takes',
  ])
  client.ask(1, 's.m', 'x'.repeat(2_000))
  await eventually(() => {
    client.harvest()
    assert.equal(client.heard.length, 1)
  })
  client.cut()
  assert.equal(await client.resume({ received: 0 }), '0 error 4 frames of the broker are lost')
  assert.equal(
    await client.resume({ first: 10_000_000 }),
    '0 error 4 frames of the client are lost',
  )
  assert.equal(await client.resume(), 'ok')
  assert.equal(raw.broker.counters.rejectedSetups, 5)
})

test('who wants no resumption notices nothing, however its first frame is cut', async () => {
  const { raw, dial } = await open()
  const responder = await dial({ services: ['s'] })
  responder.answer = echo()
  const setup = renderSetup(setupOf({ instance: 'plain' }))
  for (let cut = 1; cut < 12; cut++) {
    const peer = await raw.silent()
    peer.socket.write(setup.subarray(0, cut))
    await turn()
    peer.socket.write(setup.subarray(cut))
    await peer.settled()
    peer.ask(1, 's.m', 'plain')
    await eventually(() => assert.deepEqual(peer.heard, ['1 payload CN plain']))
    peer.close()
  }
})
