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
  type LocalityBalancing,
  type LocalityEndpoints,
  type Locality as Place,
  renderAddress,
  type SlowStart,
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
import { type LatencySample, observeLatency } from './peak-ewma.ts'
import { healthPercent, type PriorityLoad, priorityLoads } from './priority-load.ts'
import { slowStartShare, slowStartStepMs } from './slow-start.ts'
import { WeightedRotation } from './weighted-rotation.ts'
import { WeightedSampler } from './weighted-sampler.ts'
import { zoneShares } from './zone-aware.ts'

export interface ClusterBalancerConfig {
  readonly policy: LoadBalancer
  /** 0 to 100: below this share of available hosts health is ignored (Envoy's panic); 0 never. */
  readonly panicPercent: number
  /** Absent: localities do not matter. */
  readonly localities?: LocalityBalancing | undefined
  readonly slowStart?: SlowStart | undefined
  /** Where the caller is; without it nothing is zone aware. */
  readonly place?: Place | undefined
}

/** Envoy's `healthy_panic_threshold` where nothing is said. */
export const DEFAULT_PANIC_PERCENT = 50

export interface ClusterBalancer {
  /** All hosts of the newest update, for the admin port and outlier detection. */
  readonly hosts: readonly Host[]
  /** Newest settings; hosts keep their counts.
   * @throws {ConfigError} On settings that the policy cannot work with; the old ones stay. */
  configure(config: ClusterBalancerConfig): void
  /** Newest endpoints; hosts whose address stays keep their counts. Returns those that went. */
  update(endpoints: Endpoints): readonly Host[]
  /** What an attempt came to, for policies that look at latency. */
  observed(host: Host, sample: LatencySample): void
  /** To be called after `ejected` or `failedCheck` of a host changed. */
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
  /** Region and zone. */
  readonly zone: string
  readonly weight: number
  readonly hosts: readonly Host[]
}

interface Level {
  /** Upper end of its share of [0, 100). */
  readonly upTo: number
  readonly groups: readonly Balancer[]
  /** The group whose turn it is. */
  next(): Balancer | undefined
}

/** A priority's hosts that may be used. */
interface Whole {
  readonly hosts: ReadonlySet<Host>
  readonly balancer: Balancer
}

class PriorityBalancer implements ClusterBalancer {
  #config: ClusterBalancerConfig
  #policy: LoadBalancerPolicy
  readonly #deps: BalancerDeps
  #hosts = new Map<string, Host>()
  /** By priority; draining hosts left out. */
  #priorities: readonly (readonly Locality[])[] = []
  /** A priority may be another way to the same workloads: none is clung to. */
  #hasPaths = false
  /** Priorities that get traffic. */
  #levels: readonly Level[] = []
  /** What is well of each priority, whatever its share, for who wants another one; made when asked. */
  #whole: readonly Whole[] | undefined
  /** When shares are computed anew because somebody starts slowly; -1: never. */
  #rampAtMs = -1

  constructor(config: ClusterBalancerConfig, deps: BalancerDeps) {
    this.#config = config
    this.#policy = buildPolicy(config.policy)
    this.#deps = deps
  }

  get hosts(): readonly Host[] {
    return [...this.#hosts.values()]
  }

  configure(config: ClusterBalancerConfig): void {
    this.#policy = buildPolicy(config.policy)
    this.#config = config
    this.healthChanged()
  }

  observed(host: Host, sample: LatencySample): void {
    const { policy } = this.#config
    if (policy.kind === 'peakEwma') observeLatency(host, sample, this.#deps.nowMs(), policy.decayMs)
  }

  update(endpoints: Endpoints): readonly Host[] {
    const before = this.#hosts
    this.#hosts = new Map()
    this.#hasPaths = endpoints.localities.some((locality) =>
      locality.endpoints.some(({ path }) => path !== undefined),
    )
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
      levels.push(this.#buildLevel(localities, load, upTo, i === 0))
    }
    this.#levels = levels
    this.#whole = undefined
    this.#planRamp()
  }

  #planRamp(): void {
    const slowStart = this.#slowStart()
    this.#rampAtMs = -1
    if (slowStart === undefined) return
    const nowMs = this.#deps.nowMs()
    for (const host of this.#hosts.values()) {
      if (nowMs - host.startedAtMs >= slowStart.windowMs) continue
      this.#rampAtMs = nowMs + slowStartStepMs(slowStart)
      return
    }
  }

