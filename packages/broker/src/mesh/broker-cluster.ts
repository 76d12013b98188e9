/**
 * A cluster as one kind of callers sees it: which instance gets a call, how much may be under way,
 * and who is left out because it failed. What decides is what decides in a sidecar; its hosts are
 * instances that dialled in, each with the links it has.
 */
import type { Clock } from '@weft/base'
import { type Cluster, type Endpoint, type Endpoints, NO_LIMITS, renderAddress } from '@weft/model'
import { ClusterHosts, ClusterLimits, type Host, type PickRequest } from '@weft/traffic'
import type { GsvRoute } from '@weft/wire'
import { pickSticky, selectLegs } from '../gsv-pick.ts'
import type { Leg } from '../leg.ts'
import { type PickDeps, pickLeg } from '../pick-leg.ts'
import type { WorkloadKind } from './workload-feeds.ts'
import type { ClusterResources } from './workload-policy.ts'

export interface BrokerClusterDeps extends PickDeps {
  readonly clock: Clock
  /** Grows when who is connected changes, or what the control plane says. */
  readonly version: () => number
  /** Who dialled in, by the address that the mesh knows it by. */
  kindAt(address: string): WorkloadKind | undefined
}

/** What a call asks of the choice. */
export interface Wish {
  readonly caller: Leg
  readonly route: GsvRoute
  /** As `PickRequest.hash`. */
  readonly hash: number | undefined
}

export interface Picked {
  readonly leg: Leg
  /** Absent in clusters that nobody watches. */
  readonly host: Host | undefined
}

const NONE: readonly Leg[] = []

export class BrokerCluster {
  readonly limits: ClusterLimits
  readonly #deps: BrokerClusterDeps
  #model: Cluster
  #endpoints: Endpoints | undefined
  /** Absent: two at random and the better one, which needs no more than the legs. */
  #hosts: ClusterHosts | undefined
  #legs: readonly Leg[] = NONE
  #kinds: ReadonlySet<WorkloadKind> = new Set()
  readonly #legsOf = new Map<Host, readonly Leg[]>()
  readonly #hostOf = new Map<Leg, Host>()
  #seen = -1
  #shape = ''

  /** @throws {ConfigError} When the balancing policy is not supported. */
  constructor({ model, endpoints }: ClusterResources, deps: BrokerClusterDeps) {
    this.#model = model
    this.#endpoints = endpoints
    this.#deps = deps
    this.limits = new ClusterLimits(model.limits, model.retryBudget, () => deps.nowMs())
    this.#configureHosts()
  }

  get name(): string {
    return this.#model.name
  }

  /** Its calls are counted, or what becomes of them is looked at. */
  get isWatched(): boolean {
    const { maxRequests } = this.#model.limits
    return this.#hosts !== undefined || maxRequests < NO_LIMITS.maxRequests
  }

  /** Newest settings and endpoints; counts stay. @throws {ConfigError} As the constructor. */
  configure({ model, endpoints }: ClusterResources): void {
    this.#model = model
    this.#endpoints = endpoints
    this.limits.configure(model.limits, model.retryBudget)
    this.#configureHosts()
    this.#seen = -1
  }

  #configureHosts(): void {
    const { clock, random } = this.#deps
    if (isPlain(this.#model, this.#endpoints)) {
      this.#hosts?.close()
      this.#hosts = undefined
      this.#shape = ''
    } else if (this.#hosts === undefined) {
      this.#hosts = new ClusterHosts(this.#model, { clock, random })
    } else this.#hosts.configure(this.#model)
  }

  /** Everybody who may be asked, now. */
  get legs(): readonly Leg[] {
    this.#refresh()
    return this.#legs
  }

  /** Of what kinds of workloads they are. */
  get kinds(): ReadonlySet<WorkloadKind> {
    this.#refresh()
    return this.#kinds
  }

  /** Somebody of them wants lines in the access log. */
  get isLogged(): boolean {
    for (const kind of this.kinds) {
      if ((kind.opened?.policy?.logs.inbound.length ?? 0) > 0) return true
    }
    return false
  }

  /** How many hosts there are; 0 where nobody watches them. */
  get hostCount(): number {
    return this.#legsOf.size
  }

