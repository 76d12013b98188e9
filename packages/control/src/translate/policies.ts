/**
 * RateLimits and TrafficPolicies over everything else: the last step of a
 * translation. Each place (a route, a listener, a cluster) asks which policies are
 * for it; the more specific one wins field by field, then the older one.
 *
 *     route of an object > rule of a Service > listener of a Gateway > selector
 */
import type { DocumentOf, PolicyTarget, TrafficPolicySpec } from '@weft/config'
import type {
  Cluster,
  FilterChain,
  FilterOverrides,
  Listener,
  LocalRateLimit,
  Origin,
  RateLimitService,
  Route,
  RouteTable,
} from '@weft/model'
import { selects } from '../registries/declared/workload-ref.ts'
import type { MeshService } from '../registries/registry.ts'
import { resolveHost } from '../snapshot/hosts.ts'
import { clusterUnderPolicy, tlvChoice } from './features/policy-cluster.ts'
import { managerUnderPolicy, tcpProxyUnderPolicy } from './features/policy-listener.ts'
import { routeUnderPolicy } from './features/policy-route.ts'
import { type GlobalLimit, globalLimit, localRateLimit } from './features/rate-limit.ts'
import type { ProxyScope } from './scope.ts'

export interface PolicedResources {
  readonly listeners: readonly Listener[]
  readonly routes: readonly RouteTable[]
  readonly clusters: ReadonlyMap<string, Cluster>
}

/** Something that a policy can be for. */
interface Place {
  readonly kind: PolicyTarget['kind']
  /** Only for Gateways, of which there are two. */
  readonly group?: string
  readonly namespace: string
  readonly name: string
  /** Names of the part that is meant: a rule, a port, a listener. */
  readonly sections: readonly string[]
}

interface PlacePolicy {
  readonly traffic: TrafficPolicySpec
  readonly limit: LocalRateLimit | undefined
  readonly global: GlobalLimit | undefined
}

const NOTHING: TrafficPolicySpec = { targetRefs: [] }

/** Without a policy everything is what it was, and the same objects. */
export function applyPolicies(scope: ProxyScope, resources: PolicedResources): PolicedResources {
  const { rateLimits, trafficPolicies } = scope.snapshot
  if (rateLimits.length === 0 && trafficPolicies.length === 0) return resources
  const inputs = [...rateLimits, ...trafficPolicies]
  const cached = <T>(key: string, from: readonly unknown[], make: () => T) =>
    scope.cache.get(`policies ${key}`, [...from, ...inputs], make)
  const onRoutes = new Set<keyof FilterOverrides>()
  const isGateway = scope.proxy.role === 'gateway'
  const routes = resources.routes.map((table) => {
    const policed = cached(`${isGateway} route ${table.name}`, [table, scope.snapshot.shape], () =>
      tableUnderPolicy(scope, table),
    )
    for (const key of overridesIn(policed)) onRoutes.add(key)
    return policed
  })
  const clusters = new Map<string, Cluster>()
  for (const [name, cluster] of resources.clusters) {
    const place = isOutbound(name) ? serviceOfCluster(scope, name) : undefined
    const policed =
      place === undefined
        ? cluster
        : cached(`cluster ${name}`, [cluster], () => clusterPolicy(scope, cluster, place))
    clusters.set(name, policed)
  }
  const listeners = resources.listeners.map((one) => listenerUnderPolicy(scope, one, [...onRoutes]))
  return { listeners, routes, clusters }
}

function clusterPolicy(scope: ProxyScope, cluster: Cluster, place: Place): Cluster {
  const { traffic } = policyOf(scope, [place])
  return traffic === NOTHING ? cluster : clusterUnderPolicy(cluster, traffic)
}