  #slowStart(): SlowStart | undefined {
    const { slowStart, policy } = this.#config
    const hasRamp = policy.kind === 'roundRobin' || policy.kind === 'leastRequest'
    return hasRamp ? slowStart : undefined
  }

  pick(request: PickRequest): Host | undefined {
    if (request.preferred !== undefined) {
      const host = this.#hosts.get(renderAddress(request.preferred))
      // A session stays with a host of any priority, as long as the host may be used at all.
      if (host?.available === true && request.tried?.has(host) !== true) return host
    }
    if (this.#rampAtMs >= 0 && this.#deps.nowMs() >= this.#rampAtMs) this.healthChanged()
    const other = request.otherPriority === 'first' ? this.#pickOther(request) : undefined
    if (other !== undefined) return other
    const chosen = this.#chooseLevel(request.hash)
    if (chosen === undefined) return undefined
    const host = pickFrom(chosen, request)
    if (host !== undefined || request.tried === undefined) return host
    return this.#pickElsewhere(chosen, request)
  }

  #adopt(locality: LocalityEndpoints, before: ReadonlyMap<string, Host>): Locality {
    const hosts = locality.endpoints.map((endpoint) => this.#host(endpoint, before))
    const { region, zone } = locality.locality
    return {
      zone: `${region}/${zone}`,
      weight: locality.weight,
      hosts: hosts.filter((host) => host.endpoint.health !== 'draining'),
    }
  }

  #host(endpoint: Endpoint, before: ReadonlyMap<string, Host>): Host {
    const key = renderAddress(endpoint.address)
    const host = this.#hosts.get(key) ?? before.get(key) ?? this.#newHost(key, endpoint)
    host.endpoint = endpoint
    this.#hosts.set(key, host)
    return host
  }

  #newHost(key: string, endpoint: Endpoint): Host {
    const host = new Host(key, endpoint)
    host.startedAtMs = this.#deps.nowMs()
    return host
  }

  #buildLevel(
    localities: readonly Locality[],
    load: PriorityLoad,
    upTo: number,
    isFirst: boolean,
  ): Level {
    const usable = localities
      .map(({ zone, weight, hosts }) => ({
        zone,
        hosts: load.panic ? hosts : hosts.filter(({ available }) => available),
        // A locality that lost hosts gives up traffic as a priority does.
        weight: load.panic ? weight : (weight * healthPercent(countHealth(hosts))) / 100,
      }))
      .filter(({ hosts, weight }) => hosts.length > 0 && weight > 0)
    const { policy, localities: balancing } = this.#config
    if (balancing?.kind === 'weighted') {
      return hasAffinity(policy)
        ? this.#single(usable.flatMap(shareOfLocality), upTo)
        : this.#weighted(usable, upTo)
    }
    if (balancing?.kind === 'zoneAware' && isFirst && !load.panic && !hasAffinity(policy)) {
      const level = this.#zoneAware(usable, balancing, upTo)
      if (level !== undefined) return level
    }
    return this.#single(this.#candidates(usable), upTo)
  }

  #single(candidates: readonly Candidate[], upTo: number): Level {
    const group = this.#policy(candidates, this.#deps)
    return { upTo, groups: [group], next: () => group }
  }

  #weighted(usable: readonly Locality[], upTo: number): Level {
    const weights = usable.map(({ weight }) => weight)
    const rotation = new WeightedRotation(weights, this.#deps.random())
    const groups = usable.map((one) => this.#policy(this.#candidates([one]), this.#deps))
    return { upTo, groups, next: () => (groups.length < 2 ? groups[0] : groups[rotation.next()]) }
  }

  /** `undefined`: the conditions are not met. */
  #zoneAware(
    usable: readonly Locality[],
    { routedPercent, minEndpoints }: Extract<LocalityBalancing, { readonly kind: 'zoneAware' }>,
    upTo: number,
  ): Level | undefined {
    const { place } = this.#config
    if (place === undefined) return undefined
    const zones = Map.groupBy(usable, ({ zone }) => zone)
    const own = `${place.region}/${place.zone}`
    const local = zones.get(own)
    const total = countHosts(usable)
    if (local === undefined || zones.size < 2 || total < minEndpoints) return undefined
    zones.delete(own)
    const others = [...zones.values()]
    const shares = zoneShares(countHosts(local), others.map(countHosts))
    const build = (list: readonly Locality[]) => this.#policy(this.#candidates(list), this.#deps)
    const all = build(usable)
    const near = build(local)
    const far = others.filter((_, i) => (shares.others[i] ?? 0) > 0).map(build)
    const sampler = new WeightedSampler(shares.others.filter((share) => share > 0))
    const { random } = this.#deps
    return {
      upTo,
      groups: [near, all],
      next: () => {
        if (random() * 100 >= routedPercent) return all
        return random() < shares.local || far.length === 0 ? near : far[sampler.draw(random())]
      },
    }
  }

  #candidates(localities: readonly Locality[]): Candidate[] {
    const slowStart = this.#slowStart()
    const nowMs = slowStart === undefined ? 0 : this.#deps.nowMs()
    return localities.flatMap(({ hosts }) =>
      hosts.map((host) => {
        const { weight } = host.endpoint
        if (slowStart === undefined) return { host, weight }
        return { host, weight: weight * slowStartShare(host, nowMs, slowStart) }
      }),
    )
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
    const mayLeave = request.otherPriority === 'last' || this.#hasPaths
    const other = mayLeave ? this.#pickOther(request) : undefined
    return other ?? pickFrom(chosen, { hash: request.hash, tried: undefined })
  }

  /** The best priority of which no host was tried yet. */
  #pickOther(request: PickRequest): Host | undefined {
    const { tried } = request
    if (tried === undefined) return undefined
    this.#whole ??= this.#priorities.map((localities) => {
      const usable = localities.map((one) => ({
        ...one,
        hosts: one.hosts.filter(({ available }) => available),
      }))
      const candidates = this.#candidates(usable)
      const hosts = new Set(localities.flatMap(hostsOf))
      return { hosts, balancer: this.#policy(candidates, this.#deps) }
    })
    for (const { hosts, balancer } of this.#whole) {
      if (!tried.isDisjointFrom(hosts)) continue
      const host = balancer.pick(request)
      if (host !== undefined) return host
    }
    return undefined
  }
}

function pickFrom(level: Level, request: PickRequest): Host | undefined {
  return level.next()?.pick(request)
}

function countHosts(localities: readonly Locality[]): number {
  return localities.reduce((sum, { hosts }) => sum + hosts.length, 0)
}

function countHealth(hosts: readonly Host[]) {
  return { hosts: hosts.length, available: hosts.filter(({ available }) => available).length }
}

function hostsOf(locality: Locality): readonly Host[] {
  return locality.hosts
}

/** One table for all localities: a host's weight is its share of its locality's share. */
function shareOfLocality({ hosts, weight }: Locality): Candidate[] {
  const total = hosts.reduce((sum, { endpoint }) => sum + endpoint.weight, 0)
  return hosts.map((host) => ({ host, weight: (weight * host.endpoint.weight) / total }))
}
