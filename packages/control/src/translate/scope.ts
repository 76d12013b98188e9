/**
 * What one proxy may see of the mesh: services, VirtualServices and
 * DestinationRules by their `exportTo`, and which of several applies.
 */
import type { DocumentOf } from '@weft/config'
import { selects } from '../registries/declared/workload-ref.ts'
import type { MeshService, ServiceInstance } from '../registries/registry.ts'
import { compareHosts, covers, resolveHost } from '../snapshot/hosts.ts'
import { DEFAULT_MESH, type MeshSettings } from '../snapshot/mesh-settings.ts'
import type { MeshSnapshot } from '../snapshot/mesh-snapshot.ts'
import type { BoundVirtualService } from '../snapshot/virtual-services.ts'
import { isVisible } from '../snapshot/visibility.ts'
import type { TranslateCache } from './cache.ts'
import { type AppliedRule, applyRules } from './clusters/applied-rule.ts'
import type { ProxyView } from './proxy-view.ts'
import {
  type Imports,
  importedBy,
  type SidecarImports,
  sidecarFor,
  sidecarMesh,
} from './sidecar-scope.ts'

export interface ProxyScope {
  readonly snapshot: MeshSnapshot
  readonly mesh: MeshSettings
  readonly domain: string
  readonly proxy: ProxyView
  readonly cache: TranslateCache
  /** Visible ones, by host; other names of them are in `aliases`. */
  readonly services: ReadonlyMap<string, MeshService>
  /** Visible ones: the host of an ExternalName and the service's own. */
  readonly aliases: ReadonlyMap<string, MeshService>
  /** The same, by the service's own host. */
  readonly aliasesOf: ReadonlyMap<string, readonly MeshService[]>
  /** Visible ones, in order of precedence, whatever gateway they are bound to. */
  readonly virtualServices: readonly BoundVirtualService[]
  /** Who answers for a service of `services`. */
  instancesOf(service: MeshService): readonly ServiceInstance[]
  /** What the Sidecar that holds for the proxy says; absent: none does. */
  readonly sidecar?: SidecarImports
  /** What DestinationRules say about a service; the same object for the same rules. */
  ruleFor(service: MeshService): AppliedRule
}

export function scopeOf(
  snapshot: MeshSnapshot,
  proxy: ProxyView,
  cache: TranslateCache,
): ProxyScope {
  const { mesh } = snapshot
  const { namespace } = proxy
  const services = new Map<string, MeshService>()
  const aliases = new Map<string, MeshService>()
  const ownInstances = new Map<MeshService, readonly ServiceInstance[]>()
  for (const [host, first] of snapshot.services) {
    const service = definitionFor(snapshot, first, namespace, ownInstances)
    if (service === undefined) continue
    const known = service.aliasOf === undefined ? services : aliases
    known.set(host, service)
  }
  const virtualServices = snapshot.virtualServices.filter(({ document }) =>
    isVisible(
      document.spec.exportTo,
      mesh.defaultVirtualServiceExportTo,
      document.metadata.namespace,
      namespace,
    ),
  )
  const { domain } = DEFAULT_MESH
  const visible = { services, aliases, virtualServices }
  const document = sidecarFor(snapshot, proxy)
  const sidecar =
    document === undefined
      ? undefined
      : importedBy(document, visible, { snapshot, namespace, domain })
  const rules = new Map<string, AppliedRule>()
  return {
    snapshot,
    mesh: document === undefined ? mesh : sidecarMesh(mesh, document, cache),
    domain,
    proxy,
    cache,
    ...narrowed(sidecar ?? visible),
    ...(sidecar === undefined ? {} : { sidecar }),
    instancesOf(service) {
      return ownInstances.get(service) ?? snapshot.instances.get(service.host) ?? NO_INSTANCES
    },
    ruleFor(service) {
      const known = rules.get(service.host)
      if (known !== undefined) return known
      const chosen = chooseRules(snapshot, proxy, service)
      const names = chosen.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
      const rule = cache.get(`rule ${names.join(' ')}`, chosen, () => applyRules(chosen))
      rules.set(service.host, rule)
      return rule
    },
  }
}

/** A scope with nothing in it but what `imports` has. */
export function narrowed({
  services,
  aliases,
  virtualServices,
}: Imports): Pick<ProxyScope, 'services' | 'aliases' | 'aliasesOf' | 'virtualServices'> {
  const aliasesOf = Map.groupBy(aliases.values(), ({ aliasOf = '' }) => aliasOf)
  return { services, aliases, aliasesOf, virtualServices }
}

const NO_INSTANCES: readonly ServiceInstance[] = []

/**
 * Of several definitions of a host: Kubernetes' own, else that of the caller's
 * namespace, else the first that the caller may see.
 */
function definitionFor(
  { mesh, rivals }: MeshSnapshot,
  first: MeshService,
  namespace: string,
  instances: Map<MeshService, readonly ServiceInstance[]>,
): MeshService | undefined {
  const isSeen = (service: MeshService) =>
    isVisible(service.exportTo, mesh.defaultServiceExportTo, service.namespace, namespace)
  const others = rivals.get(first.host)
  if (others === undefined || (first.source === 'kubernetes' && isSeen(first))) {
    return isSeen(first) ? first : undefined
  }
  const seen = [first, ...others.map(({ service }) => service)].filter(isSeen)
  const chosen = seen.find((service) => service.namespace === namespace) ?? seen[0]
  const rival = others.find(({ service }) => service === chosen)
  if (rival !== undefined) instances.set(rival.service, rival.instances)
  return chosen
}

/**
 * Istio's lookup: the caller's namespace, then the service's, then the mesh's
 * root namespace; in the first that has any, the most specific host, and all
 * rules for that host.
 */
function chooseRules(
  snapshot: MeshSnapshot,
  proxy: ProxyView,
  service: MeshService,
): readonly DocumentOf<'DestinationRule'>[] {
  const places = new Set([proxy.namespace, service.namespace, snapshot.mesh.rootNamespace])
  for (const place of places) {
    const fitting = snapshot.destinationRules
      .filter(({ metadata, spec }) => {
        const selector = spec.workloadSelector?.matchLabels
        return (
          metadata.namespace === place &&
          isVisible(
            spec.exportTo,
            snapshot.mesh.defaultDestinationRuleExportTo,
            metadata.namespace,
            proxy.namespace,
          ) &&
          (selector === undefined || (place === proxy.namespace && selects(selector, proxy.labels)))
        )
      })
      .map((rule) => ({ rule, host: ruleHost(rule) }))
      .filter(({ host }) => covers(host, service.host))
      .sort((a, b) => compareHosts(a.host, b.host))
    const [best] = fitting
    if (best !== undefined) {
      const same = fitting.filter(({ host }) => host === best.host).map(({ rule }) => rule)
      // A rule for chosen workloads is more specific than one for all of them.
      const selected = same.filter((rule) => rule.spec.workloadSelector !== undefined)
      return selected.length > 0 ? selected : same
    }
  }
  return []
}

function ruleHost(rule: DocumentOf<'DestinationRule'>): string {
  return resolveHost(rule.spec.host, rule.metadata.namespace, DEFAULT_MESH.domain)
}
