import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { LoadBalancer } from '@weft/model'
import { seededRandom } from '@weft/testkit'
import { ConfigError } from '../config-error.ts'
import { endpoint } from '../fixtures.ts'
import { mixedHash } from '../hash.ts'
import { buildPolicy, loadBalancers } from './catalog.ts'
import { Host } from './host.ts'
import { type Candidate, FIRST_PICK } from './load-balancer.ts'
import { observeLatency } from './peak-ewma.ts'

const SETTINGS: { readonly [Kind in LoadBalancer['kind']]: LoadBalancer } = {
  roundRobin: { kind: 'roundRobin' },
  leastRequest: { kind: 'leastRequest', choices: 2 },
  random: { kind: 'random' },
  peakEwma: { kind: 'peakEwma', decayMs: 10_000 },
  ringHash: { kind: 'ringHash', minRingSize: 4_096 },
  maglev: { kind: 'maglev', tableSize: 65_537 },
}

function candidates(...weights: number[]): Candidate[] {
  return weights.map((weight, i) => ({ host: new Host(`h${i}`, endpoint(`10.0.0.${i}`)), weight }))
}

function build(settings: LoadBalancer, list: readonly Candidate[], seed = 1) {
  return buildPolicy(settings)(list, { random: seededRandom(seed), nowMs: () => 0 })
}

/** How often each host is picked in `picks` requests with different hashes. */
function count(settings: LoadBalancer, list: readonly Candidate[], picks: number): number[] {
  const balancer = build(settings, list)
  const counts = new Map<Host | undefined, number>()
  for (let i = 0; i < picks; i++) {
    const host = balancer.pick({ hash: mixedHash(`request ${i}`), tried: undefined })
    counts.set(host, (counts.get(host) ?? 0) + 1)
  }
  return list.map(({ host }) => counts.get(host) ?? 0)
}

// Whatever its policy, every balancer promises these.
for (const name of Object.keys(loadBalancers) as (keyof typeof loadBalancers)[]) {
  const settings = SETTINGS[name]

  describe(name, () => {
    test('picks nothing from an empty list', () => {
      const balancer = build(settings, [])
      assert.equal(balancer.pick(FIRST_PICK), undefined)
      assert.equal(balancer.pick({ hash: 7, tried: new Set() }), undefined)
    })

    test('never returns a host that was tried', () => {
      for (const weights of [
        [1, 1],
        [100, 1],
        [1, 100, 3],
      ]) {
        const list = candidates(...weights)
        const balancer = build(settings, list)
        const last = list.at(-1)?.host
        const tried = new Set(list.slice(0, -1).map(({ host }) => host))
        for (let hash = 0; hash < 100; hash++) {
          assert.equal(balancer.pick({ hash, tried }), last)
        }
      }
    })

    test('picks nothing when every host was tried', () => {
      const list = candidates(1, 2, 3)
      const tried = new Set(list.map(({ host }) => host))
      assert.equal(build(settings, list).pick({ hash: 1, tried }), undefined)
    })

    test('uses every host when all are equal', () => {
      assert.ok(count(settings, candidates(1, 1, 1), 300).every((picks) => picks > 0))
    })

    test('shares picks in proportion to weight', () => {
      const [one = 0, two = 0, five = 0] = count(settings, candidates(1, 2, 5), 40_000)
      // Affinity tables are as even as they are large; the others as the law of large numbers.
      const slack = name === 'ringHash' ? 0.1 : 0.03
      assert.ok(Math.abs(one - 5_000) < 40_000 * slack, `${one}`)
      assert.ok(Math.abs(two - 10_000) < 40_000 * slack, `${two}`)
      assert.ok(Math.abs(five - 25_000) < 40_000 * slack, `${five}`)
    })

    test('works without a hash', () => {
      const list = candidates(1, 3)
      const balancer = build(settings, list)
      const seen = new Set(Array.from({ length: 100 }, () => balancer.pick(FIRST_PICK)))
      assert.equal(seen.size, 2)
    })
  })
}

