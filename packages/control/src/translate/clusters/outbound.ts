/**
 * The clusters a proxy may send to: one per service, port and subset.
 */
import type { TrafficPolicy } from '@weft/config'
import type { Cluster, Discovery, Endpoints, LoadBalancer } from '@weft/model'
import type { MeshService, ServiceInstance, ServicePort } from '../../registries/registry.ts'
import { connectionPool } from '../features/connection-pool.ts'
import { loadBalancer, slowStart } from '../features/load-balancer.ts'
import {
  type LocalityPreference,
  localityBalancing,
  localityPreference,
} from '../features/locality.ts'
import { peerNames, takesMutualTls, towardsMesh } from '../features/mutual-tls.ts'
import { outlierDetection } from '../features/outlier-detection.ts'
import { forPaths, hasSeveralPaths, outliersOfPaths } from '../features/paths.ts'
import { retryBudget } from '../features/retry-budget.ts'
import { upstreamTls } from '../features/upstream-tls.ts'
import { outboundCluster } from '../names.ts'
import type { ProxyView } from '../proxy-view.ts'
import type { ProxyScope } from '../scope.ts'
import { type AppliedRule, type AppliedSubset, policyFor } from './applied-rule.ts'
import { endpointsOf } from './endpoints.ts'

export interface ClusterSet {
  readonly clusters: Map<string, Cluster>
  readonly endpoints: Map<string, Endpoints>
}

type Tunnel = NonNullable<TrafficPolicy['tunnel']>

export function outboundClusters(scope: ProxyScope): ClusterSet {
  const set: ClusterSet = { clusters: new Map(), endpoints: new Map() }
  for (const service of scope.services.values()) addService(scope, service, set)
  return set
}

function addService(scope: ProxyScope, service: MeshService, set: ClusterSet): void {
  const rule = scope.ruleFor(service)
  const instances = scope.instancesOf(service)
  const direct = reaches(scope.proxy)
  const peers = peersOf(scope, service, instances)
  for (const port of service.ports) {
    if (port.protocol === 'udp') continue
    for (const subset of [undefined, ...rule.subsets.values()]) {
      const name = outboundCluster(service.host, port.port, subset?.subset.name)
      const labels = subset?.subset.labels
      const isEds = discoveryOf(service, direct, rule, port, subset) === 'eds'
      const policy = policyFor(rule, port.port, subset?.subset.name)
      const preference = localityPreference(policy, scope.mesh, scope.proxy)
      const near = preference === undefined ? '' : JSON.stringify(preference)
      const paths = rule.paths ?? service.paths
      const { peerAuthentications } = scope.snapshot
      const endpoints = scope.cache.get(
        `endpoints ${name} ${near} ${paths ?? ''}`,
        [instances, labels, peerAuthentications],
        () =>
          endpointsOf(
            ...([name, instances, port.port, labels, preference] as const),
            (instance) => takesMutualTls(scope, instance),
            paths,
          ),
      )
      if (isEds) set.endpoints.set(name, endpoints)
      const hasPaths = hasSeveralPaths(endpoints)
      const cluster = scope.cache.get(
        `cluster ${direct} ${name} ${ruleKey(rule)} ${preference?.kind ?? ''} ${peers.join()} ${hasPaths}`,
        [service, rule, scope.mesh, isEds ? undefined : endpoints],
        () =>
          buildCluster(scope, {
            ...{
              service,
              port,
              rule,
              subset,
              name,
              direct,
              endpoints,
              preference,
              peers,
              hasPaths,
            },
          }),
      )
      set.clusters.set(name, cluster)
    }
  }
}

/** Who may answer for the service; asked for by those who look only. */
function peersOf(
  scope: ProxyScope,
  service: MeshService,
  instances: readonly ServiceInstance[],
): readonly string[] {
  if (!scope.proxy.hasIdentity) return NO_PEERS
  return scope.cache.get(`peers ${service.host}`, [service, instances, scope.mesh], () =>
    peerNames(scope.mesh, service, instances),
  )
}

const NO_PEERS: readonly string[] = []

function ruleKey(rule: AppliedRule): string {
  return rule.origins.map((origin) => `${origin.namespace}/${origin.name}`).join(' ')
}

/**
 * How a proxy reaches what has no endpoints of its own: connections that were
 * captured know where they were going, requests to an explicit proxy name it.
 */
type Direct = 'originalDst' | 'forwardProxy'

export function reaches(proxy: ProxyView): Direct {
  return proxy.role === 'sidecar' && proxy.capture.kind === 'redirect'
    ? 'originalDst'
    : 'forwardProxy'
}

interface ClusterInput {
  readonly service: MeshService
  readonly port: ServicePort
  readonly rule: AppliedRule
  readonly subset: AppliedSubset | undefined
  readonly name: string
  readonly direct: Direct
  readonly endpoints: Endpoints
  readonly preference: LocalityPreference | undefined
  /** See `peerNames`. */
  readonly peers: readonly string[]
  /** Some endpoints are reached directly, others by a broker. */
  readonly hasPaths: boolean
}

