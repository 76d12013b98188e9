/**
 * Chooses an endpoint of a cluster: priority, then locality, then the policy.
 * Owns the hosts, so that their counts outlive every update of the endpoints.
 *
 * Draining hosts are as good as gone: they neither get requests nor count as
 * failures of their priority. A rolling restart must not look like an outage.
 */
import {
  type Endpoint,
  type Endpoints,
  type LoadBalancer,
  type LocalityEndpoints,
  renderAddress,
} from '@weft/model'
import { buildPolicy, hasAffinity } from './catalog.ts'
import { Host } from './host.ts'
import type {
  Balancer,
  BalancerDeps,
  Candidate,
  LoadBalancerPolicy,
  PickRequest,
} from './load-balancer.ts'
import { healthPercent, type PriorityLoad, priorityLoads } from './priority-load.ts'
import { WeightedRotation } from './weighted-rotation.ts'

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
  /**
   * Prefers a host that was not tried; when all were, any. `undefined`: no
   * endpoint may be used now (`UH`).
   */
  pick(request: PickRequest): Host | undefined
}

/** @throws {ConfigError} On settings that the policy cannot work with. */
export function createClusterBalancer(
  config: ClusterBalancerConfig,
  deps: BalancerDeps,
): ClusterBalancer {
  return new PriorityBalancer(config, deps)
}

/** Hosts of one locality in one priority. */
interface Locality {
  readonly weight: number
  readonly hosts: readonly Host[]
}

interface Level {
  /** Upper end of its share of [0, 100). */
  readonly upTo: number
  readonly groups: readonly Balancer[]
  readonly rotation: WeightedRotation
}

class PriorityBalancer implements ClusterBalancer {
  readonly #config: ClusterBalancerConfig
  readonly #policy: LoadBalancerPolicy
  readonly #deps: BalancerDeps
  #hosts = new Map<string, Host>()
  /** By priority; draining hosts left out. */
  #priorities: readonly (readonly Locality[])[] = []
  /** Priorities that get traffic. */
  #levels: readonly Level[] = []

  constructor(config: ClusterBalancerConfig, deps: BalancerDeps) {
    this.#config = config
    this.#policy = buildPolicy(config.policy)
    this.#deps = deps
  }

  get hosts(): readonly Host[] {
    return [...this.#hosts.values()]
  }

  update(endpoints: Endpoints): readonly Host[] {
    const before = this.#hosts
    this.#hosts = new Map()
    const priorities = new Map<number, Locality[]>()
    for (const locality of endpoints.localities) {
      const list = priorities.get(locality.priority) ?? []
      list.push(this.#adopt(locality, before))
      priorities.set(locality.priority, list)
    }
    this.#priorities = [...priorities].sort(([a], [b]) => a - b).map(([, list]) => list)
    this.healthChanged()
    return [...before.values()].filter(({ key }) => !this.#hosts.has(key))
  }

  healthChanged(): void {
    const health = this.#priorities.map((localities) => countHealth(localities.flatMap(hostsOf)))
    const loads = priorityLoads(health, this.#config.panicPercent)
    const levels: Level[] = []
    let upTo = 0
    for (const [i, localities] of this.#priorities.entries()) {
      const load = loads[i]
      if (load === undefined || load.percent === 0) continue
      upTo += load.percent
      levels.push(this.#buildLevel(localities, load, upTo))
    }
    this.#levels = levels
  }

  pick(request: PickRequest): Host | undefined {
    if (request.preferred !== undefined) {
      const host = this.#hosts.get(renderAddress(request.preferred))
      // A session stays with a host of any priority, as long as the host may be used at all.
      if (host?.available === true && request.tried?.has(host) !== true) return host
    }
    const chosen = this.#chooseLevel(request.hash)
    if (chosen === undefined) return undefined
    const host = pickFrom(chosen, request)
    if (host !== undefined || request.tried === undefined) return host
    return this.#pickElsewhere(chosen, request)
  }

  #adopt(locality: LocalityEndpoints, before: ReadonlyMap<string, Host>): Locality {
    const hosts = locality.endpoints.map((endpoint) => this.#host(endpoint, before))
    return {
      weight: locality.weight,
      hosts: hosts.filter((host) => host.endpoint.health !== 'draining'),
    }
  }

  #host(endpoint: Endpoint, before: ReadonlyMap<string, Host>): Host {
    const key = renderAddress(endpoint.address)
    const host = this.#hosts.get(key) ?? before.get(key) ?? new Host(key, endpoint)
    host.endpoint = endpoint
    this.#hosts.set(key, host)
    return host
  }

  #buildLevel(localities: readonly Locality[], load: PriorityLoad, upTo: number): Level {
    const usable = localities
      .map((locality) => ({
        hosts: load.panic ? locality.hosts : locality.hosts.filter(({ available }) => available),
        // A locality that lost hosts gives up traffic as a priority does.
        weight: load.panic
          ? locality.weight
          : (locality.weight * healthPercent(countHealth(locality.hosts))) / 100,
      }))
      .filter(({ hosts, weight }) => hosts.length > 0 && weight > 0)
    const groups = hasAffinity(this.#config.policy)
      ? [usable.flatMap(shareOfLocality)]
      : usable.map(({ hosts }) => hosts.map(toCandidate))
    const weights = groups.length === usable.length ? usable.map(({ weight }) => weight) : [1]
    return {
      upTo,
      groups: groups.map((candidates) => this.#policy(candidates, this.#deps)),
      rotation: new WeightedRotation(weights, this.#deps.random()),
    }
  }

  #chooseLevel(hash: number | undefined): Level | undefined {
    const levels = this.#levels
    if (levels.length < 2) return levels[0]
    // The same hash must meet the same priority, or affinity would end there.
    const point = hash === undefined ? this.#deps.random() * 100 : hash % 100
    for (const level of levels) if (point < level.upTo) return level
    return levels.at(-1)
  }

  #pickElsewhere(chosen: Level, request: PickRequest): Host | undefined {
    for (const level of this.#levels) {
      for (const group of level.groups) {
        const host = group.pick(request)
        if (host !== undefined) return host
      }
    }
    return pickFrom(chosen, { hash: request.hash, tried: undefined })
  }
}

function pickFrom(level: Level, request: PickRequest): Host | undefined {
  const { groups } = level
  return groups.length === 1
    ? groups[0]?.pick(request)
    : groups[level.rotation.next()]?.pick(request)
}

function countHealth(hosts: readonly Host[]) {
  return { hosts: hosts.length, available: hosts.filter(({ available }) => available).length }
}

function hostsOf(locality: Locality): readonly Host[] {
  return locality.hosts
}

function toCandidate(host: Host): Candidate {
  return { host, weight: host.endpoint.weight }
}

/** One table for all localities: a host's weight is its share of its locality's share. */
function shareOfLocality({ hosts, weight }: Locality): Candidate[] {
  const total = hosts.reduce((sum, { endpoint }) => sum + endpoint.weight, 0)
  return hosts.map((host) => ({ host, weight: (weight * host.endpoint.weight) / total }))
}
