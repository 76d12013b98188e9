/**
 * Snapshot × proxy → every resource of one proxy. The map of the folder: what a
 * proxy sees is its scope; listeners, routes and clusters are made from that.
 */
import type { Cluster, Endpoints, Listener, ResourceSet, RouteTable, Secret } from '@weft/model'
import type { MeshSnapshot } from '../snapshot/mesh-snapshot.ts'
import { TRUST_BUNDLE } from '../snapshot/secrets.ts'
import { authenticate, keyClusters } from './authenticate.ts'
import { authorize } from './authorize.ts'
import { TranslateCache } from './cache.ts'
import { applyBackendPolicies } from './clusters/backend-policies.ts'
import { outboundClusters, plainCluster, reaches } from './clusters/outbound.ts'
import { withBackendSessions, withSessionFilter } from './features/session-persistence.ts'
import { autoPassthroughClusters } from './listeners/auto-passthrough.ts'
import { captureInbound } from './listeners/capture-inbound.ts'
import { captureOutbound } from './listeners/capture-outbound.ts'
import { explicitInbound, explicitOutbound, offeredAppCluster } from './listeners/explicit.ts'
import { gatewayResources } from './listeners/gateway.ts'
import { proxylessClusters, proxylessResources } from './listeners/proxyless.ts'
import type { RoleResources } from './listeners/role-resources.ts'
import { boundEgress } from './listeners/sidecar-egress.ts'
import { BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER } from './names.ts'
import { applyPolicies } from './policies.ts'
import type { ProxyView } from './proxy-view.ts'
import { explicitRouteTable } from './routes/mesh-route-tables.ts'
import { type ProxyScope, scopeOf } from './scope.ts'

/**
 * Pure: the same snapshot and view give the same resources.
 *
 * @param cache Shares pieces between proxies and from one snapshot to the next.
 */
export function translate(
  snapshot: MeshSnapshot,
  proxy: ProxyView,
  cache: TranslateCache = new TranslateCache(),
): ResourceSet {
  const scope = scopeOf(snapshot, proxy, cache)
  if (proxy.capture.kind === 'proxyless') return translateProxyless(scope)
  const { clusters, endpoints } = outboundClusters(scope)
  applyBackendPolicies(scope, clusters)
  for (const cluster of commonClusters(scope)) clusters.set(cluster.name, cluster)
  for (const cluster of keyClusters(scope)) clusters.set(cluster.name, cluster)
  const own = ownResources(scope)
  const passed = autoPassthroughClusters(scope, clusters, endpoints)
  for (const cluster of [...own.clusters, ...passed.clusters]) clusters.set(cluster.name, cluster)
  const routes = withBackendSessions(scope, own.routes)
  const policed = applyPolicies(scope, {
    ...own,
    routes,
    listeners: withSessionFilter(own.listeners, routes),
    clusters,
  })
  const authorized = authorize(scope, policed.listeners)
  const listeners = authenticate(scope, authorized, policed.clusters)
  return {
    listener: byName<Listener>(listeners),
    route: byName<RouteTable>(policed.routes),
    cluster: policed.clusters,
    endpoints: byName<Endpoints>([...endpoints.values(), ...passed.endpoints]),
    secret: secretsOf(scope, policed.listeners, policed.clusters),
  }
}

/** A program that is its own proxy: what it does not know of is left out, not refused by it. */
function translateProxyless(scope: ProxyScope): ResourceSet {
  const set = outboundClusters(scope)
  const { listeners, routes } = proxylessResources(scope)
  return {
    listener: byName<Listener>(authorize(scope, listeners)),
    route: byName<RouteTable>(routes),
    cluster: proxylessClusters(set),
    endpoints: set.endpoints,
    secret: new Map(),
  }
}

function ownResources(scope: ProxyScope): RoleResources {
  const { proxy } = scope
  if (proxy.role === 'gateway') return gatewayResources(scope)
  if (proxy.capture.kind === 'explicit') {
    const bound = boundEgress(scope)
    const shared = proxy.capture.outbound === undefined ? [] : [sharedTable(scope)]
    return {
      listeners: [
        ...explicitOutbound(scope),
        ...bound.listeners,
        ...proxy.offers.map((offer) => explicitInbound(scope, offer)),
      ],
      routes: [...shared, ...bound.routes],
      clusters: proxy.offers.map((offer) => offeredAppCluster(scope, offer)),
    }
  }
  const outbound = captureOutbound(scope)
  const inbound = captureInbound(scope)
  return {
    listeners: [...outbound.listeners, ...inbound.listeners],
    routes: outbound.routes,
    clusters: inbound.clusters,
  }
}

/** Sidecars of one namespace with the same labels share their routes. */
function sharedTable(scope: ProxyScope): RouteTable {
  const { namespace, labels } = scope.proxy
  const key = JSON.stringify([namespace, Object.entries(labels).sort()])
  const { shape } = scope.snapshot
  return scope.cache.get(`http_proxy ${key}`, [shape], () => explicitRouteTable(scope))
}

/** Where traffic goes that no service claims. */
function commonClusters(scope: ProxyScope): readonly Cluster[] {
  const kind = reaches(scope.proxy)
  const blackHole = { name: BLACK_HOLE_CLUSTER, localities: [] }
  return [
    scope.cache.get(`cluster ${kind} ${PASSTHROUGH_CLUSTER}`, [scope.mesh], () =>
      plainCluster(scope, PASSTHROUGH_CLUSTER, { kind }),
    ),
    scope.cache.get(`cluster ${BLACK_HOLE_CLUSTER}`, [scope.mesh], () =>
      plainCluster(scope, BLACK_HOLE_CLUSTER, { kind: 'static', endpoints: blackHole }),
    ),
  ]
}

/** Only what this proxy's listeners and clusters name, for keys go nowhere else, and the public bundle. */
function secretsOf(
  { snapshot }: ProxyScope,
  listeners: readonly Listener[],
  clusters: ReadonlyMap<string, Cluster>,
): ReadonlyMap<string, Secret> {
  const settings = [
    ...listeners
      .flatMap(({ filterChains, defaultFilterChain }) => [...filterChains, defaultFilterChain])
      .map((chain) => ({ ...chain?.tls, names: chain?.tls?.certificates ?? [] })),
    ...[...clusters.values()].map(({ tls }) => ({ ...tls, names: [tls?.certificate] })),
  ]
  const named = new Set(settings.flatMap(({ names, validation }) => [...names, validation]))
  const secrets = new Map<string, Secret>()
  for (const [name, secret] of snapshot.secrets) {
    if (named.has(name) || name === TRUST_BUNDLE) secrets.set(name, secret)
  }
  return secrets
}

function byName<T extends { readonly name: string }>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map(list.map((one) => [one.name, one]))
}
