import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Endpoint, EndpointHealth, Endpoints, LoadBalancer } from '@weft/model'
import { seededRandom } from '@weft/testkit'
import { endpoint } from '../fixtures.ts'
import { createClusterBalancer } from './cluster-balancer.ts'
import type { Host } from './host.ts'
import { FIRST_PICK } from './load-balancer.ts'
import { priorityLoads } from './priority-load.ts'

interface LocalityOptions {
  readonly priority?: number
  readonly weight?: number
}

function locality(
  endpoints: readonly Endpoint[],
  { priority = 0, weight = 1 }: LocalityOptions = {},
) {
  return { locality: { region: 'r', zone: 'z', subZone: '' }, priority, weight, endpoints }
}

function endpoints(...localities: Endpoints['localities'][number][]): Endpoints {
  return { name: 'test', localities }
}

/** `count` endpoints of subnet `net`, the last `bad` of them with `health`. */
function group(net: number, count: number, bad = 0, health: EndpointHealth = 'unhealthy') {
  return Array.from({ length: count }, (_, i) =>
    endpoint(`10.0.${net}.${i}`, { health: i < count - bad ? 'healthy' : health }),
  )
}

function balancer(panicPercent = 0, policy: LoadBalancer = { kind: 'roundRobin' }) {
  return createClusterBalancer(
    { policy, panicPercent, localities: { kind: 'weighted' } },
    { random: seededRandom(3), nowMs: () => 0 },
  )
}

/** Picks per subnet (third part of the address). */
function countNets(of: ReturnType<typeof balancer>, picks: number): Record<string, number> {
  const counts: Record<string, number> = {}
  for (let i = 0; i < picks; i++) {
    const net = of.pick(FIRST_PICK)?.key.split('.')[2] ?? 'none'
    counts[net] = (counts[net] ?? 0) + 1
  }
  return counts
}

describe('priorityLoads()', () => {
  const loads = (panic: number, ...levels: [hosts: number, available: number][]) =>
    priorityLoads(
      levels.map(([hosts, available]) => ({ hosts, available })),
      panic,
    ).map(({ percent, panic: panics }) => (panics ? `${percent}!` : `${percent}`))

  // The tables of Envoy's "Priority levels" and "Panic threshold", overprovisioning 1.4.
  const cases: [string, number, [number, number][], string[]][] = [
    [
      'P0 whole',
      50,
      [
        [100, 100],
        [100, 100],
      ],
      ['100', '0'],
    ],
    [
      'P0 72 %',
      50,
      [
        [100, 72],
        [100, 100],
      ],
      ['100', '0'],
    ],
    [
      'P0 71 %',
      50,
      [
        [100, 71],
        [100, 100],
      ],
      ['99', '1'],
    ],
    [
      'P0 50 %',
      50,
      [
        [100, 50],
        [100, 100],
      ],
      ['70', '30'],
    ],
    [
      'P0 25 %',
      50,
      [
        [100, 25],
        [100, 100],
      ],
      ['35', '65'],
    ],
    [
      'P0 gone',
      50,
      [
        [100, 0],
        [100, 100],
      ],
      ['0', '100'],
    ],
    [
      '25 % and 25 %: both panic',
      50,
      [
        [100, 25],
        [100, 25],
      ],
      ['50!', '50!'],
    ],
    [
      '5 % of three',
      50,
      [
        [100, 5],
        [100, 5],
        [100, 5],
      ],
      ['34!', '33!', '33!'],
    ],
    [
      '20 % each',
      50,
      [
        [100, 20],
        [100, 20],
        [100, 100],
      ],
      ['28', '28', '44'],
    ],
    [
      'not enough in all, one panics',
      50,
      [
        [100, 51],
        [100, 5],
      ],
      ['92', '8!'],
    ],
    [
      'no panic wanted',
      0,
      [
        [100, 0],
        [100, 0],
      ],
      ['0', '0'],
    ],
    [
      'empty P0',
      50,
      [
        [0, 0],
        [10, 10],
      ],
      ['0', '100'],
    ],
    ['nobody', 50, [[0, 0]], ['0!']],
  ]
  for (const [name, panic, levels, expected] of cases) {
    test(name, () => {
      assert.deepEqual(loads(panic, ...levels), expected)
    })
  }
})

