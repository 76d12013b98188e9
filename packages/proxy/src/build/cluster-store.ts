/**
 * The running clusters: made, changed in place and let go as configurations
 * come and go. A cluster that keeps its name keeps its connections, its
 * balancer's counts, its limits and what outlier detection knows.
 */
import type { Cluster, Endpoints } from '@weft/model'
import type { EngineDeps } from '../exchange/contract.ts'
import { UpstreamCluster } from '../upstream/cluster.ts'
import { watchDnsEndpoints } from './dns-endpoints.ts'
import type { NameResolver } from './name-resolver.ts'

interface Entry {
  readonly upstream: UpstreamCluster
  /** By identity: unchanged resources are the same objects. */
  endpoints: Endpoints | undefined
  stopDns: (() => void) | undefined
}

export class ClusterStore {
  readonly #engine: EngineDeps
  readonly #resolver: NameResolver
  readonly #entries = new Map<string, Entry>()
  #byName: ReadonlyMap<string, UpstreamCluster> = new Map()

  constructor(engine: EngineDeps, resolver: NameResolver) {
    this.#engine = engine
    this.#resolver = resolver
  }

  /** The clusters of the newest configuration; the same map as before when none came or went. */
  get clusters(): ReadonlyMap<string, UpstreamCluster> {
    return this.#byName
  }

  /**
   * Takes over a complete configuration: what was validated before, so it cannot
   * fail. Clusters that are gone are let go by `releaseGone`, once nothing new
   * refers to them.
   */
  apply(clusters: ReadonlyMap<string, Cluster>, endpoints: ReadonlyMap<string, Endpoints>): void {
    for (const [name, cluster] of clusters) this.#applyOne(name, cluster, endpoints)
    const isSame =
      this.#byName.size === clusters.size &&
      [...clusters.keys()].every((name) => this.#byName.get(name) === this.#upstream(name))
    if (isSame) return
    this.#byName = new Map(
      [...clusters.keys()].flatMap((name) => {
        const upstream = this.#upstream(name)
        return upstream === undefined ? [] : [[name, upstream] as const]
      }),
    )
  }

  /** Lets go of what the newest configuration does not have; requests under way still end there. */
  releaseGone(): void {
    for (const [name, entry] of this.#entries) {
      if (this.#byName.has(name)) continue
      this.#entries.delete(name)
      release(entry)
    }
  }

  close(): void {
    for (const entry of this.#entries.values()) release(entry)
    this.#entries.clear()
    this.#byName = new Map()
  }

  #upstream(name: string): UpstreamCluster | undefined {
    return this.#entries.get(name)?.upstream
  }

  #applyOne(name: string, cluster: Cluster, endpoints: ReadonlyMap<string, Endpoints>): void {
    const known = this.#entries.get(name)
    const { discovery } = cluster
    const found =
      discovery.kind === 'eds'
        ? endpoints.get(discovery.name)
        : discovery.kind === 'static'
          ? discovery.endpoints
          : undefined
    if (known === undefined) {
      const upstream = new UpstreamCluster(cluster, found, this.#engine)
      const entry = { upstream, endpoints: found, stopDns: undefined }
      this.#entries.set(name, entry)
      this.#watchNames(entry, cluster)
      return
    }
    const { model } = known.upstream
    if (model !== cluster) {
      known.upstream.configure(cluster)
      if (JSON.stringify(model.discovery) !== JSON.stringify(discovery)) {
        known.stopDns?.()
        known.stopDns = undefined
        this.#watchNames(known, cluster)
      }
    }
    // Endpoints that the control plane no longer knows of are not forgotten before it says so.
    if (found !== undefined && found !== known.endpoints) {
      known.endpoints = found
      known.upstream.updateEndpoints(found)
    }
  }

  #watchNames(entry: Entry, { discovery }: Cluster): void {
    if (discovery.kind !== 'strictDns' && discovery.kind !== 'logicalDns') return
    entry.stopDns = watchDnsEndpoints(discovery, this.#resolver, (endpoints) => {
      entry.endpoints = endpoints
      entry.upstream.updateEndpoints(endpoints)
    })
  }
}

function release(entry: Entry): void {
  entry.stopDns?.()
  entry.upstream.close()
}
