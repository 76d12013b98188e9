/**
 * What a Sidecar leaves of a proxy's scope. Each egress listener imports services
 * by `<namespace>/<host>`, VirtualServices by the hosts they are for, and with
 * those the services that they send to.
 */
import type { SidecarEgress } from '@weft/config'
import type { MeshService } from '../registries/registry.ts'
import type {
  HttpRouteAttachment,
  StreamRouteAttachment,
} from '../snapshot/gateway-api/attachment.ts'
import { covers, resolveHost } from '../snapshot/hosts.ts'
import type { MeshSettings } from '../snapshot/mesh-settings.ts'
import type { MeshSnapshot } from '../snapshot/mesh-snapshot.ts'
import { type SidecarDocument, sidecarOf } from '../snapshot/sidecars.ts'
import { type BoundVirtualService, destinationsOf } from '../snapshot/virtual-services.ts'
import type { TranslateCache } from './cache.ts'
import type { ProxyView } from './proxy-view.ts'

/** The part of a scope that imports narrow. */
export interface Imports {
  readonly services: ReadonlyMap<string, MeshService>
  readonly aliases: ReadonlyMap<string, MeshService>
  readonly virtualServices: readonly BoundVirtualService[]
}

/** Without `port` it serves every port that has no listener of its own. */
export interface EgressListener {
  readonly listener: SidecarEgress
  readonly index: number
  readonly imports: Imports
}

export interface SidecarImports extends Imports {
  readonly document: SidecarDocument
  /** In the order written; empty: everything by one listener. */
  readonly egress: readonly EgressListener[]
}

export function sidecarFor(snapshot: MeshSnapshot, proxy: ProxyView): SidecarDocument | undefined {
  if (proxy.role !== 'sidecar') return undefined
  return sidecarOf(snapshot.sidecars, proxy, snapshot.mesh.rootNamespace)
}

/** The same object for the same policy, since caches compare by identity. */
export function sidecarMesh(
  mesh: MeshSettings,
  { spec }: SidecarDocument,
  cache: TranslateCache,
): MeshSettings {
  if (spec.outboundTrafficPolicy === undefined) return mesh
  // Istio's default of the field, once the block is there.
  const outboundTrafficPolicy = spec.outboundTrafficPolicy.mode ?? 'REGISTRY_ONLY'
  if (outboundTrafficPolicy === mesh.outboundTrafficPolicy) return mesh
  return cache.get(`mesh ${outboundTrafficPolicy}`, [mesh], () => ({
    ...mesh,
    outboundTrafficPolicy,
  }))
}

export interface ImportContext {
  readonly snapshot: MeshSnapshot
  /** Of the proxy, which `.` stands for: a Sidecar of the root namespace holds for many. */
  readonly namespace: string
  readonly domain: string
}

/** @param visible Everything that the proxy may see. */
export function importedBy(
  document: SidecarDocument,
  visible: Imports,
  context: ImportContext,
): SidecarImports {
  const egress = (document.spec.egress ?? []).map((listener, index) => ({
    listener,
    index,
    imports: importsOf(listener.hosts, visible, context),
  }))
  if (egress.length === 0) return { ...visible, document, egress }
  const proxyHost = egressProxyHost(document, context.domain)
  const isImported = (pick: (one: Imports) => boolean) =>
    egress.some(({ imports }) => pick(imports))
  return {
    document,
    egress,
    services: keep(
      visible.services,
      (host) => host === proxyHost || isImported((one) => one.services.has(host)),
    ),
    aliases: keep(visible.aliases, (host) => isImported((one) => one.aliases.has(host))),
    virtualServices: visible.virtualServices.filter((bound) =>
      isImported((one) => one.virtualServices.includes(bound)),
    ),
  }
}

/** Whole name of the service that unknown traffic goes to; nobody has to import it. */
export function egressProxyHost(
  { spec, metadata }: SidecarDocument,
  domain: string,
): string | undefined {
  const host = spec.outboundTrafficPolicy?.egressProxy?.host
  return host === undefined ? undefined : resolveHost(host, metadata.namespace, domain)
}

interface HostImport {
  readonly namespace: string
  readonly host: string
}

function importsOf(
  hosts: readonly string[],
  visible: Imports,
  { snapshot, namespace, domain }: ImportContext,
): Imports {
  const wanted = hosts.flatMap((text) => readImport(text, namespace))
  const wants = (owner: string, isMatch: (host: string) => boolean) =>
    wanted.some((one) => (one.namespace === '*' || one.namespace === owner) && isMatch(one.host))
  const isNamed = (service: MeshService) =>
    wants(service.namespace, (host) => covers(host, service.host))
  const virtualServices = visible.virtualServices.filter(({ document, hosts: own }) =>
    wants(document.metadata.namespace, (host) =>
      own.some((one) => covers(host, one) || covers(one, host)),
    ),
  )
  const aliases = keep(visible.aliases, (_host, service) => isNamed(service))
  const named = new Set<string>()
  for (const { aliasOf } of aliases.values()) if (aliasOf !== undefined) named.add(aliasOf)
  for (const service of visible.services.values()) if (isNamed(service)) named.add(service.host)
  for (const host of backendsOf([...snapshot.httpRoutes, ...snapshot.streamRoutes], named)) {
    named.add(host)
  }
  for (const { document } of virtualServices) {
    for (const { host } of destinationsOf(document, domain)) {
      named.add(visible.aliases.get(host)?.aliasOf ?? host)
    }
  }
  return {
    services: keep(visible.services, (host) => named.has(host)),
    aliases,
    virtualServices,
  }
}

/** Where the routes of Gateway API send what is called by the name of an imported service. */
function backendsOf(
  routes: readonly (HttpRouteAttachment | StreamRouteAttachment)[],
  named: ReadonlySet<string>,
): readonly string[] {
  return routes.flatMap(({ parents, backends }) => {
    const isUsed = parents.some((parent) => parent.kind === 'service' && named.has(parent.host))
    if (!isUsed) return []
    return [...backends.values()].flatMap((one) => (one.kind === 'service' ? [one.host] : []))
  })
}

/** `~` imports nothing. */
function readImport(text: string, namespace: string): readonly HostImport[] {
  const slash = text.indexOf('/')
  const owner = text.slice(0, slash)
  if (slash < 0 || owner === '~') return []
  const host = text.slice(slash + 1).toLowerCase()
  return [{ namespace: owner === '.' ? namespace : owner, host }]
}

function keep<V>(
  map: ReadonlyMap<string, V>,
  isKept: (key: string, value: V) => boolean,
): ReadonlyMap<string, V> {
  return new Map([...map].filter(([key, value]) => isKept(key, value)))
}
