/** The route of a service that nobody wrote a route for, and of hosts that nobody knows. */
import {
  type ForwardAction,
  NO_HEADER_CHANGES,
  type Origin,
  type Route,
  type RouteAction,
  type RouteMatch,
  type VirtualHost,
  type WeightedTarget,
} from '@weft/model'
import type { MeshService, ServicePort } from '../../registries/registry.ts'
import { policyFor } from '../clusters/applied-rule.ts'
import { unknownTrafficCluster } from '../features/egress-proxy.ts'
import { ANY_REQUEST } from '../features/http-match.ts'
import { hashPolicies } from '../features/load-balancer.ts'
import { outboundCluster, PASSTHROUGH_CLUSTER } from '../names.ts'
import type { ProxyScope } from '../scope.ts'

const CONNECT: RouteMatch = { path: { kind: 'connect' }, headers: [], query: [] }

export function defaultRoute(scope: ProxyScope, service: MeshService, port: ServicePort): Route {
  const { defaultRetry } = scope.mesh
  const { loadBalancer } = policyFor(scope.ruleFor(service), port.port)
  return plainRoute('default', ANY_REQUEST, service.origins, {
    ...forwardTo([outboundCluster(service.host, port.port)]),
    hashPolicies: hashPolicies(loadBalancer),
    ...(defaultRetry === undefined ? {} : { retry: defaultRetry }),
  })
}

/** CONNECT to a service of the mesh: its bytes go to these clusters as they are. */
export function connectRoute(targets: ForwardAction['targets'], origins: readonly Origin[]): Route {
  return plainRoute('connect', CONNECT, origins, { ...forwardTo([]), targets })
}

/** What an explicit proxy or a captured port does with hosts of nobody. */
export function unknownHosts(scope: ProxyScope, mayConnect: boolean): VirtualHost {
  const isOpen = scope.mesh.outboundTrafficPolicy === 'ALLOW_ANY'
  const name = isOpen ? 'allow_any' : 'block_all'
  const action: RouteAction = isOpen
    ? forwardTo([unknownTrafficCluster(scope)])
    : { kind: 'respond', status: 502, body: '' }
  const routes = [plainRoute(name, ANY_REQUEST, [], action)]
  if (mayConnect) routes.unshift(plainRoute(`${name}-connect`, CONNECT, [], action))
  // Who wonders why a host is blocked is shown the Sidecar that says so.
  const { document } = scope.sidecar ?? {}
  const isSaid = document?.spec.outboundTrafficPolicy !== undefined
  return virtualHost(name, ['*'], routes, isSaid ? [document.origin] : [])
}

export function virtualHost(
  name: string,
  domains: readonly string[],
  routes: readonly Route[],
  origins: readonly Origin[],
): VirtualHost {
  return {
    name,
    domains,
    routes,
    requireTls: 'none',
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
    origins,
  }
}

export function plainRoute(
  name: string,
  match: RouteMatch,
  origins: readonly Origin[],
  action: RouteAction,
): Route {
  return {
    name,
    match,
    action,
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
    origins,
  }
}

/** @param clusters At least one, unless the caller puts its own targets in their place. */
export function forwardTo(clusters: readonly string[]): ForwardAction {
  const targets = clusters.map((cluster) => plainTarget(cluster, 1))
  return {
    kind: 'forward',
    targets: asTargets(targets) ?? [plainTarget(PASSTHROUGH_CLUSTER, 1)],
    timeoutMs: 0,
    mirrors: [],
    hashPolicies: [],
  }
}

export function plainTarget(cluster: string, weight: number): WeightedTarget {
  return {
    cluster,
    weight,
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
  }
}

/** `undefined` when there is none. */
export function asTargets<T>(list: readonly T[]): readonly [T, ...T[]] | undefined {
  const [first, ...rest] = list
  return first === undefined ? undefined : [first, ...rest]
}