function tableUnderPolicy(scope: ProxyScope, table: RouteTable): RouteTable {
  let isChanged = false
  const virtualHosts = table.virtualHosts.map((host) => {
    const routes = host.routes.map((route) => {
      const policed = policedRoute(scope, route)
      if (policed !== route) isChanged = true
      return policed
    })
    return { ...host, routes }
  })
  if (!isChanged) return table
  const compresses = virtualHosts.some(({ routes }) =>
    routes.some(({ filters }) => filters?.compressor !== undefined),
  )
  if (!compresses) return { ...table, virtualHosts }
  // The listener's filter is there for some routes only.
  return {
    ...table,
    virtualHosts: virtualHosts.map((host) => ({
      ...host,
      filters: { compressor: { disabled: true }, ...host.filters },
    })),
  }
}

function policedRoute(scope: ProxyScope, route: Route): Route {
  const object = route.origins[0]
  const own = object === undefined ? undefined : routePlace(scope, object, route.name)
  const service = serviceOfRoute(scope, route)
  const written = policyOf(scope, own === undefined ? [] : [own])
  const ofService = policyOf(scope, service === undefined ? [] : [service])
  const served = { ...ofService.traffic, ...written.traffic }
  // Sidecars leave to the service's own proxy what it does itself.
  const isEdge = scope.proxy.role === 'gateway'
  return routeUnderPolicy(route, {
    steering: served,
    filters: isEdge ? served : written.traffic,
    limit: written.limit ?? (isEdge ? ofService.limit : undefined),
    global: written.global ?? (isEdge ? ofService.global : undefined),
  })
}

function listenerUnderPolicy(
  scope: ProxyScope,
  listener: Listener,
  onRoutes: readonly (keyof FilterOverrides)[],
): Listener {
  let isChanged = false
  const under = (chain: FilterChain): FilterChain => {
    const { filter } = chain
    const policy = policyOf(scope, placesOfChain(scope, listener, chain), facesOut(scope, listener))
    if (filter.kind !== 'http') {
      const logged = tcpProxyUnderPolicy(filter, policy.traffic)
      if (logged === filter) return chain
      isChanged = true
      return { ...chain, filter: logged }
    }
    const used = filter.routes.kind === 'rds' ? onRoutes : []
    const { traffic, limit, global } = policy
    const isFree = traffic === NOTHING && limit === undefined && global === undefined
    if (isFree && used.length === 0) return chain
    isChanged = true
    // What routes ask is for whoever has routes from elsewhere; a limit of the listener's own comes first.
    const asked = used.includes('rateLimits') ? globalLimitsOf(scope) : []
    const services = [
      ...(global === undefined ? [] : [{ ...global.service, actions: global.actions }]),
      ...asked.filter(({ domain }) => domain !== global?.domain),
    ]
    return { ...chain, filter: managerUnderPolicy(filter, { ...policy, onRoutes: used, services }) }
  }
  const filterChains = listener.filterChains.map(under)
  const { defaultFilterChain } = listener
  const last = defaultFilterChain === undefined ? undefined : under(defaultFilterChain)
  const proxyProtocol = proxyProtocolOf(scope, listener)
  if (!isChanged && proxyProtocol === undefined) return listener
  return {
    ...listener,
    ...proxyProtocol,
    filterChains,
    ...(last === undefined ? {} : { defaultFilterChain: last }),
  }
}

/** The header comes before anything that tells chains apart: it is for the whole port. */
function proxyProtocolOf(
  scope: ProxyScope,
  { origins }: Listener,
): Pick<Listener, 'proxyProtocol' | 'proxyHeader'> | undefined {
  if (scope.proxy.role !== 'gateway') return undefined
  const places = origins.flatMap((origin) => gatewayPlace(scope, origin) ?? [])
  const { proxyProtocol } = policyOf(scope, places).traffic
  if (proxyProtocol?.mode === undefined) return undefined
  const keeps = tlvChoice(proxyProtocol.passThroughTlvs)
  return {
    proxyProtocol: proxyProtocol.mode === 'Required' ? 'required' : 'optional',
    ...(keeps === undefined ? {} : { proxyHeader: { keeps } }),
  }
}

