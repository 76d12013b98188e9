/** Every load balancing policy, by its kind in the model. Adding one is adding a line. */
// not a member: cluster-balancer.ts
// not a member: host.ts
// not a member: power-of-choices.ts
// not a member: priority-load.ts
// not a member: slow-start.ts
// not a member: weighted-rotation.ts
// not a member: weighted-sampler.ts
// not a member: zone-aware.ts
import type { LoadBalancer } from '@weft/model'
import { leastRequest } from './least-request.ts'
import type { LoadBalancerPolicy } from './load-balancer.ts'
import { maglev } from './maglev.ts'
import { peakEwma } from './peak-ewma.ts'
import { random } from './random.ts'
import { ringHash } from './ring-hash.ts'
import { roundRobin } from './round-robin.ts'

type Settings<Kind extends LoadBalancer['kind']> = Extract<LoadBalancer, { readonly kind: Kind }>

export const loadBalancers = {
  roundRobin: () => roundRobin,
  leastRequest: ({ choices }) => leastRequest(choices),
  random: () => random,
  peakEwma: ({ decayMs }) => peakEwma(decayMs),
  ringHash: ({ minRingSize }) => ringHash(minRingSize),
  maglev: ({ tableSize }) => maglev(tableSize),
} as const satisfies {
  readonly [Kind in LoadBalancer['kind']]: (settings: Settings<Kind>) => LoadBalancerPolicy
}

/** @throws {ConfigError} On settings that the policy cannot work with. */
export function buildPolicy(settings: LoadBalancer): LoadBalancerPolicy {
  switch (settings.kind) {
    case 'roundRobin':
      return loadBalancers.roundRobin()
    case 'leastRequest':
      return loadBalancers.leastRequest(settings)
    case 'random':
      return loadBalancers.random()
    case 'peakEwma':
      return loadBalancers.peakEwma(settings)
    case 'ringHash':
      return loadBalancers.ringHash(settings)
    case 'maglev':
      return loadBalancers.maglev(settings)
  }
}

/** Whether requests with the same hash belong together. Localities then share one table. */
export function hasAffinity(settings: LoadBalancer): boolean {
  return settings.kind === 'ringHash' || settings.kind === 'maglev'
}
