/**
 * The route table of a gateway's port: virtual hosts from every VirtualService
 * and HTTPRoute that is attached there, merged by host.
 */
import type { Origin, Route, RouteTable, VirtualHost } from '@weft/model'
import type { HttpRouteAttachment } from '../../snapshot/gateway-api/attachment.ts'
import { compareHosts, intersectHosts } from '../../snapshot/hosts.ts'
import { compareObjects } from '../../snapshot/precedence.ts'
import type { BoundVirtualService } from '../../snapshot/virtual-services.ts'
import { ANY_REQUEST, isCatchAll } from '../features/http-match.ts'
import { forwardTo, plainRoute, virtualHost } from '../routes/default-route.ts'
import { httpRouteRoutes } from '../routes/http-route-routes.ts'
import type { RouteContext } from '../routes/route-context.ts'
import { virtualServiceRoutes } from '../routes/virtual-service-routes.ts'
import type { ProxyScope } from '../scope.ts'
import { fallbackCluster } from './default-endpoint.ts'
import { doorPort, type GatewayDoor, splitHost } from './gateway-ports.ts'

type IstioDoor = Extract<GatewayDoor, { kind: 'istio' }>

/** What one host of the port gathers. */
interface HostParts {
  readonly virtualServices: Map<BoundVirtualService, AttachedVirtualService>
  readonly httpRoutes: Map<HttpRouteAttachment, RouteContext>
  requiresTls: boolean
  /** A cluster for requests that no route takes. */
  fallback?: string
}

/** @param doors At least one; all of them share the table. */
export function gatewayRouteTable(
  scope: ProxyScope,
  name: string,
  doors: readonly [GatewayDoor, ...GatewayDoor[]],
): RouteTable {
  const hosts = new Map<string, HostParts>()
  for (const door of doors) {
    if (door.kind === 'istio') {
      addVirtualServices(scope, door, hosts)
      addFallback(scope, door, hosts)
    } else addHttpRoutes(scope, door, hosts)
  }
  isolateListeners(doors, hosts)
  const port = doorPort(doors[0])
  const virtualHosts = [...hosts]
    .sort(([a], [b]) => compareHosts(a, b))
    .map(([host, parts]) => hostOf(host, port, parts))
  const origins = doors.map((door) =>
    door.kind === 'istio' ? istioOrigin(door) : kubernetesOrigin(door),
  )
  return {
    name,
    virtualHosts:
      virtualHosts.length > 0 ? virtualHosts : [virtualHost(`blackhole:${port}`, ['*'], [], [])],
    ignorePort: true,
    origins,
  }
}

export function istioOrigin({ gateway, index }: IstioDoor): Origin {
  const path = `spec.servers[${index}]`
  return { ...gateway.origin, path, line: gateway.lineOf(path) }
}

export function kubernetesOrigin({
  listener,
}: Extract<GatewayDoor, { kind: 'kubernetes' }>): Origin {
  const path = `spec.listeners[${listener.index}]`
  return { ...listener.owner.origin, path, line: listener.owner.lineOf(path) }
}

function partsOf(hosts: Map<string, HostParts>, host: string): HostParts {
  const known = hosts.get(host)
  if (known !== undefined) return known
  const fresh = { virtualServices: new Map(), httpRoutes: new Map(), requiresTls: false }
  hosts.set(host, fresh)
  return fresh
}

function addVirtualServices(
  scope: ProxyScope,
  door: IstioDoor,
  hosts: Map<string, HostParts>,
): void {
  const requiresTls = door.server.tls?.httpsRedirect === true
  // One without a rule for this door must not claim a host that another could serve.
  const attached = attachedVirtualServices(scope, door).filter(
    ({ bound, context }) => virtualServiceRoutes(bound, context).length > 0,
  )
  for (const one of attached) {
    const parts = partsOf(hosts, one.host)
    parts.requiresTls ||= requiresTls
    const known = parts.virtualServices.get(one.bound)
    if (known === undefined || compareHosts(one.ownHost, known.ownHost) < 0) {
      parts.virtualServices.set(one.bound, one)
    }
  }
  // To redirect, a server needs no routes behind it: neither for all of its hosts nor for some.
  if (requiresTls) {
    for (const text of door.server.hosts) partsOf(hosts, splitHost(text).host).requiresTls = true
  }
}

/** For every host that the server serves, whether routes name it or not. */
function addFallback(scope: ProxyScope, door: IstioDoor, hosts: Map<string, HostParts>): void {
  const cluster = fallbackCluster(door)
  if (cluster === undefined) return
  const attached = attachedVirtualServices(scope, door).map(({ host }) => host)
  for (const host of [...attached, ...door.server.hosts.map((text) => splitHost(text).host)]) {
    partsOf(hosts, host).fallback ??= cluster
  }
}

export interface AttachedVirtualService {
  readonly bound: BoundVirtualService
  /** What the server's and the VirtualService's hosts have in common. */
  readonly host: string
  /** As the VirtualService writes it. */
  readonly ownHost: string
  readonly context: RouteContext
}

