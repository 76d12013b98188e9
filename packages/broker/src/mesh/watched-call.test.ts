import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NO_LIMITS, type OutlierDetection } from '@weft/model'
import { eventually } from '@weft/testkit'
import { RSOCKET_ERROR, renderLease } from '@weft/wire'
import { type Answer, routed, SILENT, type TestClient } from '../broker-fixture.ts'
import { openWatched, passing, RETRY, type Watched } from './watched-fixture.ts'

const KEY = ['idempotency-key=1']
const OUTLIERS: OutlierDetection = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitLocalOriginErrors: false,
  intervalMs: 1_000,
  baseEjectionMs: 5_000,
  maxEjectionPercent: 50,
  minHealthPercent: 0,
}

const says =
  (text: string): Answer =>
  (stream) =>
    stream.next({ data: Buffer.from(text) }, true)
const fails =
  (code: number): Answer =>
  (stream) =>
    stream.fail(code, 'no')

async function dialAll({ dial }: Watched, names: readonly string[]): Promise<TestClient[]> {
  const all = await Promise.all(names.map((instance) => dial({ instance })))
  for (const [i, each] of all.entries()) each.answer = says(names[i] ?? '')
  return all
}

async function shares(mesh: Watched, count: number, tags: string[] = []) {
  const found = new Map<string, number>()
  for (let i = 0; i < count; i++) {
    const [said = ''] = await mesh.caller.ask('rr', routed('s.m', '', tags))
    found.set(said, (found.get(said) ?? 0) + 1)
  }
  return found
}