describe('round robin', () => {
  test('each in turn, exactly', () => {
    assert.deepEqual(count(SETTINGS.roundRobin, candidates(1, 1, 1, 1), 400), [100, 100, 100, 100])
  })

  test('weights are exact over a round and well mixed inside it', () => {
    const list = candidates(5, 1, 1)
    const balancer = build(SETTINGS.roundRobin, list)
    for (let round = 0; round < 50; round++) {
      const picks = Array.from({ length: 7 }, () => balancer.pick(FIRST_PICK))
      assert.equal(picks.filter((host) => host === list[0]?.host).length, 5)
      assert.equal(picks.filter((host) => host === list[1]?.host).length, 1)
    }
    let run = 0
    for (let i = 0; i < 700; i++) {
      run = balancer.pick(FIRST_PICK) === list[0]?.host ? run + 1 : 0
      assert.ok(run <= 5, 'the heavy host is never picked six times in a row')
    }
  })

  test('proxies that start together begin with different hosts', () => {
    const list = candidates(1, 1, 1, 1, 1, 1)
    const firsts = Array.from({ length: 100 }, (_, seed) =>
      build(SETTINGS.roundRobin, list, seed).pick(FIRST_PICK),
    )
    assert.equal(new Set(firsts).size, 6)
  })
})

describe('least request', () => {
  test('of two hosts the idle one is always picked', () => {
    const list = candidates(1, 1)
    const [busy] = list
    assert.ok(busy)
    busy.host.activeRequests = 1
    assert.deepEqual(count(SETTINGS.leastRequest, list, 1_000), [0, 1_000])
  })

  test('the busiest of many is never picked: two choices are two hosts', () => {
    const list = candidates(1, 1, 1, 1, 1)
    for (const [i, { host }] of list.entries()) host.activeRequests = i
    const counts = count(SETTINGS.leastRequest, list, 20_000)
    // With 5 hosts the best of 2 is host i in (4 - i) of 10 pairs.
    for (const [i, picks] of counts.entries()) {
      assert.ok(Math.abs(picks - 20_000 * ((4 - i) / 10)) < 300, `${counts}`)
    }
    assert.equal(counts[4], 0)
  })

  test('active requests count per weight', () => {
    const list = candidates(1, 10)
    const [light, heavy] = list
    assert.ok(light && heavy)
    light.host.activeRequests = 1
    heavy.host.activeRequests = 5
    const [lightPicks = 0, heavyPicks = 0] = count(SETTINGS.leastRequest, list, 1_000)
    assert.deepEqual([lightPicks, heavyPicks], [0, 1_000])
  })

  test('a retry gets the least loaded of those left', () => {
    const list = candidates(1, 1, 1)
    const [a, b, c] = list
    assert.ok(a && b && c)
    b.host.activeRequests = 3
    c.host.activeRequests = 2
    const tried = new Set([a.host])
    assert.equal(build(SETTINGS.leastRequest, list).pick({ hash: undefined, tried }), c.host)
  })
})

