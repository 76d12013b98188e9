/**
 * Route tables of sidecars: one for an explicit proxy, one per port for
 * captured traffic.
 */
import type { RouteTable } from '@weft/model'
import type { MeshService, ServicePort } from '../../registries/registry.ts'
import type { BoundVirtualService } from '../../snapshot/virtual-services.ts'
import { HTTP_PROXY_ROUTES } from '../names.ts'
import type { ProxyScope } from '../scope.ts'
import {
  asTargets,
  connectRoute,
  defaultRoute,
  plainTarget,
  unknownHosts,
  virtualHost,
} from './default-route.ts'
import { MESH_GATEWAY } from './route-context.ts'
import { type HostClaim, serviceNames, settleDomains, withPort } from './service-domains.ts'
import { isRouted, serviceRoutes, serviceTcpTargets } from './service-routes.ts'
import { virtualServiceRoutes } from './virtual-service-routes.ts'

/**
 * Every service on every port, told apart by `host:port`. TCP ports are reached
 * by CONNECT; a plain request to one is forwarded too, since somebody who sends
 * HTTP there knows better than the port's name.
 *
 * HTTP/1.1 ports have no CONNECT route: the proxy then ends the tunnel itself and
 * routes the requests inside it, so that a client which tunnels everything
 * (WebSocket libraries do) is steered like any other.
 */
export function explicitRouteTable(scope: ProxyScope): RouteTable {
  const claims: HostClaim[] = []
  for (const service of scope.services.values()) {
    for (const port of service.ports) {
      if (port.protocol === 'udp') continue
      claims.push(explicitClaim(scope, service, port))
    }
  }
  for (const [port, bound] of portsWithoutService(scope)) {
    claims.push(...hostClaims(scope, bound, port, (names) => withPort(names, port)))
  }
  return {
    name: HTTP_PROXY_ROUTES,
    virtualHosts: [...settleDomains(claims), unknownHosts(scope, true)],
    origins: [],
  }
}

function explicitClaim(scope: ProxyScope, service: MeshService, port: ServicePort): HostClaim {
  const tcp = serviceTcpTargets(scope, service, port)
  const tunnelled = port.protocol === 'http' ? [] : tcp.targets
  const targets = asTargets(tunnelled.map(({ cluster, weight }) => plainTarget(cluster, weight)))
  const http = isRouted(port)
    ? serviceRoutes(scope, service, port)
    : { routes: [defaultRoute(scope, service, port)], origins: service.origins }
  const routes =
    targets === undefined ? http.routes : [connectRoute(targets, tcp.origins), ...http.routes]
  const names = serviceNames(scope, service)
  return {
    host: virtualHost(`${service.host}:${port.port}`, [], routes, http.origins),
    primary: withPort(names.primary, port.port),
    aliases: withPort(names.aliases, port.port),
  }
}

/** Captured traffic to one port: hosts are told apart by name alone. */
export function captureRouteTable(
  scope: ProxyScope,
  name: string,
  port: number,
  services: readonly MeshService[],
): RouteTable {
  const claims: HostClaim[] = []
  for (const service of services) {
    const own = service.ports.find((one) => one.port === port)
    if (own === undefined || !isRouted(own)) continue
    const { routes, origins } = serviceRoutes(scope, service, own)
    const names = serviceNames(scope, service)
    claims.push({ host: virtualHost(`${service.host}:${port}`, [], routes, origins), ...names })
  }
  for (const [other, bound] of portsWithoutService(scope)) {
    if (other === port) claims.push(...hostClaims(scope, bound, port, (names) => names))
  }
  return {
    name,
    virtualHosts: [...settleDomains(claims), unknownHosts(scope, false)],
    ignorePort: true,
    origins: [],
  }
}

/**
 * VirtualServices of the mesh with hosts that no service has, by the ports on
 * which they hold: those of the services that they also name, else 80.
 */
function portsWithoutService(
  scope: ProxyScope,
): readonly (readonly [number, BoundVirtualService])[] {
  return scope.virtualServices.filter(isHttpOfMesh).flatMap((bound) => {
    if (hostsWithoutService(scope, bound).length === 0) return []
    const named = bound.hosts
      .flatMap((host) => scope.services.get(host)?.ports ?? [])
      .filter(isRouted)
      .map(({ port }) => port)
    return [...new Set(named.length === 0 ? [80] : named)].map((port) => [port, bound] as const)
  })
}

function isHttpOfMesh({ gateways, document }: BoundVirtualService): boolean {
  return gateways.includes('mesh') && (document.spec.http ?? []).length > 0
}

/** A wildcard that covers services steers those; it needs no virtual host of its own. */
function hostsWithoutService(scope: ProxyScope, bound: BoundVirtualService): readonly string[] {
  return bound.hosts.filter((host) => {
    if (host.startsWith('*')) {
      const suffix = host.slice(1)
      return ![...scope.services.keys()].some((name) => name.endsWith(suffix))
    }
    return !scope.services.has(host)
  })
}

function hostClaims(
  scope: ProxyScope,
  bound: BoundVirtualService,
  port: number,
  domains: (names: readonly string[]) => readonly string[],
): readonly HostClaim[] {
  const routes = virtualServiceRoutes(bound, { scope, port, gateways: MESH_GATEWAY })
  if (routes.length === 0) return []
  return hostsWithoutService(scope, bound)
    .filter((host) => host !== '*')
    .map((host) => ({
      host: virtualHost(`${host}:${port}`, [], routes, [bound.document.origin]),
      primary: domains([host]),
      aliases: [],
    }))
}
