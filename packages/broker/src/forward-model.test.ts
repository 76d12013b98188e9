/**
 * The forwarder against a reference table: random interleavings of frames, disconnects and
 * drains. Whatever happens, a requester hears at most one end of a stream and exactly one when its
 * request was whole and it stays, nobody hears of streams of others, producers are never granted
 * more than their consumers asked for, and nothing is left behind.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryTransport } from '@weft/net'
import { seededRandom } from '@weft/testkit'
import {
  FRAME_FLAG,
  FRAME_TYPE,
  FrameView,
  type Interaction,
  RSocketFrameReader,
  readFrame,
  renderCancel,
  renderPayload,
  renderRequestN,
  renderSetup,
} from '@weft/wire'
import { openBroker, setupOf } from './broker-fixture.ts'
import { body, rawFrame, routeTo } from './raw-fixture.ts'

const { metadata: M, follows: F, complete: C, next: N } = FRAME_FLAG
const TYPES: Readonly<Record<Interaction, number>> = {
  rr: FRAME_TYPE.requestResponse,
  fnf: FRAME_TYPE.requestFnf,
  stream: FRAME_TYPE.requestStream,
  channel: FRAME_TYPE.requestChannel,
}
const INTERACTIONS = Object.keys(TYPES) as Interaction[]
const SEEDS = 40
const STEPS = 400

/** One request as its requester knows it. */
interface Asked {
  readonly token: string
  readonly interaction: Interaction
  /** Items that the requester may still get. */
  credit: number
  /** Its own half is open. */
  maySend: boolean
  /** It heard the end, or cancelled: then what was under way may still come. */
  isOver: boolean
  isCancelled: boolean
}

/** The same request as a responder knows it. */
interface Given {
  readonly token: string
  readonly interaction: Interaction
  credit: number
  isOver: boolean
}

type Random = () => number
const pick = <T>(random: Random, from: readonly T[]): T | undefined =>
  from[Math.floor(random() * from.length)]

class ModelPeer {
  readonly asked = new Map<number, Asked>()
  readonly given = new Map<number, Given>()
  readonly name: string
  readonly #view = new FrameView()
  write: (frame: Uint8Array) => void = () => {}
  close: () => void = () => {}
  gone = false
  nextId = 1

  constructor(name: string) {
    this.name = name
  }

  onFrame(bytes: Uint8Array, from: number, to: number): void {
    const view = this.#view
    assert.equal(readFrame(view, bytes, from, to), undefined, 'the broker sends whole frames')
    if (view.streamId === 0) return
    const text = Buffer.from(bytes.subarray(view.dataFrom, view.dataTo)).toString()
    const asked = this.asked.get(view.streamId)
    if (asked !== undefined) this.#onAnswer(asked, view, text)
    else this.#onGiven(view, text)
  }

  #onAnswer(asked: Asked, view: FrameView, text: string): void {
    if (view.type === FRAME_TYPE.requestN) {
      assert.equal(asked.interaction, 'channel')
      return
    }
    if (view.type === FRAME_TYPE.cancel) {
      assert.equal(asked.interaction, 'channel')
      asked.maySend = false
      return
    }
    if (asked.isCancelled) return
    // A channel whose items are all there may still end its other half with an error.
    if (asked.isOver && asked.maySend && asked.interaction === 'channel') {
      assert.equal(view.type, FRAME_TYPE.error, `${this.name} hears of ${asked.token} again`)
      asked.maySend = false
      return
    }
    assert.ok(!asked.isOver, `${this.name} hears of ${asked.token} after its end`)
    if (view.type === FRAME_TYPE.error) {
      this.#end(asked)
      return
    }
    assert.equal(view.type, FRAME_TYPE.payload)
    if ((view.flags & N) !== 0) {
      assert.equal(text, asked.token, 'an item of another stream')
      if (asked.interaction !== 'rr')
        assert.ok(--asked.credit >= 0, 'more items than were asked for')
    }
    if ((view.flags & C) !== 0 || asked.interaction === 'rr') this.#end(asked)
  }

  #end(asked: Asked): void {
    asked.isOver = true
  }

  #onGiven(view: FrameView, text: string): void {
    const known = this.given.get(view.streamId)
    const interaction = INTERACTIONS.find((each) => TYPES[each] === view.type)
    if (interaction !== undefined) {
      assert.ok(known === undefined || known.isOver, 'an id is given out twice')
      const isOver = interaction === 'fnf'
      this.given.set(view.streamId, { token: text, interaction, credit: view.number, isOver })
      return
    }
    assert.ok(known, `${this.name} hears of a stream that it never had`)
    if (view.type === FRAME_TYPE.requestN) known.credit += view.number
    else if (view.type === FRAME_TYPE.cancel || view.type === FRAME_TYPE.error) known.isOver = true
    else if ((view.flags & N) !== 0) assert.equal(text, known.token)
  }
}

/** What a requester may do next. */
function ask(peer: ModelPeer, random: Random): void {
  const interaction = pick(random, INTERACTIONS) as Interaction
  const id = peer.nextId
  peer.nextId += 2
  const token = `${peer.name}-${id}`
  const n = 1 + Math.floor(random() * 5)
  const key = random() < 0.1 ? 'nobody.m' : 's.m'
  const counted = interaction === 'stream' || interaction === 'channel'
  const completes = interaction === 'channel' && random() < 0.3
  const asked = {
    token,
    interaction,
    credit: n,
    maySend: !completes,
    isOver: interaction === 'fnf',
    isCancelled: false,
  }
  peer.asked.set(id, asked)
  const content = { metadata: routeTo(key), data: token, ...(counted ? { n } : {}) }
  if (random() < 0.2) {
    // In two pieces: the route now, nothing more than that later.
    peer.write(rawFrame(id, TYPES[interaction], M | F | (completes ? C : 0), body(content)))
    peer.write(rawFrame(id, FRAME_TYPE.payload, F, body({ data: 'x'.repeat(20) })))
    peer.write(rawFrame(id, FRAME_TYPE.payload, completes ? C : 0, body({ data: '' })))
  } else peer.write(rawFrame(id, TYPES[interaction], M | (completes ? C : 0), body(content)))
}

