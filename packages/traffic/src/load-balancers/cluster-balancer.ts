/**
 * Chooses an endpoint of a cluster: priority, then locality, then the policy.
 * Owns the hosts, so that their counts outlive every update of the endpoints.
 */
import type { Endpoints, LoadBalancer } from '@weft/model'
import type { Host } from './host.ts'
import type { BalancerDeps, PickRequest } from './load-balancer.ts'

export interface ClusterBalancerConfig {
  readonly policy: LoadBalancer
  /** 0 to 100: below this share of available hosts health is ignored (Envoy's panic); 0 never. */
  readonly panicPercent: number
}

export interface ClusterBalancer {
  /** All hosts of the newest update, for the admin port and outlier detection. */
  readonly hosts: readonly Host[]
  /** Newest endpoints; hosts whose address stays keep their counts. Returns those that went. */
  update(endpoints: Endpoints): readonly Host[]
  /** To be called after `ejected` of a host changed. */
  healthChanged(): void
  /** `undefined`: no endpoint may be used now (`UH`). */
  pick(request: PickRequest): Host | undefined
}

/** @throws {ConfigError} When the policy is one that this data plane does not have. */
export function createClusterBalancer(
  _config: ClusterBalancerConfig,
  _deps: BalancerDeps,
): ClusterBalancer {
  return { hosts: [], update: () => [], healthChanged: () => {}, pick: () => undefined }
}