export function attachedVirtualServices(
  scope: ProxyScope,
  door: IstioDoor,
): readonly AttachedVirtualService[] {
  const { namespace, name } = door.gateway.metadata
  const gateway = `${namespace}/${name}`
  const context: RouteContext = {
    scope,
    port: door.server.port.number,
    gateways: new Set([gateway]),
  }
  const attached: AttachedVirtualService[] = []
  for (const bound of scope.virtualServices) {
    if (!bound.gateways.includes(gateway)) continue
    const owner = bound.document.metadata.namespace
    for (const text of door.server.hosts) {
      const server = splitHost(text)
      const isAdmitted =
        server.namespace === '*' ||
        server.namespace === owner ||
        (server.namespace === '.' && owner === namespace)
      if (!isAdmitted) continue
      for (const own of bound.hosts) {
        const host = intersectHosts(server.host, own)
        if (host !== undefined) attached.push({ bound, host, ownHost: own, context })
      }
    }
  }
  return attached
}

function addHttpRoutes(
  scope: ProxyScope,
  { listener }: Extract<GatewayDoor, { kind: 'kubernetes' }>,
  hosts: Map<string, HostParts>,
): void {
  const context: RouteContext = { scope, port: listener.spec.port, gateways: new Set() }
  for (const attachment of scope.snapshot.httpRoutes) {
    for (const parent of attachment.parents) {
      if (parent.kind !== 'gateway' || parent.listener !== listener) continue
      for (const host of parent.hosts) partsOf(hosts, host).httpRoutes.set(attachment, context)
    }
  }
}

/**
 * A host name of a listener is its own even where it has no route for a request:
 * a wider listener of the same gateway must not answer in its place.
 */
function isolateListeners(doors: readonly GatewayDoor[], hosts: Map<string, HostParts>): void {
  const listeners = doors.flatMap((door) => (door.kind === 'kubernetes' ? [door.listener] : []))
  for (const { spec, gateway } of listeners) {
    const { hostname } = spec
    if (hostname === undefined || hosts.size === 0) continue
    if (listeners.some((other) => other.gateway === gateway && other.spec !== spec)) {
      partsOf(hosts, hostname.toLowerCase())
    }
  }
}

interface RouteGroup {
  readonly host: string
  readonly document: Parameters<typeof compareObjects>[0] & { readonly origin: Origin }
  readonly routes: readonly Route[]
}

/**
 * Objects that name the very host before those for wildcards, then in order of
 * precedence, each with its own order inside; what catches everything goes last,
 * so that it hides no other object's rules.
 */
function hostOf(host: string, port: number, parts: HostParts): VirtualHost {
  const groups: RouteGroup[] = [...parts.virtualServices.values()].map(
    ({ bound, ownHost, context }) => ({
      host: ownHost,
      document: bound.document,
      routes: virtualServiceRoutes(bound, context),
    }),
  )
  const attachments = [...parts.httpRoutes.keys()].sort((a, b) =>
    compareObjects(a.document, b.document),
  )
  const [first] = attachments
  const context = first === undefined ? undefined : parts.httpRoutes.get(first)
  if (first !== undefined && context !== undefined) {
    groups.push({ host, document: first.document, routes: httpRouteRoutes(attachments, context) })
  }
  const ordered = groups
    .sort((a, b) => compareReach(a.host, b.host) || compareObjects(a.document, b.document))
    .flatMap(({ routes }) => routes)
  const catchAll = ordered.find((route) => isCatchAll(route.match))
  const routes = ordered.filter((route) => !isCatchAll(route.match))
  if (catchAll !== undefined) routes.push(catchAll)
  else if (parts.fallback !== undefined) {
    routes.push(plainRoute('default-endpoint', ANY_REQUEST, [], forwardTo([parts.fallback])))
  }
  const origins = [
    ...[...parts.virtualServices.keys()].map(({ document }) => document.origin),
    ...attachments.map(({ document }) => document.origin),
  ]
  const built = virtualHost(`${host}:${port}`, [host], uniqueNames(routes), origins)
  return parts.requiresTls ? { ...built, requireTls: 'all' } : built
}

function compareReach(a: string, b: string): number {
  return Number(a.startsWith('*')) - Number(b.startsWith('*'))
}

/** Rules of different objects may have one name; whoever reads logs must be able to tell them apart. */
function uniqueNames(routes: readonly Route[]): readonly Route[] {
  const owners = new Map<string, string>()
  return routes.map((route) => {
    const [origin] = route.origins
    const owner = origin === undefined ? '' : `${origin.kind} ${origin.namespace}/${origin.name}`
    const known = owners.get(route.name)
    if (known === undefined) owners.set(route.name, owner)
    return known === undefined || known === owner
      ? route
      : { ...route, name: `${route.name} (${origin?.namespace}/${origin?.name})` }
  })
}