/** For a route's limit the filter has to be there; without descriptors it asks nobody. */
function globalLimitsOf(scope: ProxyScope): readonly RateLimitService[] {
  return scope.snapshot.rateLimits
    .filter(({ spec }) => spec.mode === 'Global')
    .map((limit) => globalLimit(limit, stageOf(scope, limit)).service)
}

/** Whether policies that select workloads are for the listener: what they serve, not what they call. */
function facesOut({ proxy }: ProxyScope, { direction }: Listener): boolean {
  return proxy.role === 'gateway' || direction === 'inbound'
}

function placesOfChain(
  scope: ProxyScope,
  listener: Listener,
  chain: FilterChain,
): readonly Place[] {
  if (listener.direction === 'inbound') return servicesBehind(scope, listener, chain)
  return listener.origins.flatMap((origin) => gatewayPlace(scope, origin) ?? [])
}

function servicesBehind(
  scope: ProxyScope,
  listener: Listener,
  { match }: FilterChain,
): readonly Place[] {
  const { offers, namespace, addresses } = scope.proxy
  const offered = offers
    .filter(({ port }) => listener.name === `weft:inbound|${port}`)
    .flatMap(({ service, port }) => {
      const known = scope.snapshot.services.get(resolveHost(service, namespace, scope.domain))
      return known === undefined
        ? [{ kind: 'Service', namespace, name: service, sections: [] } as const]
        : [servicePlace(known, port)]
    })
  const captured = [...scope.snapshot.instances].flatMap(([host, instances]) => {
    const service = scope.snapshot.services.get(host)
    return instances
      .filter(({ address, port }) => port === match.destinationPort && addresses.includes(address))
      .flatMap(({ servicePort }) =>
        service === undefined ? [] : [servicePlace(service, servicePort)],
      )
  })
  return [...offered, ...captured]
}

function servicePlace({ name, namespace, ports }: MeshService, port: number): Place {
  const section = ports.find((one) => one.port === port)?.name
  const sections = section === undefined || section === '' ? [] : [section]
  return { kind: 'Service', namespace, name, sections }
}

function isOutbound(cluster: string): boolean {
  return cluster.startsWith('outbound|')
}

/** The service of `outbound|<port>|<subset>|<host>`. */
function serviceOfCluster(scope: ProxyScope, cluster: string): Place | undefined {
  const [, port, , host = ''] = cluster.split('|')
  const service = scope.services.get(host)
  return service === undefined ? undefined : servicePlace(service, Number(port))
}

function serviceOfRoute(scope: ProxyScope, { action }: Route): Place | undefined {
  return action.kind === 'forward' ? serviceOfCluster(scope, action.targets[0].cluster) : undefined
}

/** A rule is meant by its own name. */
function routePlace(scope: ProxyScope, origin: Origin, routeName: string): Place | undefined {
  const { kind, namespace, name, path = '' } = origin
  if (kind !== 'VirtualService' && kind !== 'HTTPRoute' && kind !== 'GRPCRoute') return undefined
  const index = Number(/\[(\d+)\]/.exec(path)?.[1] ?? Number.NaN)
  const rule =
    kind === 'VirtualService'
      ? scope.virtualServices.find(
          ({ document: { metadata } }) =>
            metadata.name === name && metadata.namespace === namespace,
        )?.document.spec.http?.[index]?.name
      : scope.snapshot.httpRoutes.find(
          ({ document: { metadata, kind: own } }) =>
            own === kind && metadata.name === name && metadata.namespace === namespace,
        )?.document.spec.rules?.[index]?.name
  return { kind, namespace, name, sections: rule === undefined ? [routeName] : [rule] }
}

