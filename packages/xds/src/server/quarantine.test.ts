/** What too many nodes refuse is kept from the others (R10). */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Cluster } from '@weft/model'
import { FakeClock, seededRandom } from '@weft/testkit'
import type { ClientKind } from '../node.ts'
import { testCluster, testSet } from '../testing.ts'
import { flush, type Response } from './flush.ts'
import { Quarantine } from './quarantine.ts'
import { receiveDelta, receiveSotw } from './receive.ts'
import { Registry } from './registry.ts'
import { CDS } from './rules.ts'
import { markChanged, openStream, type StreamState } from './stream-state.ts'

const LIMIT = 3
const VIEW = 'v'

class Mesh {
  readonly clock = new FakeClock()
  readonly quarantine = new Quarantine(LIMIT)
  readonly registry = new Registry(this.clock, this.quarantine)
  readonly peers: Peer[] = []
  #generation = 0

  /** Clusters by name; the timeout stands for the version. */
  publish(timeouts: Readonly<Record<string, number>>): void {
    const clusters: Cluster[] = Object.entries(timeouts).map(([name, ms]) => testCluster(name, ms))
    const set = testSet({ clusters })
    const changes = this.registry.publish(VIEW, set, String(++this.#generation))
    for (const [typeUrl, names] of changes) {
      for (const peer of this.peers) markChanged(peer.state, typeUrl, names)
    }
  }

  join(kind: ClientKind, refuses: (timeoutMs: number) => boolean, protocol = 'delta'): Peer {
    const peer = new Peer(this, `node-${this.peers.length}`, kind, refuses, protocol === 'sotw')
    this.peers.push(peer)
    peer.request('')
    peer.settle()
    return peer
  }

  settle(): void {
    for (const peer of this.peers) peer.settle()
  }

  timeoutOf(version: string): number {
    return this.#timeouts.get(version) ?? Number.NaN
  }

  readonly #timeouts = new Map<string, number>()
  note(name: string, timeoutMs: number): void {
    const other = new Registry(this.clock)
    other.publish(VIEW, testSet({ clusters: [testCluster(name, timeoutMs)] }), '')
    const version = other.view(VIEW)?.get(CDS, name)?.version
    if (version !== undefined) this.#timeouts.set(version, timeoutMs)
  }
}

/** Answers at once; refuses what it does not like, by name. */
class Peer {
  readonly #mesh: Mesh
  readonly #id: string
  readonly kind: ClientKind
  readonly state: StreamState
  readonly #refuses: (timeoutMs: number) => boolean
  readonly #isWhole: boolean
  /** Name to timeout: what the client uses. */
  readonly uses = new Map<string, number>()
  /** Every version that was ever sent, as `name=timeout`. */
  readonly sent: string[] = []
  #last = 0

  constructor(
    mesh: Mesh,
    id: string,
    kind: ClientKind,
    refuses: (timeoutMs: number) => boolean,
    isWhole: boolean,
  ) {
    this.#mesh = mesh
    this.#id = id
    this.kind = kind
    this.#refuses = refuses
    this.#isWhole = isWhole
    this.state = openStream(isWhole ? 'sotw' : 'delta', kind, mesh.clock.monotonicMs())
  }

  request(nonce: string, error?: string): void {
    const view = this.#mesh.registry.view(VIEW)
    const nowMs = this.#mesh.clock.monotonicMs()
    const common = { typeUrl: CDS, nonce, error }
    const answered = this.#isWhole
      ? receiveSotw(this.state, { ...common, names: [], version: '' }, view, nowMs)
      : receiveDelta(
          this.state,
          {
            ...common,
            subscribe: nonce === '' ? ['*'] : [],
            unsubscribe: [],
            initialVersions: new Map(),
          },
          view,
          nowMs,
        )
    for (const { name, version } of answered?.blamed ?? []) {
      const { kind } = this
      const refusal = { kind, typeUrl: CDS, name, version, node: this.#id, message: error ?? '' }
      this.#mesh.quarantine.refused(refusal, nowMs)
    }
  }

  /** Until there is nothing more to say. */
  settle(): void {
    for (let round = 0; round < 100; round++) {
      const view = this.#mesh.registry.view(VIEW)
      if (view === undefined) return
      const responses: Response[] = []
      const visible = this.#mesh.quarantine.filter(view, this.kind)
      flush(this.state, visible, this.#mesh.clock.monotonicMs(), (response) => {
        responses.push(response)
        return String(++this.#last)
      })
      if (responses.length === 0) return
      for (const response of responses) this.#take(response)
    }
    assert.fail('never comes to rest')
  }

  #take({ resources, removed }: Response): void {
    const bad: string[] = []
    const names = new Set(resources.map(({ name }) => name))
    for (const { name, version } of resources) {
      const timeoutMs = this.#mesh.timeoutOf(version)
      this.sent.push(`${name}=${timeoutMs}`)
      if (this.#refuses(timeoutMs)) bad.push(name)
      else this.uses.set(name, timeoutMs)
    }
    for (const name of removed) this.uses.delete(name)
    if (this.#isWhole) {
      for (const name of this.uses.keys()) if (!names.has(name)) this.uses.delete(name)
    }
    this.request(String(this.#last), bad.length === 0 ? undefined : `bad cluster(s) ${bad}`)
  }
}

const isOdd = (timeoutMs: number) => timeoutMs % 2 === 1
const never = () => false

function mesh(): Mesh {
  const made = new Mesh()
  for (let timeoutMs = 1; timeoutMs <= 60; timeoutMs++) {
    for (const name of ['a', 'b', 'c']) made.note(name, timeoutMs)
  }
  return made
}

describe('a version that more than three nodes refuse (R10)', () => {
  /** Version 2 is good, version 3 was refused by `count` Envoys. */
  function refusedBy(count: number): Mesh {
    const made = mesh()
    made.publish({ a: 2, b: 2 })
    for (let i = 0; i < count; i++) made.join('envoy', isOdd)
    made.publish({ a: 3, b: 2 })
    made.settle()
    return made
  }

  test('is still sent while only three do', () => {
    const made = refusedBy(3)
    assert.equal(made.join('envoy', never).uses.get('a'), 3)
    assert.deepEqual(made.quarantine.list(), [])
  })

  test('is kept from further nodes of their kind, which get the last good version', () => {
    const made = refusedBy(4)
    const late = made.join('envoy', never)
    assert.deepEqual(late.sent, ['a=2', 'b=2'])
    assert.equal(made.join('weft', never).uses.get('a'), 3, 'another kind may understand it')
    const held = made.quarantine.list().map(({ sinceMs: _, version: __, ...rest }) => rest)
    const message = 'bad cluster(s) a'
    assert.deepEqual(held, [{ kind: 'envoy', typeUrl: CDS, name: 'a', nodes: 4, message }])
  })

  test('is not taken away from nodes that keep what they have', () => {
    const made = mesh()
    made.publish({ a: 2 })
    const others = Array.from({ length: 2 }, () => made.join('envoy', never))
    made.publish({ a: 4 })
    for (let i = 0; i < 4; i++) made.join('envoy', (timeoutMs) => timeoutMs === 4)
    for (const peer of others) peer.settle()
    assert.deepEqual(
      others.map(({ uses, sent }) => [uses.get('a'), sent]),
      [2, 2].map((a) => [a, ['a=2']]),
    )
  })

  test('is kept from nodes in state of the world too, without deleting anything', () => {
    const made = mesh()
    made.publish({ a: 2, b: 2 })
    const whole = made.join('grpc', never, 'sotw')
    made.publish({ a: 3, b: 2 })
    for (let i = 0; i < 4; i++) made.join('grpc', isOdd)
    made.publish({ a: 3, b: 4 })
    whole.settle()
    assert.deepEqual([...whole.uses].sort(), [
      ['a', 2],
      ['b', 4],
    ])
  })

  test('does not exist for a new node when no version before it was good', () => {
    const made = mesh()
    made.publish({ a: 3, b: 2 })
    for (let i = 0; i < 4; i++) made.join('envoy', isOdd)
    assert.deepEqual(made.join('envoy', never).sent, ['b=2'])
  })

  test('is released by a new version, and falls back past all the bad ones', () => {
    const made = refusedBy(4)
    made.publish({ a: 5, b: 2 })
    assert.deepEqual(made.quarantine.list(), [])
    made.settle()
    assert.equal(made.quarantine.list().length, 1, 'the same four refuse this one')
    assert.equal(made.join('envoy', never).uses.get('a'), 2)
    made.publish({ a: 6, b: 2 })
    made.settle()
    assert.deepEqual(made.quarantine.list(), [])
    for (const { uses } of made.peers) assert.equal(uses.get('a'), 6)
  })

  test('is held back too when it is an older one that nobody had seen before', () => {
    const made = mesh()
    made.publish({ a: 3, b: 2 })
    made.publish({ a: 5, b: 2 })
    const joined = Array.from({ length: 9 }, () => made.join('envoy', isOdd).sent[0])
    assert.deepEqual(joined, ['a=5', 'a=5', 'a=5', 'a=5', 'a=3', 'a=3', 'a=3', 'a=3', 'b=2'])
  })

  test('is not blamed on what came in the same response and was not named', () => {
    const made = mesh()
    made.publish({ a: 2, b: 3 })
    for (let i = 0; i < 6; i++) made.join('envoy', isOdd)
    assert.deepEqual(
      made.quarantine.list().map(({ name }) => name),
      ['b'],
    )
  })
})

const SEED = Number(process.env.WEFT_SEED ?? 1)

/** Random publishes, joins and pauses, then one good set; returns how often something was held back. */
function runRandomly(random: () => number): number {
  const made = mesh()
  const pick = (from: number, count: number) => from + Math.floor(random() * count)
  let held = 0
  let timeouts: Record<string, number> = { a: 2, b: 2 }
  made.publish(timeouts)
  for (let step = 0; step < 40; step++) {
    const dice = random()
    if (dice < 0.3) {
      timeouts = { ...timeouts, [['a', 'b', 'c'][pick(0, 3)] ?? 'a']: pick(1, 60) }
      made.publish(timeouts)
    } else if (dice < 0.5) {
      made.join(random() < 0.8 ? 'envoy' : 'weft', isOdd, random() < 0.3 ? 'sotw' : 'delta')
    } else if (dice < 0.55) {
      made.clock.advance(70_000)
    } else {
      made.peers[pick(0, made.peers.length)]?.settle()
    }
    const list = made.quarantine.list()
    held += list.length
    for (const { nodes } of list) assert.equal(nodes, LIMIT + 1, 'nobody else was asked')
  }
  made.publish({ a: 20, b: 40, c: 60 })
  made.settle()
  for (const { uses } of made.peers) {
    assert.deepEqual(Object.fromEntries(uses), { a: 20, b: 40, c: 60 })
  }
  return held
}

test(`bad versions stop after a few nodes and good ones arrive, in any order (seed ${SEED})`, () => {
  let held = 0
  for (let run = 0; run < 150; run++) held += runRandomly(seededRandom(SEED * 7_919 + run))
  assert.ok(held > 0, 'nothing was ever held back')
})
