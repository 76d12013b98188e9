/** The rules of the protocol, one by one, on the pure state of a stream. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ClientKind } from '../node.ts'
import { flush, type Response } from './flush.ts'
import { receiveDelta, receiveSotw } from './receive.ts'
import {
  CDS,
  EDS,
  FRESH_MS,
  LDS,
  MAX_RESPONSE_BYTES,
  PARK_MS,
  RDS,
  ROUTE_GATE_MS,
} from './rules.ts'
import type { Served, ServedView } from './served.ts'
import { markChanged, openStream, type StreamState } from './stream-state.ts'

function served(name: string, version: string, extra: Partial<Served> = {}): Served {
  return { name, version, size: 10, clusters: new Set(), needs: [], ...extra }
}

class View implements ServedView {
  readonly live = new Map<string, Map<string, Served>>()
  readonly dead = new Map<string, Map<string, Served>>()

  set(typeUrl: string, ...all: Served[]): this {
    const map = this.live.get(typeUrl) ?? new Map()
    for (const one of all) map.set(one.name, one)
    this.live.set(typeUrl, map)
    return this
  }

  kill(typeUrl: string, name: string): void {
    const one = this.live.get(typeUrl)?.get(name)
    if (one === undefined) return
    this.live.get(typeUrl)?.delete(name)
    this.dead.set(typeUrl, (this.dead.get(typeUrl) ?? new Map()).set(name, one))
  }

  get(typeUrl: string, name: string) {
    return this.live.get(typeUrl)?.get(name)
  }

  isHeldBack(): boolean {
    return false
  }

  names(typeUrl: string) {
    return this.live.get(typeUrl)?.keys() ?? []
  }

  tombstone(typeUrl: string, name: string) {
    return this.dead.get(typeUrl)?.get(name)
  }

  tombstones(typeUrl: string) {
    return this.dead.get(typeUrl)?.keys() ?? []
  }

  noEndpoints(name: string) {
    return served(name, 'none')
  }
}

/** A client in a few words; what it is sent comes back as text. */
class Peer {
  readonly view: View
  readonly state: StreamState
  nowMs = 0
  #nonce = 0
  readonly #last = new Map<string, string>()

  constructor(view: View, protocol: 'delta' | 'sotw' = 'delta', kind: ClientKind = 'weft') {
    this.view = view
    this.state = openStream(protocol, kind, 0)
  }

  delta(typeUrl: string, subscribe: string[], unsubscribe: string[] = [], held = {}): string[] {
    const initialVersions = new Map<string, string>(Object.entries(held))
    const request = {
      typeUrl,
      nonce: '',
      error: undefined,
      subscribe,
      unsubscribe,
      initialVersions,
    }
    receiveDelta(this.state, request, this.view, this.nowMs)
    return this.flush()
  }

  sotw(typeUrl: string, names: string[], nonce = '', version = ''): string[] {
    const request = { typeUrl, nonce, error: undefined, names, version }
    receiveSotw(this.state, request, this.view, this.nowMs)
    return this.flush()
  }

  nonceOf(typeUrl: string): string {
    return this.#last.get(typeUrl) ?? ''
  }

  answer(typeUrl: string, error?: string): string[] {
    const nonce = this.nonceOf(typeUrl)
    const nothing = { subscribe: [], unsubscribe: [], initialVersions: new Map<string, string>() }
    receiveDelta(this.state, { typeUrl, nonce, error, ...nothing }, this.view, this.nowMs)
    return this.flush()
  }

  changed(typeUrl: string, ...names: string[]): string[] {
    markChanged(this.state, typeUrl, names)
    return this.flush()
  }

  at(nowMs: number): string[] {
    this.nowMs = nowMs
    return this.flush()
  }