function gatewayPlace(scope: ProxyScope, origin: Origin): Place | undefined {
  const { kind, namespace, name, path = '' } = origin
  if (kind !== 'Gateway') return undefined
  const index = Number(/\[(\d+)\]/.exec(path)?.[1] ?? Number.NaN)
  const is = ({ metadata }: { readonly metadata: { name: string; namespace: string } }) =>
    metadata.name === name && metadata.namespace === namespace
  if (path.startsWith('spec.servers')) {
    const server = scope.snapshot.istioGateways.find(is)?.spec.servers?.[index]
    const sections = server === undefined ? [] : [server.name ?? '', server.port.name]
    return { kind, group: 'networking.istio.io', namespace, name, sections }
  }
  const served = scope.snapshot.listeners.find((one) => one.index === index && is(one.gateway))
    ?.spec.name
  const sections = served === undefined ? [] : [served]
  return { kind, group: 'gateway.networking.k8s.io', namespace, name, sections }
}

/** @param isSelected Whether policies with a selector for this proxy count, after all others. */
function policyOf(scope: ProxyScope, places: readonly Place[], isSelected = false): PlacePolicy {
  const { rateLimits, trafficPolicies } = scope.snapshot
  const limits = fitting(scope, rateLimits, places, isSelected)
  const limit = limits.find(({ spec }) => spec.mode === 'Local')
  const global = limits.find(({ spec }) => spec.mode === 'Global')
  const specs = fitting(scope, trafficPolicies, places, isSelected).map(({ spec }) => spec)
  return {
    // The last of two spreads wins, so the strongest comes last.
    traffic: specs.length === 0 ? NOTHING : Object.assign({}, ...specs.reverse()),
    limit: limit === undefined ? undefined : localRateLimit(limit),
    global: global === undefined ? undefined : globalLimit(global, stageOf(scope, global)),
  }
}

/** Envoy's stages end at 10; limits that share one are told apart by their descriptors. */
function stageOf({ snapshot }: ProxyScope, limit: DocumentOf<'RateLimit'>): number {
  return snapshot.rateLimits.indexOf(limit) % 11
}

type Policy = DocumentOf<'RateLimit'> | DocumentOf<'TrafficPolicy'>

/** The strongest first: for a section, for the whole object, by selector; of equals the older one. */
function fitting<P extends Policy>(
  scope: ProxyScope,
  policies: readonly P[],
  places: readonly Place[],
  isSelected: boolean,
): P[] {
  return policies
    .map((policy) => ({ policy, rank: rankOf(scope, policy, places, isSelected) }))
    .filter(({ rank }) => rank > 0)
    .sort((a, b) => b.rank - a.rank)
    .map(({ policy }) => policy)
}

function rankOf(
  { proxy, mesh }: ProxyScope,
  { metadata, spec }: Policy,
  places: readonly Place[],
  isSelected: boolean,
): number {
  if (spec.selector !== undefined) {
    const isOurs =
      metadata.namespace === proxy.namespace || metadata.namespace === mesh.rootNamespace
    return isSelected && isOurs && selects(spec.selector.matchLabels, proxy.labels) ? 1 : 0
  }
  const ranks = spec.targetRefs.map((target) =>
    places.some((place) => isFor(target, metadata.namespace, place))
      ? target.sectionName === undefined
        ? 2
        : 3
      : 0,
  )
  return Math.max(0, ...ranks)
}

function isFor(target: PolicyTarget, namespace: string, place: Place): boolean {
  const { kind, group, name, sectionName } = target
  return (
    kind === place.kind &&
    name === place.name &&
    namespace === place.namespace &&
    (group === undefined || place.group === undefined || group === place.group) &&
    (sectionName === undefined || place.sections.includes(sectionName))
  )
}

function overridesIn({ virtualHosts }: RouteTable): readonly (keyof FilterOverrides)[] {
  const all = virtualHosts.flatMap(({ routes }) => routes.map(({ filters = {} }) => filters))
  return all.flatMap((filters) => Object.keys(filters) as (keyof FilterOverrides)[])
}