describe('a watched call', () => {
  test('is repeated after a pause when the policy says so and it does no harm', async () => {
    const mesh = await openWatched({
      retry: { ...RETRY, backoffBaseMs: 1_000, backoffMaxMs: 1_000 },
    })
    let asked = 0
    for (const responder of await dialAll(mesh, ['one', 'two'])) {
      responder.answer = (stream, payload) => {
        if (++asked === 1) stream.fail(RSOCKET_ERROR.applicationError, 'first')
        else stream.next(payload, true)
      }
    }
    const answer = mesh.caller.ask('rr', routed('s.m', 'x', KEY))
    await eventually(() => assert.equal(asked, 1))
    await mesh.caller.ask('rr', routed('weft.broker.hello'))
    assert.equal(asked, 1, 'not before the pause is over')
    await passing(mesh.clock, 100, () => assert.equal(asked, 2))
    assert.deepEqual(await answer, ['x'])
    assert.deepEqual(mesh.cluster.limits.inUse().retries, 0)
    mesh.broker.close()
  })

  test('is not repeated when it may have been processed and is not idempotent', async () => {
    const mesh = await openWatched({ retry: RETRY })
    const [one] = await dialAll(mesh, ['one'])
    assert.ok(one)
    one.answer = fails(RSOCKET_ERROR.applicationError)
    assert.deepEqual(await mesh.caller.ask('rr', routed('s.m')), ['#201 no'])
    assert.equal(mesh.broker.counters.retriedRequests, 0)
    mesh.broker.close()
  })

  test('that nobody processed moves on at once, and the same instance is asked after a pause', async () => {
    const mesh = await openWatched({ retry: RETRY })
    const [one, two] = await dialAll(mesh, ['one', 'two'])
    assert.ok(one && two)
    one.answer = fails(RSOCKET_ERROR.rejected)
    assert.deepEqual(await shares(mesh, 10), new Map([['two', 10]]))
    two.close()
    await eventually(() => assert.equal(mesh.cluster.legs.length, 1))
    const before = mesh.broker.counters.retriedRequests
    const answer = mesh.caller.ask('rr', routed('s.m'))
    await passing(mesh.clock, 50, () =>
      assert.equal(mesh.broker.counters.retriedRequests, before + 2),
    )
    const ended = passing(mesh.clock, 50, () => assert.equal(mesh.broker.openStreams, 0))
    assert.deepEqual(await answer, ['#202 no'])
    await ended
    assert.equal(mesh.flags.at(-1), 'URX')
    mesh.broker.close()
  })

  test('has a limit for each try and one for all of them', async () => {
    const retry = { ...RETRY, backoffBaseMs: 1 }
    const mesh = await openWatched({ retry, perTryMs: 1_000, timeoutMs: 2_500 })
    let asked = 0
    let cancelled = 0
    for (const responder of await dialAll(mesh, ['one', 'two', 'three', 'four'])) {
      responder.answer = (stream) => {
        asked++
        stream.handler = { ...SILENT, onCancel: () => void cancelled++ }
      }
    }
    const answer = mesh.caller.ask('rr', routed('s.m', '', KEY))
    await eventually(() => assert.equal(asked, 1))
    mesh.clock.advance(1_050)
    await passing(mesh.clock, 1, () => assert.equal(asked, 2))
    await eventually(() => assert.equal(cancelled, 1))
    mesh.clock.advance(1_050)
    await passing(mesh.clock, 1, () => assert.equal(asked, 3))
    mesh.clock.advance(500)
    assert.deepEqual(await answer, ['#203 WEFT-504 timeout'])
    await eventually(() => assert.equal(cancelled, 3))
    assert.equal(mesh.broker.counters.timedOutRequests, 1)
    mesh.broker.close()
  })

  test('whose caller leaves during the pause is forgotten', async () => {
    const mesh = await openWatched({
      retry: { ...RETRY, backoffBaseMs: 60_000, backoffMaxMs: 60_000 },
    })
    let asked = 0
    const [one] = await dialAll(mesh, ['one'])
    assert.ok(one)
    one.answer = (stream) => {
      asked++
      stream.fail(RSOCKET_ERROR.applicationError, 'no')
    }
    const stream = mesh.caller.peer.request('rr', routed('s.m', '', KEY), SILENT)
    await eventually(() => assert.equal(mesh.broker.counters.retriedRequests, 1))
    assert.equal(mesh.broker.openStreams, 1)
    stream?.cancel()
    await eventually(() => assert.equal(mesh.broker.openStreams, 0))
    mesh.clock.advance(120_000)
    await mesh.caller.ask('rr', routed('weft.broker.hello'))
    assert.equal(asked, 1)
    assert.deepEqual(mesh.cluster.limits.inUse().requests, 0)
    mesh.broker.close()
  })

  test('above maxRequests is refused with UO, and lets the next one in when it ends', async () => {
    const mesh = await openWatched({ cluster: { limits: { ...NO_LIMITS, maxRequests: 1 } } })
    const [one] = await dialAll(mesh, ['one'])
    assert.ok(one)
    one.answer = () => {}
    const stream = mesh.caller.peer.request('rr', routed('s.m'), SILENT)
    await eventually(() => assert.equal(mesh.cluster.limits.inUse().requests, 1))
    const [refused = ''] = await mesh.caller.ask('rr', routed('s.m'))
    assert.match(refused, /^#202 WEFT-503 .*overflow$/)
    assert.deepEqual(mesh.flags, ['UO'])
    stream?.cancel()
    await eventually(() => assert.equal(mesh.cluster.limits.inUse().requests, 0))
    one.answer = says('one')
    assert.deepEqual(await mesh.caller.ask('rr', routed('s.m')), ['one'])
    mesh.broker.close()
  })

  test('repeats within the retry budget only', async () => {
    const retryBudget = { percent: 0, minRetryConcurrency: 0 }
    const mesh = await openWatched({ retry: RETRY, cluster: { retryBudget } })
    const [one] = await dialAll(mesh, ['one'])
    assert.ok(one)
    one.answer = fails(RSOCKET_ERROR.applicationError)
    assert.deepEqual(await mesh.caller.ask('rr', routed('s.m', '', KEY)), ['#201 no'])
    assert.equal(mesh.broker.counters.retriedRequests, 0)
    mesh.broker.close()
  })
})

describe('the choice among instances', () => {
  test('leaves out who fails in a row, never too many, for its time', async () => {
    const mesh = await openWatched({ cluster: { outlierDetection: OUTLIERS, panicPercent: 0 } })
    const [one, two] = await dialAll(mesh, ['one', 'two', 'three', 'four'])
    assert.ok(one && two)
    one.answer = fails(RSOCKET_ERROR.applicationError)
    await eventually(async () => assert.equal((await shares(mesh, 20)).has('#201 no'), false))
    assert.equal((await shares(mesh, 50)).size, 3)
    mesh.clock.advance(4_000)
    assert.equal((await shares(mesh, 20)).size, 3)
    one.answer = says('one')
    mesh.clock.advance(2_000)
    assert.equal((await shares(mesh, 50)).size, 4)
    mesh.broker.close()
  })

  test('takes turns', async () => {
    const mesh = await openWatched({ cluster: { loadBalancer: { kind: 'roundRobin' } } })
    await dialAll(mesh, ['one', 'two', 'three'])
    const found = await shares(mesh, 30)
    assert.deepEqual([...found.values()], [10, 10, 10])
    mesh.broker.close()
  })

  for (const loadBalancer of [
    { kind: 'ringHash', minRingSize: 128 },
    { kind: 'maglev', tableSize: 251 },
  ] as const) {
    test(`keeps who is alike at one instance: ${loadBalancer.kind}`, async () => {
      const hash = [{ kind: 'header', name: 'x-user', terminal: false }] as const
      const mesh = await openWatched({ cluster: { loadBalancer }, hash })
      await dialAll(mesh, ['one', 'two', 'three'])
      const met = new Set<string>()
      for (let user = 0; user < 20; user++) {
        const found = await shares(mesh, 4, [`x-user=${user}`])
        assert.equal(found.size, 1)
        for (const name of found.keys()) met.add(name)
      }
      assert.equal(met.size, 3)
      mesh.broker.close()
    })
  }

  test('passes over those whose lease is used up, whatever the policy', async () => {
    const mesh = await openWatched({ cluster: { loadBalancer: { kind: 'roundRobin' } } })
    await dialAll(mesh, ['one'])
    const leased = await mesh.dial({ instance: 'leased', lease: true })
    leased.answer = says('leased')
    leased.write(renderLease({ ttlMs: 60_000, requests: 2 }))
    await eventually(() => {
      const legs = mesh.cluster.legs
      assert.equal(legs.find(({ lease }) => lease !== undefined)?.lease?.requests, 2)
    })
    const found = await shares(mesh, 10)
    assert.deepEqual([found.get('leased'), found.get('one')], [2, 8])
    mesh.broker.close()
  })

  test('follows the endpoint and the stickiness that a key asks for', async () => {
    const mesh = await openWatched({ cluster: { loadBalancer: { kind: 'random' } } })
    await dialAll(mesh, ['one', 'two', 'three'])
    const ask = (key: string) => mesh.caller.ask('rr', routed(key))
    for (let i = 0; i < 5; i++) assert.deepEqual(await ask('s.m?e=id:two'), ['two'])
    assert.match(String(await ask('s.m?e=id:nobody')), /^#202 WEFT-503/)
    const [first = ''] = await ask('s.m?sticky=1')
    for (let i = 0; i < 10; i++) assert.deepEqual(await ask('s.m?sticky=1'), [first])
    mesh.broker.close()
  })
})