describe('cluster balancer', () => {
  test('has nothing before the first update, and when all are unhealthy', () => {
    const empty = balancer()
    assert.equal(empty.pick(FIRST_PICK), undefined)
    empty.update(endpoints(locality(group(0, 2, 2))))
    assert.equal(empty.pick(FIRST_PICK), undefined)
    assert.equal(empty.hosts.length, 2)
  })

  test('skips unhealthy, draining and ejected hosts', () => {
    const of = balancer()
    of.update(
      endpoints(
        locality([
          ...group(0, 2),
          ...group(1, 1, 1),
          ...group(2, 1, 1, 'draining'),
          ...group(3, 1),
        ]),
      ),
    )
    const ejected = of.hosts.find(({ key }) => key === '10.0.3.0:80')
    assert.ok(ejected)
    ejected.ejected = true
    of.healthChanged()
    assert.deepEqual(countNets(of, 100), { 0: 100 })
    ejected.ejected = false
    of.healthChanged()
    assert.deepEqual(countNets(of, 90), { 0: 60, 3: 30 })
  })

  test('spills over to the next priority as the first loses hosts', () => {
    const of = balancer()
    of.update(endpoints(locality(group(0, 4, 2)), locality(group(1, 4), { priority: 1 })))
    const { 0: first = 0, 1: second = 0 } = countNets(of, 10_000)
    assert.ok(Math.abs(first - 7_000) < 200, `${first}`)
    assert.equal(first + second, 10_000)
  })

  test('draining hosts are no failure of their priority', () => {
    const of = balancer(50)
    of.update(
      endpoints(locality(group(0, 4, 3, 'draining')), locality(group(1, 4), { priority: 1 })),
    )
    assert.deepEqual(countNets(of, 100), { 0: 100 })
  })

  test('in a panic unhealthy hosts are used, draining ones are not', () => {
    const of = balancer(50)
    of.update(
      endpoints(locality([...group(0, 1), ...group(1, 3, 3), ...group(2, 1, 1, 'draining')])),
    )
    assert.deepEqual(countNets(of, 400), { 0: 100, 1: 300 })
  })

  test('localities share by weight, however many hosts they have', () => {
    const of = balancer()
    of.update(endpoints(locality(group(0, 1), { weight: 3 }), locality(group(1, 9), { weight: 1 })))
    assert.deepEqual(countNets(of, 400), { 0: 300, 1: 100 })
  })

  test('a locality that lost hosts gives up its share', () => {
    const of = balancer()
    of.update(endpoints(locality(group(0, 10, 5)), locality(group(1, 10))))
    // 1.4 x 50 % = 70 against 100.
    const { 0: first = 0 } = countNets(of, 1_700)
    assert.ok(Math.abs(first - 700) <= 1, `${first}`)
  })

  test('a retry goes to another host and another locality first, at last to any', () => {
    const of = balancer()
    of.update(
      endpoints(
        locality(group(0, 1), { weight: 1_000 }),
        locality(group(1, 1)),
        locality(group(2, 1), { priority: 1 }),
      ),
    )
    const tried = new Set<Host>()
    const keys: (string | undefined)[] = []
    for (let i = 0; i < 2; i++) {
      const host = of.pick({ hash: undefined, tried })
      assert.ok(host && !tried.has(host))
      tried.add(host)
      keys.push(host.key)
    }
    assert.deepEqual(keys.sort(), ['10.0.0.0:80', '10.0.1.0:80'])
    // The next priority has no share while the first is whole, so the request stays.
    assert.ok(of.pick({ hash: undefined, tried }))
  })

  test('who wants another priority gets the next one that is well, at last any host', () => {
    const of = balancer()
    const update = (third: number) =>
      of.update(
        endpoints(
          locality(group(0, 2)),
          locality(group(1, 1, 1, 'unhealthy'), { priority: 1 }),
          locality(group(2, third), { priority: 2 }),
        ),
      )
    update(1)
    const first = of.pick({ hash: undefined, tried: undefined })
    assert.match(first?.key ?? '', /^10\.0\.0\./)
    assert.ok(first)
    const tried = new Set([first])
    const pick = (otherPriority: 'first' | 'last') =>
      of.pick({ hash: undefined, tried, otherPriority })?.key ?? ''
    assert.match(pick('last'), /^10\.0\.0\./)
    assert.equal(pick('first'), '10.0.2.0:80')
    for (const host of of.hosts) if (host.key.startsWith('10.0.0.')) tried.add(host)
    assert.equal(pick('last'), '10.0.2.0:80')
    // A change is seen at once.
    update(0)
    assert.match(pick('first'), /^10\.0\.0\./)
  })

  test('F5: another way to the same workloads is taken before a host is tried twice', () => {
    const of = balancer()
    const [brokered] = group(1, 1)
    assert.ok(brokered)
    const path = 'broker' as const
    of.update(endpoints(locality(group(0, 2)), locality([{ ...brokered, path }], { priority: 1 })))
    const tried = new Set<Host>()
    const keys: string[] = []
    for (let i = 0; i < 3; i++) {
      const host = of.pick({ hash: undefined, tried: tried.size === 0 ? undefined : tried })
      assert.ok(host)
      tried.add(host)
      keys.push(host.key)
    }
    assert.deepEqual(keys.slice(0, 2).sort(), ['10.0.0.0:80', '10.0.0.1:80'])
    assert.equal(keys[2], '10.0.1.0:80')
  })

  test('hosts whose address stays keep their counts, and those that went are told', () => {
    const of = balancer()
    of.update(endpoints(locality(group(0, 2))))
    const [kept, gone] = of.hosts
    assert.ok(kept && gone)
    kept.activeRequests = 5
    const left = of.update(endpoints(locality([endpoint('10.0.0.0', { weight: 7 })])))
    assert.deepEqual(left, [gone])
    assert.equal(of.hosts[0], kept)
    assert.equal(kept.activeRequests, 5)
    assert.equal(kept.endpoint.weight, 7)
  })

  test('a session stays with its host as long as that may be used', () => {
    const of = balancer()
    of.update(endpoints(locality(group(0, 3)), locality(group(1, 1), { priority: 1 })))
    const preferred = { host: '10.0.1.0', port: 80 }
    const request = { hash: undefined, tried: undefined, preferred }
    for (let i = 0; i < 10; i++) assert.equal(of.pick(request)?.key, '10.0.1.0:80')
    const host = of.pick(request)
    assert.ok(host)
    assert.notEqual(of.pick({ ...request, tried: new Set([host]) }), host)
    host.ejected = true
    of.healthChanged()
    assert.match(of.pick(request)?.key ?? '', /^10\.0\.0\./)
    host.ejected = false
    of.update(endpoints(locality(group(0, 3)), locality(group(1, 1, 1, 'draining'))))
    assert.match(of.pick(request)?.key ?? '', /^10\.0\.0\./)
    const stranger = { ...request, preferred: { host: '10.9.9.9', port: 80 } }
    assert.match(of.pick(stranger)?.key ?? '', /^10\.0\.0\./)
  })

  test('affinity spans localities', () => {
    const of = balancer(0, { kind: 'maglev', tableSize: 65_537 })
    of.update(endpoints(locality(group(0, 3), { weight: 3 }), locality(group(1, 5), { weight: 1 })))
    for (let hash = 1; hash < 2_000; hash += 97) {
      const request = { hash, tried: undefined }
      assert.equal(of.pick(request), of.pick(request))
    }
    let first = 0
    for (let hash = 0; hash < 65_537; hash++) {
      if (of.pick({ hash, tried: undefined })?.key.startsWith('10.0.0.') === true) first++
    }
    assert.ok(Math.abs(first - 65_537 * 0.75) < 700, `${first}`)
  })
})

