/** LEAST_REQUEST: of `choices` hosts, the one with the fewest active requests per weight. */
import type { Host } from './host.ts'
import type { LoadBalancerPolicy } from './load-balancer.ts'
import { powerOfChoices } from './power-of-choices.ts'

/** @param choices 2 or more; 2 is Envoy's default and rarely worth changing. */
export function leastRequest(choices: number): LoadBalancerPolicy {
  return (candidates, deps) => powerOfChoices(choices, activeRequests, candidates, deps)
}

function activeRequests(host: Host): number {
  return host.activeRequests
}