describe('peak EWMA', () => {
  const DECAY_MS = 10_000

  /** Picks of a pair whose clock stands at `nowMs`. */
  function countAt(list: readonly Candidate[], nowMs: number): number[] {
    const deps = { random: seededRandom(1), nowMs: () => nowMs }
    const balancer = buildPolicy(SETTINGS.peakEwma)(list, deps)
    const picks = Array.from({ length: 1_000 }, () => balancer.pick(FIRST_PICK))
    return list.map(({ host }) => picks.filter((pick) => pick === host).length)
  }

  function pair(): [Candidate, Candidate] {
    const [a, b] = candidates(1, 1)
    assert.ok(a && b)
    return [a, b]
  }

  const ok = (host: Host, latencyMs: number, nowMs: number) =>
    observeLatency(host, { latencyMs, failed: false }, nowMs, DECAY_MS)

  test('the faster of two is picked', () => {
    const [slow, fast] = pair()
    ok(slow.host, 30, 0)
    ok(fast.host, 10, 0)
    assert.deepEqual(countAt([slow, fast], 0), [0, 1_000])
  })

  test('load counts with latency', () => {
    const [slow, fast] = pair()
    ok(slow.host, 30, 0)
    ok(fast.host, 10, 0)
    fast.host.activeRequests = 3
    assert.deepEqual(countAt([slow, fast], 0), [1_000, 0])
  })

  test('one slow answer counts whole at once, and fast ones make up for it over the decay time', () => {
    const [a, b] = pair()
    for (let t = 0; t < 1_000; t += 10) ok(a.host, 10, t)
    for (let t = 0; t < 1_000; t += 10) ok(b.host, 12, t)
    assert.deepEqual(countAt([a, b], 1_000), [1_000, 0])
    ok(a.host, 500, 1_000)
    assert.equal(a.host.latency.ms, 500)
    assert.deepEqual(countAt([a, b], 1_000), [0, 1_000])
    for (let t = 1_010; t <= 1_000 + DECAY_MS; t += 10) ok(a.host, 10, t)
    // After one decay time 1/e of the peak is left.
    assert.ok(Math.abs(a.host.latency.ms - (10 + 490 / Math.E)) < 1, `${a.host.latency.ms}`)
  })

  test('a host that fails fast does not look fast, and a row of failures costs more each time', () => {
    const [bad, good] = pair()
    ok(good.host, 40, 0)
    ok(bad.host, 2, 0)
    const fail = () => observeLatency(bad.host, { latencyMs: 1, failed: true }, 0, DECAY_MS)
    fail()
    assert.equal(bad.host.latency.ms, 100)
    assert.deepEqual(countAt([bad, good], 0), [0, 1_000])
    fail()
    assert.equal(bad.host.latency.ms, 200)
    for (let i = 0; i < 20; i++) fail()
    assert.equal(bad.host.latency.ms, DECAY_MS)
  })

  test('a host that nobody asks is forgiven in time', () => {
    const [bad, good] = pair()
    observeLatency(bad.host, { latencyMs: 1, failed: true }, 0, DECAY_MS)
    for (let t = 0; t <= 60_000; t += 100) ok(good.host, 40, t)
    assert.deepEqual(countAt([bad, good], 60_000), [1_000, 0])
  })

  test('a new host gets one request, and no second one before its first answer', () => {
    const [fresh, known] = pair()
    ok(known.host, 10, 0)
    assert.deepEqual(countAt([fresh, known], 0), [1_000, 0])
    fresh.host.activeRequests = 1
    assert.deepEqual(countAt([fresh, known], 0), [0, 1_000])
  })

  test('a slow host of ten gets far less than its share', () => {
    const list = candidates(...Array.from({ length: 10 }, () => 1))
    const random = seededRandom(7)
    let nowMs = 0
    const balancer = buildPolicy(SETTINGS.peakEwma)(list, { random, nowMs: () => nowMs })
    const counts = new Map<Host, number>()
    for (let i = 0; i < 10_000; i++) {
      nowMs += 1
      const host = balancer.pick(FIRST_PICK)
      assert.ok(host)
      counts.set(host, (counts.get(host) ?? 0) + 1)
      const latencyMs = host === list[0]?.host ? 200 : 10 + random() * 10
      observeLatency(host, { latencyMs, failed: false }, nowMs, DECAY_MS)
    }
    const slow = list[0] === undefined ? 0 : (counts.get(list[0].host) ?? 0)
    assert.ok(slow < 200, `${slow} of 10000 where the fair share is 1000`)
  })
})

for (const name of ['ringHash', 'maglev'] as const) {
  describe(`${name} affinity`, () => {
    const settings = SETTINGS[name]

    test('the same hash meets the same host, in every proxy', () => {
      const list = candidates(1, 1, 1, 1)
      const one = build(settings, list, 1)
      const other = build(settings, [...list], 2)
      for (let i = 0; i < 500; i++) {
        const request = { hash: mixedHash(`user ${i}`), tried: undefined }
        assert.equal(one.pick(request), other.pick(request))
      }
    })

    test('a host that goes moves little more than its own share', () => {
      const list = candidates(1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
      const gone = list[4]?.host
      const before = build(settings, list)
      const after = build(
        settings,
        list.filter(({ host }) => host !== gone),
      )
      let moved = 0
      for (let i = 0; i < 10_000; i++) {
        const request = { hash: mixedHash(`user ${i}`), tried: undefined }
        const was = before.pick(request)
        if (was !== gone && after.pick(request) !== was) moved++
      }
      // A ring moves nobody else; Maglev promises few.
      assert.ok(moved <= (name === 'ringHash' ? 0 : 500), `${moved} of 10000 moved`)
    })
  })
}

test('maglev refuses a table size that is no prime', () => {
  assert.throws(() => buildPolicy({ kind: 'maglev', tableSize: 65_536 }), ConfigError)
})