describe('localities that do not matter', () => {
  test('share by their endpoints', () => {
    const of = createClusterBalancer(
      { policy: { kind: 'roundRobin' }, panicPercent: 0 },
      { random: seededRandom(3), nowMs: () => 0 },
    )
    of.update(endpoints(locality(group(0, 1), { weight: 9 }), locality(group(1, 3))))
    assert.deepEqual(countNets(of, 400), { 0: 100, 1: 300 })
  })
})

describe('zone aware routing', () => {
  const PICKS = 10_000

  /** `hosts` endpoints in each of the zones z0, z1, …; picks per zone of a caller in z0, in percent. */
  function shares(hosts: readonly number[], more: { percent?: number; min?: number } = {}) {
    const { percent = 100, min = 0 } = more
    const of = createClusterBalancer(
      {
        policy: { kind: 'random' },
        panicPercent: 50,
        localities: { kind: 'zoneAware', routedPercent: percent, minEndpoints: min },
        place: { region: 'r', zone: 'z0', subZone: '' },
      },
      { random: seededRandom(3), nowMs: () => 0 },
    )
    of.update(
      endpoints(
        ...hosts.map((count, i) => ({
          ...locality(group(i, count)),
          locality: { region: 'r', zone: `z${i}`, subZone: '' },
        })),
      ),
    )
    const counts = countNets(of, PICKS)
    return hosts.map((_, i) => Math.round((100 * (counts[i] ?? 0)) / PICKS))
  }

  const near = (got: readonly number[], wanted: readonly number[]) => {
    for (const [i, share] of got.entries()) {
      assert.ok(Math.abs(share - (wanted[i] ?? 0)) <= 2, `${got} instead of ${wanted}`)
    }
  }

  test('a zone with its share of the endpoints keeps all of its traffic', () => {
    assert.deepEqual(shares([3, 3, 3]), [100, 0, 0])
    assert.deepEqual(shares([6, 3]), [100, 0])
  })

  test('a zone with too few sends away what would overload them, where there is room', () => {
    // A sixth of the endpoints for a third of the callers: half stays, the rest goes to z2.
    near(shares([1, 2, 3]), [50, 0, 50])
    near(shares([1, 3]), [50, 50])
  })

  test('too few endpoints altogether, or none in the zone: all endpoints alike', () => {
    near(shares([1, 1, 2], { min: 6 }), [25, 25, 50])
    near(shares([0, 1, 3]), [0, 25, 75])
  })

  test('only the given share of requests is routed by zone', () => {
    near(shares([5, 5], { percent: 50 }), [75, 25])
    near(shares([5, 5], { percent: 0 }), [50, 50])
  })
})