function buildCluster(scope: ProxyScope, input: ClusterInput): Cluster {
  const { service, port, rule, subset, name, direct, endpoints, preference, peers } = input
  const { hasPaths } = input
  const policy = policyFor(rule, port.port, subset?.subset.name)
  const kind = discoveryOf(service, direct, rule, port, subset)
  const outliers = outlierDetection(policy.outlierDetection) ?? outliersOfPaths(hasPaths)
  // Who is behind a gateway does not choose what the application speaks: HTTP/1.1 when nobody says.
  const isUndeclared = port.protocol === 'auto' && scope.proxy.role === 'gateway'
  const protocol = isUndeclared ? 'http' : port.protocol
  const pool = forPaths(
    connectionPool(policy.connectionPool, protocol, scope.mesh),
    hasPaths && policy.connectionPool?.tcp?.connectTimeout === undefined,
  )
  const tls = upstreamTls(
    policy.tls,
    {
      host: service.host,
      subjectAltNames: service.subjectAltNames ?? [],
      protocol: pool.http.protocol,
    },
    rule.origins[0]?.namespace ?? '',
    scope.mesh.tlsDefaults,
  )
  const mutual = towardsMesh(scope, policy.tls, {
    service,
    port: port.port,
    portProtocol: port.protocol,
    subset: subset?.subset.name ?? '',
    protocol: pool.http.protocol,
    names: peers,
  })
  const budget = retryBudget(policy.retryBudget)
  const warmup = slowStart(policy.loadBalancer)
  const localities = localityBalancing(policy, preference)
  const panicPercent = panicPercentOf(policy.outlierDetection)
  const { proxyProtocol, tunnel } = policy
  return {
    name,
    discovery: discovery(kind, name, endpoints),
    loadBalancer: loadBalancer(policy.loadBalancer, rule.balancer ?? service.balancer),
    ...pool,
    ...(localities === undefined ? {} : { localities }),
    ...(warmup === undefined ? {} : { slowStart: warmup }),
    ...(panicPercent === undefined ? {} : { panicPercent }),
    ...(proxyProtocol === undefined
      ? {}
      : { proxyProtocol: proxyProtocol.version === 'V2' ? 'v2' : 'v1' }),
    ...(tunnel === undefined ? {} : { tunnel: tunnelOf(tunnel) }),
    ...(outliers === undefined ? {} : { outlierDetection: outliers }),
    ...(tls === undefined ? mutual : { tls }),
    ...(budget === undefined ? {} : { retryBudget: budget }),
    service: { host: service.host, name: service.name, namespace: service.namespace },
    origins: [...service.origins, ...(subset?.origins ?? rule.origins)],
  }
}

function tunnelOf({ protocol, targetHost, targetPort }: Tunnel): NonNullable<Cluster['tunnel']> {
  const host = targetHost.includes(':') ? `[${targetHost}]` : targetHost
  return { method: protocol === 'POST' ? 'POST' : 'CONNECT', target: `${host}:${targetPort}` }
}

type DiscoveryKind = 'eds' | 'strictDns' | 'logicalDns' | Direct

function discoveryOf(
  service: MeshService,
  direct: Direct,
  rule: AppliedRule,
  port: ServicePort,
  subset: AppliedSubset | undefined,
): DiscoveryKind {
  const { loadBalancer: settings } = policyFor(rule, port.port, subset?.subset.name)
  const isPassthrough = settings?.simple === 'PASSTHROUGH' && direct === 'originalDst'
  if (isPassthrough) return direct
  switch (service.resolution) {
    case 'registry':
      return 'eds'
    case 'headless':
      // A captured connection to a pod's own address must reach that pod.
      return direct === 'originalDst' ? direct : 'eds'
    case 'dns':
      return 'strictDns'
    case 'dnsRoundRobin':
      return 'logicalDns'
    case 'dynamicDns':
      return 'forwardProxy'
    case 'none':
      return direct
  }
}

function discovery(kind: DiscoveryKind, name: string, endpoints: Endpoints): Discovery {
  switch (kind) {
    case 'eds':
      return { kind, name }
    case 'strictDns':
      return { kind, endpoints }
    case 'logicalDns':
      return onlyEndpoint(endpoints)
    default:
      return { kind }
  }
}

/** One address at a time is of one name: of several the first holds, and without any there is nobody. */
function onlyEndpoint(endpoints: Endpoints): Discovery {
  const [locality] = endpoints.localities
  const [endpoint] = locality?.endpoints ?? []
  if (locality === undefined || endpoint === undefined) return { kind: 'static', endpoints }
  const localities = [{ ...locality, priority: 0, weight: endpoint.weight, endpoints: [endpoint] }]
  return { kind: 'logicalDns', endpoints: { ...endpoints, localities } }
}

/** Clusters that no service stands behind. */
export function plainCluster(
  scope: ProxyScope,
  name: string,
  discoveryKind: Discovery,
  balancer: LoadBalancer = { kind: 'roundRobin' },
): Cluster {
  return {
    name,
    discovery: discoveryKind,
    loadBalancer: balancer,
    ...connectionPool(undefined, 'auto', scope.mesh),
    origins: [],
  }
}

/**
 * Absent: half (R19). Who lets more than half be put out says that the rest is enough, and so
 * does who names a threshold: then it is Istio's.
 */
function panicPercentOf(outliers: TrafficPolicy['outlierDetection']): number | undefined {
  if (outliers === undefined) return undefined
  const { minHealthPercent, maxEjectionPercent = 10 } = outliers
  return minHealthPercent ?? (maxEjectionPercent > 50 ? 0 : undefined)
}