  flush(): string[] {
    const out: string[] = []
    flush(this.state, this.view, this.nowMs, (response) => {
      const nonce = String(++this.#nonce)
      this.#last.set(response.typeUrl, nonce)
      out.push(render(response))
      return nonce
    })
    return out
  }
}

const SHORT: { readonly [typeUrl: string]: string } = {
  [CDS]: 'CDS',
  [EDS]: 'EDS',
  [LDS]: 'LDS',
  [RDS]: 'RDS',
}

function render({ typeUrl, resources, removed }: Response): string {
  const parts = resources.map(({ name, version }) => `${name}=${version}`)
  return [SHORT[typeUrl], ...parts, ...removed.map((name) => `-${name}`)].join(' ')
}

const twoClusters = () => new View().set(CDS, served('a', '1'), served('b', '1'))

describe('what a Delta client wants (P5, P8)', () => {
  const cases: [string, [string[], string[]][], string[]][] = [
    ['nothing named means everything', [[[], []]], ['CDS a=1 b=1']],
    ['a star means everything', [[['*'], []]], ['CDS a=1 b=1']],
    ['names mean names', [[['b'], []]], ['CDS b=1']],
    ['a star that is taken back at once means nothing', [[['*'], ['*']]], []],
  ]
  for (const [name, requests, expected] of cases) {
    test(name, () => {
      const peer = new Peer(twoClusters())
      assert.deepEqual(
        requests.flatMap(([subscribe, unsubscribe]) => peer.delta(CDS, subscribe, unsubscribe)),
        expected,
      )
    })
  }

  test('only clusters and listeners have a silent everything', () => {
    const peer = new Peer(new View().set(EDS, served('a', '1')))
    assert.deepEqual(peer.delta(EDS, []), [])
  })

  test('everything is answered even when there is nothing', () => {
    assert.deepEqual(new Peer(new View()).delta(CDS, ['*']), ['CDS'])
  })

  test('a name beside everything keeps everything', () => {
    const peer = new Peer(twoClusters())
    peer.delta(CDS, [])
    peer.answer(CDS)
    assert.deepEqual(peer.delta(CDS, ['a']), ['CDS a=1'])
    peer.answer(CDS)
    peer.view.set(CDS, served('b', '2'))
    assert.deepEqual(peer.changed(CDS, 'b'), ['CDS b=2'])
  })

  test('asking again is answered, and so is taking a name back under a star', () => {
    const peer = new Peer(twoClusters())
    peer.delta(CDS, ['*', 'a', 'gone'])
    peer.answer(CDS)
    assert.deepEqual(peer.delta(CDS, ['a']), ['CDS a=1'])
    peer.answer(CDS)
    assert.deepEqual(peer.delta(CDS, [], ['a', 'gone']), ['CDS a=1 -gone'])
  })

  test('what is not wanted any more is not sent', () => {
    const peer = new Peer(new View().set(EDS, served('a', '1'), served('b', '1')))
    peer.delta(EDS, ['a', 'b'])
    peer.delta(EDS, [], ['a'])
    peer.view.set(EDS, served('a', '2'), served('b', '2'))
    peer.changed(EDS, 'a', 'b')
    assert.deepEqual(peer.answer(EDS), ['EDS b=2'])
  })

  test('what does not exist is said to be gone, and sent when it appears (P7)', () => {
    const peer = new Peer(new View())
    assert.deepEqual(peer.delta(RDS, ['r']), ['RDS -r'])
    peer.answer(RDS)
    peer.view.set(RDS, served('r', '1'))
    assert.deepEqual(peer.changed(RDS, 'r'), ['RDS r=1'])
  })
})

describe('a client that comes back (P11)', () => {
  test('gets what changed and the removal of what is gone, not what it has', () => {
    const peer = new Peer(twoClusters().set(RDS, served('r', '1')))
    assert.deepEqual(peer.delta(RDS, ['r'], [], { r: '1' }), [])
    assert.deepEqual(peer.delta(CDS, ['*'], [], { a: '1', b: '0', c: '1' }), ['CDS b=1 -c'])
  })

  test('keeps clusters until it is known what its routes name (R8b), but not for ever', () => {
    const peer = new Peer(twoClusters())
    assert.deepEqual(peer.delta(CDS, ['*'], [], { a: '1', b: '1', c: '1' }), ['CDS'])
    peer.answer(CDS)
    assert.deepEqual(peer.at(FRESH_MS - 1), [])
    assert.deepEqual(peer.at(FRESH_MS), ['CDS -c'])
  })
})

describe('make before break', () => {
  const routed = (...clusters: string[]) =>
    served('r', clusters.join('+'), { clusters: new Set(clusters) })

  function start(kind: ClientKind): Peer {
    const peer = new Peer(twoClusters().set(RDS, routed('a')), 'delta', kind)
    peer.delta(CDS, ['*'])
    peer.answer(CDS)
    peer.delta(RDS, ['r'])
    peer.answer(RDS)
    return peer
  }

  test('a cluster goes when the routes without it are confirmed (R8)', () => {
    const peer = start('weft')
    peer.view.kill(CDS, 'a')
    peer.view.set(RDS, routed('b'))
    peer.changed(CDS, 'a')
    assert.deepEqual(peer.changed(RDS, 'r'), ['RDS r=b'])
    assert.deepEqual(peer.answer(RDS), ['CDS -a'])
  })

  test('or when a client keeps its answer back for too long', () => {
    const peer = start('weft')
    peer.view.kill(CDS, 'a')
    peer.view.set(RDS, routed('b'))
    peer.changed(RDS, 'r')
    assert.deepEqual(peer.changed(CDS, 'a'), [])
    assert.deepEqual(peer.at(PARK_MS - 1), [])
    assert.deepEqual(peer.at(PARK_MS), ['CDS -a'])
  })

  test('a refused route may still be the old one', () => {
    const peer = start('weft')
    peer.view.kill(CDS, 'a')
    peer.view.set(RDS, routed('b'))
    peer.changed(CDS, 'a')
    peer.changed(RDS, 'r')
    assert.deepEqual(peer.answer(RDS, 'r: no'), [])
  })

  test('a route waits for its clusters to be written (R11), an Envoy for its answer too (R13)', () => {
    for (const [kind, atOnce] of [
      ['weft', ['CDS c=1', 'RDS r=c']],
      ['envoy', ['CDS c=1']],
    ] as const) {
      const peer = start(kind)
      peer.view.set(CDS, served('c', '1')).set(RDS, routed('c'))
      markChanged(peer.state, RDS, ['r'])
      assert.deepEqual(peer.changed(CDS, 'c'), atOnce, kind)
    }
  })

  test('an Envoy that keeps its answer back holds routes up for a while only', () => {
    const peer = start('envoy')
    peer.view.set(CDS, served('c', '1')).set(RDS, routed('c'))
    peer.changed(CDS, 'c')
    assert.deepEqual(peer.changed(RDS, 'r'), [])
    assert.deepEqual(peer.at(ROUTE_GATE_MS), ['RDS r=c'])
  })

  test('in state of the world the first answer has old and new, the second only new', () => {
    const view = twoClusters().set(RDS, routed('a'))
    const peer = new Peer(view, 'sotw', 'grpc')
    peer.sotw(CDS, [])
    peer.sotw(CDS, [], peer.nonceOf(CDS))
    peer.sotw(RDS, ['r'])
    peer.sotw(RDS, ['r'], peer.nonceOf(RDS))
    view.kill(CDS, 'a')
    view.set(CDS, served('c', '1')).set(RDS, routed('c'))
    markChanged(peer.state, RDS, ['r'])
    assert.deepEqual(peer.changed(CDS, 'a', 'c'), ['CDS b=1 c=1 a=1', 'RDS r=c'])
    peer.sotw(CDS, [], peer.nonceOf(CDS))
    assert.deepEqual(peer.sotw(RDS, ['r'], peer.nonceOf(RDS)), ['CDS b=1 c=1'])
  })
})

describe('refusals (R10)', () => {
  test('the same version is not sent again, another one is', () => {
    const peer = new Peer(twoClusters())
    peer.delta(CDS, ['*'])
    peer.answer(CDS, 'a: no')
    assert.deepEqual(peer.changed(CDS, 'a'), [])
    peer.view.set(CDS, served('a', '2'))
    assert.deepEqual(peer.changed(CDS, 'a'), ['CDS a=2'])
  })

  test('when nobody is named, the suspects come one by one', () => {
    const peer = new Peer(twoClusters())
    peer.delta(CDS, ['*'])
    assert.deepEqual(peer.answer(CDS, 'something is wrong'), ['CDS a=1'])
    assert.deepEqual(peer.answer(CDS), ['CDS b=1'])
    assert.deepEqual(peer.answer(CDS, 'still wrong'), [])
    assert.equal(peer.state.types.get(CDS)?.sent.get('a')?.rejected, false)
    assert.equal(peer.state.types.get(CDS)?.sent.get('b')?.rejected, true)
  })

  test('a name inside another name is not mentioned', () => {
    const peer = new Peer(new View().set(CDS, served('a', '1'), served('a.b', '1')))
    peer.delta(CDS, ['*'])
    peer.answer(CDS, 'Error adding/updating cluster(s) a.b: no.')
    assert.equal(peer.state.types.get(CDS)?.sent.get('a')?.rejected, false)
    assert.equal(peer.state.types.get(CDS)?.sent.get('a.b')?.rejected, true)
  })
})

describe('state of the world', () => {
  test('a late answer changes nothing (P4)', () => {
    const peer = new Peer(new View().set(EDS, served('a', '1')), 'sotw', 'grpc')
    peer.sotw(EDS, ['a'])
    assert.deepEqual(peer.sotw(EDS, ['a', 'x'], 'old'), [])
  })

  test('a request without nonce is answered in full', () => {
    const peer = new Peer(new View().set(EDS, served('a', '1')), 'sotw', 'grpc')
    peer.sotw(EDS, ['a'])
    peer.sotw(EDS, ['a'], peer.nonceOf(EDS))
    assert.deepEqual(peer.sotw(EDS, ['a']), ['EDS a=1'])
  })

  test('the first name ends the silent everything', () => {
    const peer = new Peer(twoClusters(), 'sotw', 'grpc')
    assert.deepEqual(peer.sotw(CDS, []), ['CDS a=1 b=1'])
    assert.deepEqual(peer.sotw(CDS, ['a'], peer.nonceOf(CDS)), ['CDS a=1'])
    assert.deepEqual(peer.sotw(CDS, [], peer.nonceOf(CDS)), [], 'now it means nothing')
  })
})

test('a large Delta response is cut, and goes on after the answer', () => {
  const size = MAX_RESPONSE_BYTES / 2
  const big = ['a', 'b', 'c'].map((name) => served(name, '1', { size }))
  const peer = new Peer(new View().set(CDS, ...big))
  assert.deepEqual(peer.delta(CDS, ['*']), ['CDS a=1 b=1'])
  assert.deepEqual(peer.answer(CDS), ['CDS c=1'])
})
