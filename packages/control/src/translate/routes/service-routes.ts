/**
 * Which routes a caller in the mesh gets for a service port: those of a
 * VirtualService, of HTTPRoutes attached to the Service, or the default one.
 *
 * One object (or, of HTTPRoutes, one set that merges by specification) decides;
 * several are never mixed: the more specific host, then the older object, then
 * the name.
 */
import type { Origin, Route } from '@weft/model'
import { isHttp } from '../../registries/declared/port-protocol.ts'
import type { MeshService, ServicePort } from '../../registries/registry.ts'
import type {
  HttpRouteAttachment,
  StreamRouteAttachment,
} from '../../snapshot/gateway-api/attachment.ts'
import { compareHosts, covers } from '../../snapshot/hosts.ts'
import { compareObjects } from '../../snapshot/precedence.ts'
import type { BoundVirtualService } from '../../snapshot/virtual-services.ts'
import { outboundCluster } from '../names.ts'
import type { ProxyScope } from '../scope.ts'
import { defaultRoute } from './default-route.ts'
import { httpRouteRoutes } from './http-route-routes.ts'
import { MESH_GATEWAY, type RouteContext } from './route-context.ts'
import { streamTargets } from './stream-routes.ts'
import { type TcpTargets, tcpRoutes } from './tcp-routes.ts'
import { virtualServiceRoutes } from './virtual-service-routes.ts'

export interface ServiceRoutes {
  readonly routes: readonly Route[]
  readonly origins: readonly Origin[]
}

export function serviceRoutes(
  scope: ProxyScope,
  service: MeshService,
  port: ServicePort,
): ServiceRoutes {
  const context: RouteContext = { scope, port: port.port, gateways: MESH_GATEWAY }
  const attached = attachedRoutes(scope, service, port.port)
  const [firstAttached] = attached
  const candidates = meshVirtualServices(scope, service.host)
  for (const candidate of candidates) {
    // An object for the very host keeps those for wildcards away, even without a rule of its own.
    if (candidate.host !== candidates[0]?.host) break
    const isBeaten =
      firstAttached !== undefined &&
      (candidate.host !== service.host ||
        compareObjects(firstAttached.document, candidate.bound.document) < 0)
    if (isBeaten) break
    const routes = virtualServiceRoutes(candidate.bound, context)
    if (routes.length > 0) return { routes, origins: [candidate.bound.document.origin] }
  }
  if (attached.length > 0) {
    return {
      routes: httpRouteRoutes(attached, context),
      origins: attached.map(({ document }) => document.origin),
    }
  }
  return { routes: [defaultRoute(scope, service, port)], origins: service.origins }
}

/** Where the bytes of a port go when nothing is known of the connection but its port. */
export function serviceTcpTargets(
  scope: ProxyScope,
  service: MeshService,
  port: ServicePort,
): { readonly targets: TcpTargets; readonly origins: readonly Origin[] } {
  const route = serviceTcpRoutes(scope, service, port).find(
    ({ destinationPrefixes }) =>
      destinationPrefixes.length === 0 ||
      destinationPrefixes.some((prefix) => service.addresses.includes(prefix.replace(/\/32$/, ''))),
  )
  if (route !== undefined) return { targets: route.targets, origins: route.origins }
  return {
    targets: [{ cluster: outboundCluster(service.host, port.port), weight: 1 }],
    origins: [],
  }
}

export interface ServiceTcpRoute {
  readonly targets: TcpTargets
  /** Empty: every destination address. */
  readonly destinationPrefixes: readonly string[]
  readonly origins: readonly Origin[]
}

/**
 * `tcp[]` of VirtualServices in order, then the service itself; ends with the
 * first that asks for nothing. TLS ports have `tls[]` instead.
 */
export function serviceTcpRoutes(
  scope: ProxyScope,
  service: MeshService,
  port: ServicePort,
): readonly ServiceTcpRoute[] {
  const routes: ServiceTcpRoute[] = []
  const context: RouteContext = { scope, port: port.port, gateways: MESH_GATEWAY }
  const isTls = port.protocol === 'tls' || port.protocol === 'https'
  for (const { bound } of isTls ? [] : meshVirtualServices(scope, service.host)) {
    for (const { targets, destinationPrefixes, origin } of tcpRoutes(bound, context)) {
      routes.push({ targets, destinationPrefixes, origins: [origin] })
      if (destinationPrefixes.length === 0) return routes
    }
  }
  const attached = attachedStream(scope, service, port)
  if (attached !== undefined) {
    const origins = [attached.document.origin]
    return [...routes, { targets: streamTargets(attached), destinationPrefixes: [], origins }]
  }
  const targets: TcpTargets = [{ cluster: outboundCluster(service.host, port.port), weight: 1 }]
  return [...routes, { targets, destinationPrefixes: [], origins: service.origins }]
}

interface Candidate {
  readonly bound: BoundVirtualService
  /** The most specific of its hosts that covers the service. */
  readonly host: string
}

/** VirtualServices of the mesh for a host; who decides comes first. */
export function meshVirtualServices(scope: ProxyScope, host: string): readonly Candidate[] {
  const candidates: Candidate[] = []
  for (const bound of scope.virtualServices) {
    if (!bound.gateways.includes('mesh')) continue
    const [best] = bound.hosts.filter((one) => covers(one, host)).sort(compareHosts)
    if (best !== undefined) candidates.push({ bound, host: best })
  }
  // The sort is stable and the list in order of precedence.
  return candidates.sort((a, b) => (a.host === b.host ? 0 : compareHosts(a.host, b.host)))
}

function attachedRoutes(
  scope: ProxyScope,
  service: MeshService,
  port: number,
): readonly HttpRouteAttachment[] {
  return attachedTo(scope, scope.snapshot.httpRoutes, service, port)
}

/** Only a TCPRoute steers all bytes of a port, and TLSRoutes need its protocol to be TLS. */
function attachedStream(
  scope: ProxyScope,
  service: MeshService,
  { port, protocol }: ServicePort,
): StreamRouteAttachment | undefined {
  const isTls = protocol === 'tls' || protocol === 'https'
  const wanted = isTls ? 'TLSRoute' : 'TCPRoute'
  const candidates = scope.snapshot.streamRoutes.filter(({ document }) => document.type === wanted)
  return attachedTo(scope, candidates, service, port).find(
    ({ document }) =>
      document.type === 'TCPRoute' ||
      document.spec.hostnames.some((one) => covers(one, service.host)),
  )
}

/** Routes of the caller's own namespace take the place of those beside the service. */
function attachedTo<A extends HttpRouteAttachment | StreamRouteAttachment>(
  scope: ProxyScope,
  candidates: readonly A[],
  service: MeshService,
  port: number,
): readonly A[] {
  const fitting = (wanted: 'producer' | 'consumer') =>
    candidates.filter(({ document, parents }) =>
      parents.some(
        (parent) =>
          parent.kind === 'service' &&
          parent.host === service.host &&
          parent.scope === wanted &&
          (parent.port === undefined || parent.port === port) &&
          (wanted === 'producer' || document.metadata.namespace === scope.proxy.namespace),
      ),
    )
  const own = fitting('consumer')
  return own.length > 0 ? own : fitting('producer')
}

export function isRouted({ protocol }: ServicePort): boolean {
  return isHttp(protocol)
}
