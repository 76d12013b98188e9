/**
 * The interop matrix: every client asks every client through one broker and through two, over TCP,
 * WebSocket and TLS, in the four interactions; and leases, as each of them gives and takes them.
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { eventually } from '@weft/testkit'
import { missing } from './peers.ts'
import {
  type InteropBrokers,
  openInteropBroker,
  openInteropCluster,
} from './rsocket-interop-fixture.ts'
import {
  CARRIERS,
  type Carrier,
  FAIL,
  FAILURE,
  METHOD,
  type Program,
  STREAM_ITEMS,
} from './rsocket-program.ts'
import { programs } from './rsocket-programs.ts'

const WAYS = [
  { name: 'a broker', open: openInteropBroker, lacks: false },
  { name: 'two brokers', open: openInteropCluster, lacks: missing('etcd') },
] as const

for (const { name, open, lacks } of WAYS) {
  describe(`RSocket clients through ${name}`, () => {
    let fixture: InteropBrokers | undefined

    before(async () => {
      if (lacks === false) fixture = await open()
    })

    afterEach(() => fixture?.allGone())

    after(() => fixture?.close())

    const opened = () => {
      assert.ok(fixture !== undefined)
      return fixture
    }
    for (const carrier of CARRIERS) askEachOther(opened, carrier, lacks)
    leaseEachOther(opened, lacks)
  })
}

/** A test for each pair of clients. */
function askEachOther(
  fixture: () => InteropBrokers,
  carrier: Carrier,
  lacks: string | false,
): void {
  for (const requesterKind of programs) {
    for (const responderKind of programs) {
      const skip = lacks || requesterKind.skip || responderKind.skip
      const name = `${requesterKind.name} asks ${responderKind.name} over ${carrier}`
      test(name, { skip }, async () => {
        const service = `s.${requesterKind.name}-${responderKind.name}-${carrier}`
        const { told } = await fixture().dialResponder(responderKind, carrier, service)
        const requester = await fixture().dial(requesterKind, carrier)
        await converse(requester, service, told)
        const { broker, far } = fixture()
        await eventually(() => assert.deepEqual([broker.openStreams, far.openStreams], [0, 0]))
        // Nobody sends more than it was asked for.
        assert.deepEqual([broker.counters.overruns, far.counters.overruns], [0, 0])
      })
    }
  }
}

/** Leases are asked for, or given, by each client. */
function leaseEachOther(fixture: () => InteropBrokers, lacks: string | false): void {
  for (const kind of programs) {
    const skip = lacks || kind.skip
    test(`${kind.name} that honours leases waits for the broker's and asks`, { skip }, async () => {
      const service = `s.leased-by-${kind.name}`
      await fixture().dialResponder(kind, 'tcp', service)
      const requester = await fixture().dial(kind, 'tcp', { leaseRequests: 0 })
      await eventually(async () =>
        assert.deepEqual(await requester.response(`${service}.${METHOD}`, 'x'), ['x']),
      )
    })

    if (!kind.grantsLeases) continue
    // 0.0.27 says LEASE before it says SETUP.
    const trap = kind.name === '0.0.27' ? 'trap 4: ' : ''
    test(`${trap}${kind.name} gets no more requests than it leased`, { skip }, async () => {
      const service = `s.lease-of-${kind.name}`
      await fixture().dialResponder(kind, 'tcp', service, { leaseRequests: 3 })
      const requester = await fixture().dial(kind, 'tcp')
      const leg = fixture().far.registry.find(service)[0]
      await eventually(() => assert.equal(leg?.lease?.requests, 3))
      const answers: string[] = []
      for (let i = 0; i < 5; i++) {
        answers.push(...(await requester.response(`${service}.${METHOD}`, String(i))))
      }
      const refused = '#202 WEFT-503 no responder can take the request'
      assert.deepEqual(answers, ['0', '1', '2', refused, refused])
    })
  }
}

async function converse(requester: Program, service: string, told: readonly string[]) {
  const key = `${service}.${METHOD}`
  assert.deepEqual(await requester.response(key, 'one'), ['one'])
  assert.deepEqual(
    await requester.stream(key, 'item', 16),
    Array.from({ length: STREAM_ITEMS }, () => 'item'),
  )
  assert.deepEqual(await requester.first(key, 'only'), ['only'])
  assert.deepEqual(await requester.channel(key, 'c'), ['c0', 'c1', 'c2'])
  requester.fireAndForget(key, 'told')
  await eventually(() => assert.deepEqual(told, ['told']))
  const large = 'x'.repeat(300_000)
  assert.deepEqual(await requester.response(key, large), [large])
  assert.deepEqual(await requester.response(key, FAIL), [`#201 ${FAILURE}`])
  assert.deepEqual(await requester.response('nobody.there', ''), [
    '#202 WEFT-404 nobody offers nobody',
  ])
}