describe('slow start', () => {
  for (const policy of [{ kind: 'roundRobin' }, { kind: 'leastRequest', choices: 2 }] as const) {
    test(`${policy.kind}: a new host gets its share bit by bit`, () => {
      let nowMs = 0
      const of = createClusterBalancer(
        {
          policy,
          panicPercent: 0,
          slowStart: { windowMs: 10_000, aggression: 1, minPercent: 10 },
        },
        { random: seededRandom(3), nowMs: () => nowMs },
      )
      of.update(endpoints(locality(group(0, 1))))
      nowMs = 20_000
      of.update(endpoints(locality([...group(0, 1), ...group(1, 1)])))
      /** Share of the new host, relative to the old one's, over a moment at `atMs` of its life. */
      const share = (atMs: number) => {
        nowMs = 20_000 + atMs
        const counts = countNets(of, 5_000)
        return (counts[1] ?? 0) / (counts[0] ?? 1)
      }
      if (policy.kind === 'roundRobin') {
        assert.ok(Math.abs(share(0) - 0.1) < 0.02, `${share(0)}`)
        assert.ok(Math.abs(share(5_000) - 0.5) < 0.02, `${share(5_000)}`)
      }
      const early = share(6_000)
      assert.ok(early < 0.9, `${early}`)
      assert.ok(Math.abs(share(10_000) - 1) < 0.1, `${share(10_000)}`)
    })
  }

  test('shares hold when they are computed anew between two picks', () => {
    let nowMs = 0
    const of = createClusterBalancer(
      {
        policy: { kind: 'roundRobin' },
        panicPercent: 0,
        slowStart: { windowMs: 100_000, aggression: 1, minPercent: 10 },
      },
      { random: seededRandom(3), nowMs: () => nowMs },
    )
    of.update(endpoints(locality(group(0, 3))))
    nowMs = 200_000
    of.update(endpoints(locality([...group(0, 3), ...group(1, 1)])))
    let fresh = 0
    for (let i = 0; i < 3_000; i++) {
      nowMs = 200_000 + (i % 2) * 5_000
      of.healthChanged()
      if (of.pick(FIRST_PICK)?.key.startsWith('10.0.1.') === true) fresh++
    }
    // Its share is 97; neither starved nor favoured, though every pick is a first one.
    assert.ok(fresh > 50 && fresh < 130, `${fresh}`)
  })
})

test('settings change in place: hosts and their counts stay', () => {
  const of = balancer()
  of.update(endpoints(locality(group(0, 2))))
  const [host] = of.hosts
  assert.ok(host)
  host.activeRequests = 7
  of.configure({ policy: { kind: 'leastRequest', choices: 2 }, panicPercent: 50 })
  assert.equal(of.hosts[0], host)
  for (let i = 0; i < 50; i++) assert.notEqual(of.pick(FIRST_PICK), host)
})
