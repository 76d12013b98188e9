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
    { policy, panicPercent },
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