  /**
   * @param triedLegs Of this call; where hosts are watched, `tried` says it.
   * @returns Undefined: nobody can take the call now.
   */
  pick(
    wish: Wish,
    triedLegs: readonly Leg[],
    tried: ReadonlySet<Host> | undefined,
    otherPriority?: PickRequest['otherPriority'],
  ): Picked | undefined {
    this.#refresh()
    const { route, caller } = wish
    if (route.sticky || route.endpoint !== '') return this.#pickNamed(caller, route, triedLegs)
    if (this.#hosts === undefined) {
      const leg = pickLeg(this.#legs, triedLegs, this.#deps)
      return leg && { leg, host: undefined }
    }
    return this.#pickHost(this.#hosts, wish.hash, tried, otherPriority)
  }

  /** Without allocating anything; for clusters that nobody watches. */
  pickLeg(wish: Wish, tried: readonly Leg[]): Leg | undefined {
    const { route } = wish
    if (this.#hosts !== undefined || route.sticky || route.endpoint !== '') {
      return this.pick(wish, tried, undefined)?.leg
    }
    this.#refresh()
    return pickLeg(this.#legs, tried, this.#deps)
  }

  /** Callers say whom they mean, by Alibaba's keys. Who is ejected is not meant. */
  #pickNamed(caller: Leg, route: GsvRoute, tried: readonly Leg[]): Picked | undefined {
    const able = selectLegs(this.#legs, route).filter(
      (leg) => this.#hostOf.get(leg)?.ejected !== true,
    )
    const leg = route.sticky
      ? pickSticky(caller, `${this.name} ${route.service}`, able, tried, this.#deps)
      : pickLeg(able, tried, this.#deps)
    return leg && { leg, host: this.#hostOf.get(leg) }
  }

  /** A host whose links take nothing now – leases, drains, full outboxes – is passed over. */
  #pickHost(
    hosts: ClusterHosts,
    hash: number | undefined,
    tried: ReadonlySet<Host> | undefined,
    otherPriority: PickRequest['otherPriority'],
  ): Picked | undefined {
    let passed: Set<Host> | undefined
    for (;;) {
      const wanted = { hash, tried: passed ?? tried }
      const host = hosts.pick(otherPriority === undefined ? wanted : { ...wanted, otherPriority })
      if (host === undefined) return undefined
      if (passed?.has(host) === true) return this.#pickTried(tried)
      const leg = this.#legFor(host)
      if (leg !== undefined) return { leg, host }
      passed ??= new Set(tried)
      passed.add(host)
    }
  }

  /** Rather one that failed than none. */
  #pickTried(tried: ReadonlySet<Host> | undefined): Picked | undefined {
    for (const host of tried ?? []) {
      const leg = this.#legFor(host)
      if (leg !== undefined) return { leg, host }
    }
    return undefined
  }

  #legFor(host: Host): Leg | undefined {
    return pickLeg(this.#legsOf.get(host) ?? NONE, NONE, this.#deps)
  }

  /** What a try came to. */
  note(host: Host, status: number | undefined, latencyMs: number): void {
    const result = status === undefined ? { latencyMs } : { status, latencyMs }
    this.#hosts?.noteDone(host, result, this.#deps.nowMs())
  }

  #refresh(): void {
    const version = this.#deps.version()
    if (version === this.#seen) return
    this.#seen = version
    const found = instancesOf(this.#endpoints, this.#deps)
    this.#legs = found.flatMap(({ instances, endpoint }) =>
      endpoint.health === 'healthy' ? instances.flatMap(({ legs }) => legs) : [],
    )
    this.#kinds = new Set(found.map(({ kind }) => kind))
    if (this.#hosts !== undefined) this.#update(this.#hosts, found)
  }

  #update(hosts: ClusterHosts, found: readonly FoundEndpoint[]): void {
    const endpoints = expanded(this.#endpoints, found)
    const shape = JSON.stringify(endpoints)
    // Tables of consistent hashing are not made anew because somebody else came.
    if (shape !== this.#shape) hosts.update(endpoints)
    this.#shape = shape
    const legs = new Map(
      found.flatMap(({ instances }) =>
        instances.map((each) => [renderAddress(each.address), each.legs]),
      ),
    )
    this.#legsOf.clear()
    this.#hostOf.clear()
    for (const host of hosts.all) {
      const own = legs.get(host.key) ?? NONE
      this.#legsOf.set(host, own)
      for (const leg of own) this.#hostOf.set(leg, host)
    }
  }

  close(): void {
    this.#hosts?.close()
  }
}

/** Istio's default, with nothing that would need to know one host from another. */
function isPlain(model: Cluster, endpoints: Endpoints | undefined): boolean {
  const { loadBalancer, outlierDetection, localities, slowStart } = model
  if (loadBalancer.kind !== 'leastRequest' || loadBalancer.choices !== 2) return false
  if (outlierDetection !== undefined || localities !== undefined || slowStart !== undefined) {
    return false
  }
  return (endpoints?.localities ?? []).every(({ priority }) => priority === 0)
}

interface Instance {
  readonly address: Endpoint['address']
  readonly weight: number
  readonly legs: Leg[]
}

interface FoundEndpoint {
  readonly kind: WorkloadKind
  readonly endpoint: Endpoint
  readonly instances: readonly Instance[]
}

/** An endpoint of the mesh is a kind of workload; here it is each of its instances. */
function instancesOf(
  endpoints: Endpoints | undefined,
  deps: Pick<BrokerClusterDeps, 'kindAt'>,
): readonly FoundEndpoint[] {
  return [...endpointsOf(endpoints, deps)].map(([kind, endpoint]) => {
    const instances = new Map<string, Instance>()
    for (const leg of kind.legs) {
      const { id = '', weight = 1 } = leg.facts.instance ?? {}
      const known = instances.get(id)
      const address = { host: id, port: endpoint.address.port }
      if (known === undefined) instances.set(id, { address, weight, legs: [leg] })
      else known.legs.push(leg)
    }
    return { kind, endpoint, instances: [...instances.values()] }
  })
}

/** Each broker of a cluster has an address of its own for a kind: one of them is enough. */
function endpointsOf(
  endpoints: Endpoints | undefined,
  deps: Pick<BrokerClusterDeps, 'kindAt'>,
): ReadonlyMap<WorkloadKind, Endpoint> {
  const found = new Map<WorkloadKind, Endpoint>()
  for (const { endpoints: list } of endpoints?.localities ?? []) {
    for (const endpoint of list) {
      const kind = deps.kindAt(renderAddress(endpoint.address))
      if (kind === undefined) continue
      if (found.get(kind)?.health !== 'healthy') found.set(kind, endpoint)
    }
  }
  return found
}

function expanded(endpoints: Endpoints | undefined, found: readonly FoundEndpoint[]): Endpoints {
  const byEndpoint = new Map(found.map((each) => [each.endpoint, each.instances]))
  const localities = (endpoints?.localities ?? []).map((locality) => ({
    ...locality,
    endpoints: locality.endpoints.flatMap((endpoint) =>
      (byEndpoint.get(endpoint) ?? []).map(({ address, weight }) => ({
        ...endpoint,
        address,
        weight: endpoint.weight * weight,
      })),
    ),
  }))
  return { name: endpoints?.name ?? '', localities }
}