function goOn(peer: ModelPeer, random: Random): void {
  const [id, asked] = pick(random, [...peer.asked]) ?? []
  if (id === undefined || asked === undefined) return
  const roll = random()
  if (roll < 0.3) {
    peer.write(renderCancel(id))
    if (!asked.isOver) asked.isCancelled = true
    asked.isOver = true
  } else if (roll < 0.7) {
    asked.credit += 2
    peer.write(renderRequestN(id, 2))
  } else peer.write(renderPayload(id, { data: Buffer.from(asked.token) }, N))
}

function answer(peer: ModelPeer, random: Random): void {
  const [id, given] = pick(random, [...peer.given]) ?? []
  if (id === undefined || given === undefined) return
  const roll = random()
  const data = Buffer.from(given.token)
  if (roll < 0.5 && (given.credit > 0 || given.interaction === 'rr')) {
    given.credit--
    peer.write(renderPayload(id, { data }, roll < 0.2 ? N | C : N))
  } else if (roll < 0.6) peer.write(renderPayload(id, { data: Buffer.alloc(0) }, C))
  else if (roll < 0.7)
    peer.write(rawFrame(id, FRAME_TYPE.error, 0, Buffer.from([0, 0, 2, roll < 0.65 ? 1 : 2])))
  else if (roll < 0.8) peer.write(renderRequestN(id, 1))
  else if (roll < 0.85) peer.write(renderCancel(id))
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A broker and who is connected to it now. */
async function openModel(random: Random) {
  const transport = createMemoryTransport({ cutBytes: 20 + Math.floor(random() * 200) })
  const { broker, address } = await openBroker({}, { transport, random })
  const peers: ModelPeer[] = []
  let names = 0
  const join = (services: string[]) => {
    const peer = new ModelPeer(`p${++names}`)
    const sink = {
      closed: false,
      onFrame: (bytes: Uint8Array, from: number, to: number) => peer.onFrame(bytes, from, to),
      onFrameError: (why: string) => assert.fail(why),
    }
    const reader = new RSocketFrameReader(sink, 0xff_ff_ff)
    const socket = transport.connect(address, {
      onOpen() {},
      onData: (bytes, length) => reader.receive(bytes, length),
      onEnd: () => leave(),
      onDrain: () => flush(),
      onClose: () => leave(),
    })
    const leave = () => {
      peer.gone = true
      peer.asked.clear()
      peer.given.clear()
      peers.splice(0, peers.length, ...peers.filter((each) => each !== peer))
    }
    const waiting: Uint8Array[] = []
    let isBlocked = false
    const flush = () => {
      isBlocked = false
      while (!isBlocked && waiting.length > 0 && !peer.gone) {
        isBlocked = !socket.write(waiting.shift() as Uint8Array)
      }
    }
    peer.write = (frame) => {
      waiting.push(Buffer.from(frame))
      if (!isBlocked) flush()
    }
    peer.close = () => {
      socket.close()
      leave()
    }
    peer.write(renderSetup(setupOf({ services, instance: peer.name })))
    peers.push(peer)
  }
  return { broker, peers, join }
}

type Model = Awaited<ReturnType<typeof openModel>>

function step({ peers, join }: Model, random: Random): void {
  const peer = pick(random, peers)
  const roll = random()
  if (peer === undefined || roll < 0.01) join(random() < 0.5 ? ['s'] : [])
  else if (roll < 0.02 && peers.length > 3) peer.close()
  else if (roll < 0.35) ask(peer, random)
  else if (roll < 0.55) goOn(peer, random)
  else answer(peer, random)
}

function openRequests({ peers }: Model): Asked[] {
  return peers.flatMap((peer) => [...peer.asked.values()].filter((each) => !each.isOver))
}

/** Every responder ends what it still has, until nothing is open. */
async function settle(model: Model): Promise<void> {
  for (let round = 0; round < 200 && (round < 5 || openRequests(model).length > 0); round++) {
    for (const peer of model.peers) {
      for (const [id, given] of peer.given) {
        if (given.isOver) continue
        if (given.interaction === 'channel') peer.write(renderCancel(id))
        peer.write(renderPayload(id, { data: Buffer.alloc(0) }, C))
      }
    }
    for (let count = 0; count < 30; count++) await turn()
  }
}

async function run(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const model = await openModel(random)
  for (let count = 0; count < 3; count++) model.join(['s'])
  for (let count = 0; count < 3; count++) model.join([])
  await turn()
  for (let count = 0; count < STEPS; count++) {
    step(model, random)
    if (random() < 0.3) await turn()
  }
  await settle(model)
  assert.deepEqual(openRequests(model), [], 'each request of who stayed has an end')
  for (const leg of model.broker.legs) {
    assert.equal(leg.streams.size, 0, 'streams are left behind')
    assert.equal(leg.waiting.size, 0)
    assert.equal(leg.activeRequests, 0)
    assert.equal(leg.parkedBytes, 0)
  }
  await model.broker.drain({ deadlineMs: 1_000 })
  assert.equal(model.broker.connections, 0)
}

test(`random interleavings of ${SEEDS} seeds leave nothing behind and mix nothing up`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      await run(seed)
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
})
