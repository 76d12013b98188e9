/**
 * What does choosing an endpoint cost, per request, at 10, 100 and 1000 endpoints?
 *
 * Budget: 1 us per pick at 1000 endpoints. A pick runs on the request path of
 * every proxy.
 *
 *     node --conditions=source packages/traffic/src/load-balancers/catalog.bench.ts
 */
import type { Endpoint, LoadBalancer } from '@weft/model'
import { mixedHash } from '../hash.ts'
import { createClusterBalancer } from './cluster-balancer.ts'

const DEPS = { random: Math.random, nowMs: () => 0 }
const PICKS = 200_000

const POLICIES: readonly LoadBalancer[] = [
  { kind: 'roundRobin' },
  { kind: 'leastRequest', choices: 2 },
  { kind: 'random' },
  { kind: 'ringHash', minRingSize: 1_024 },
  { kind: 'maglev', tableSize: 65_537 },
]

function endpoints(count: number, even: boolean): Endpoint[] {
  return Array.from({ length: count }, (_, i) => ({
    address: { host: `10.0.${i >> 8}.${i & 255}`, port: 80 },
    weight: even ? 1 : 1 + (i % 3),
    health: 'healthy',
  }))
}

for (const policy of POLICIES) {
  for (const even of [true, false]) {
    const columns = [10, 100, 1_000].map((count) => {
      const balancer = createClusterBalancer({ policy, panicPercent: 0 }, DEPS)
      balancer.update({
        name: 'bench',
        localities: [
          {
            locality: { region: '', zone: '', subZone: '' },
            priority: 0,
            weight: 1,
            endpoints: endpoints(count, even),
          },
        ],
      })
      const requests = Array.from({ length: 64 }, (_, i) => ({
        hash: mixedHash(`user${i}`),
        tried: undefined,
      }))
      let checksum = 0
      const run = (): void => {
        for (let i = 0; i < PICKS; i++) {
          const request = requests[i & 63]
          if (request !== undefined) checksum += balancer.pick(request)?.endpoint.weight ?? 0
        }
      }
      run()
      let bestNs = Number.POSITIVE_INFINITY
      for (let i = 0; i < 5; i++) {
        const start = performance.now()
        run()
        bestNs = Math.min(bestNs, ((performance.now() - start) * 1e6) / PICKS)
      }
      return `${bestNs.toFixed(0).padStart(5)} (${checksum})`
    })
    const name = `${policy.kind}${even ? '' : ', weighted'}`
    console.log(`${name.padEnd(24)} ns/pick at 10, 100, 1000: ${columns.join('  ')}`)
  }
}
