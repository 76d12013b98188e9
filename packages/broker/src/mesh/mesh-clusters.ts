/** The clusters of every kind of callers, made when they are first called. */
import type { Logger } from '@weft/base'
import { BrokerCluster, type BrokerClusterDeps } from './broker-cluster.ts'
import type { WorkloadKind } from './workload-feeds.ts'
import type { WorkloadPolicy } from './workload-policy.ts'

export interface MeshClustersDeps extends BrokerClusterDeps {
  readonly log: Logger
}

export class MeshClusters {
  readonly #deps: MeshClustersDeps
  readonly #byKind = new Map<WorkloadKind, CallerClusters>()

  constructor(deps: MeshClustersDeps) {
    this.#deps = deps
  }

  /** Of callers of a kind, under its newest policy. */
  of(kind: WorkloadKind, policy: WorkloadPolicy): CallerClusters {
    let clusters = this.#byKind.get(kind)
    if (clusters === undefined) {
      this.#forgetGone()
      clusters = new CallerClusters(policy, this.#deps)
      this.#byKind.set(kind, clusters)
    } else clusters.follow(policy)
    return clusters
  }

  #forgetGone(): void {
    for (const [kind, clusters] of this.#byKind) {
      if (kind.legs.size > 0) continue
      clusters.close()
      this.#byKind.delete(kind)
    }
  }

  close(): void {
    for (const clusters of this.#byKind.values()) clusters.close()
    this.#byKind.clear()
  }
}

export class CallerClusters {
  readonly #deps: MeshClustersDeps
  readonly #clusters = new Map<string, BrokerCluster>()
  #policy: WorkloadPolicy

  constructor(policy: WorkloadPolicy, deps: MeshClustersDeps) {
    this.#policy = policy
    this.#deps = deps
  }

  /** Undefined: there is no such cluster, or it cannot be balanced. */
  get(name: string): BrokerCluster | undefined {
    const known = this.#clusters.get(name)
    const resources = this.#policy.clusterOf(name)
    if (known !== undefined || resources === undefined) return known
    try {
      const made = new BrokerCluster(resources, this.#deps)
      this.#clusters.set(name, made)
      return made
    } catch (error) {
      this.#deps.log.error('a cluster cannot be used', { cluster: name, error })
      return undefined
    }
  }

  follow(policy: WorkloadPolicy): void {
    if (policy === this.#policy) return
    this.#policy = policy
    for (const [name, cluster] of this.#clusters) {
      const resources = policy.clusterOf(name)
      if (resources !== undefined && this.#isConfigured(cluster, resources)) continue
      cluster.close()
      this.#clusters.delete(name)
    }
  }

  #isConfigured(cluster: BrokerCluster, resources: Parameters<BrokerCluster['configure']>[0]) {
    try {
      cluster.configure(resources)
      return true
    } catch (error) {
      this.#deps.log.error('a cluster cannot be used', { cluster: cluster.name, error })
      return false
    }
  }

  close(): void {
    for (const cluster of this.#clusters.values()) cluster.close()
    this.#clusters.clear()
  }
}
