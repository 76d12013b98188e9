/**
 * Everything that documents say about services and endpoints, as one registry
 * state. Pure: `StaticRegistry` puts it behind the ★ contract, and a snapshot
 * built from documents alone (`weft simulate`) needs nothing else.
 */
import { type Document, documentsOf } from '@weft/config'
import type { DefinedService, MeshService, RegistryState, ServiceInstance } from '../registry.ts'
import { kubernetesServices, type RegistryNames } from './kubernetes-services.ts'
import { serviceEntryServices } from './service-entries.ts'
import { workloadsOf } from './workloads.ts'

export function declaredServices(
  documents: readonly Document[],
  names: RegistryNames,
): RegistryState {
  const workloads = workloadsOf(documents)
  const services = new Map<string, MeshService>()
  const instances = new Map<string, readonly ServiceInstance[]>()
  const rivals = new Map<string, DefinedService[]>()
  const all = [
    ...kubernetesServices(documents, workloads, names),
    ...serviceEntryServices(documents, workloads, names),
  ]
  for (const { service, instances: own } of all) {
    const before = services.get(service.host)
    if (before === undefined) {
      services.set(service.host, service)
      instances.set(service.host, own)
      continue
    }
    if (isSameKind(before, service)) {
      const joined = withMissingPorts(before, service)
      services.set(service.host, joined)
      const extra = own.filter(({ servicePort }) => !hasPort(before, servicePort))
      instances.set(service.host, [...(instances.get(service.host) ?? []), ...extra])
      continue
    }
    if (before.namespace !== service.namespace) {
      // A host that two namespaces claim: who sees both goes by its own, else by the first.
      rivals.set(service.host, [...(rivals.get(service.host) ?? []), { service, instances: own }])
      continue
    }
    // A Service that a ServiceEntry adds endpoints to: those of its ports join it.
    const ports = new Set(before.ports.map((port) => port.port))
    const joined = own.filter((instance) => ports.has(instance.servicePort))
    if (joined.length > 0) {
      instances.set(service.host, [...(instances.get(service.host) ?? []), ...joined])
    }
  }
  return {
    services,
    instances: resolveAliases(services, instances, externalNames(documents, names)),
    ...(rivals.size === 0 ? {} : { rivals }),
  }
}

/** ServiceEntries of two namespaces for one host that everybody may see alike: each serves its own ports. */
function isSameKind(first: MeshService, second: MeshService): boolean {
  return (
    first.source === 'serviceEntry' &&
    second.source === 'serviceEntry' &&
    first.resolution === second.resolution &&
    first.exportTo.toSorted().join() === second.exportTo.toSorted().join() &&
    !second.exportTo.includes('.')
  )
}

/** The first defines the ports that both have. */
function withMissingPorts(first: MeshService, second: MeshService): MeshService {
  const extra = second.ports.filter(({ port }) => !hasPort(first, port))
  if (extra.length === 0) return first
  return {
    ...first,
    ports: [...first.ports, ...extra],
    origins: [...first.origins, ...second.origins],
  }
}

function hasPort({ ports }: MeshService, number: number): boolean {
  return ports.some(({ port }) => port === number)
}

function externalNames(
  documents: readonly Document[],
  { domain }: RegistryNames,
): ReadonlyMap<string, string> {
  return new Map(
    documentsOf(documents, 'Service').flatMap(({ metadata, spec }) =>
      spec.type === 'ExternalName' && spec.externalName !== undefined
        ? [
            [
              `${metadata.name}.${metadata.namespace}.svc.${domain}`,
              spec.externalName.replace(/\.$/, '').toLowerCase(),
            ],
          ]
        : [],
    ),
  )
}

/** An ExternalName that names a service of the mesh is another name for it, ports and routes included. */
function resolveAliases(
  services: Map<string, MeshService>,
  instances: Map<string, readonly ServiceInstance[]>,
  externalNames: ReadonlyMap<string, string>,
): ReadonlyMap<string, readonly ServiceInstance[]> {
  for (const host of externalNames.keys()) {
    const service = services.get(host)
    const target = followAlias(services, externalNames, host)
    if (service === undefined || target === undefined) continue
    const { resolution, external } = target
    services.set(host, { ...service, aliasOf: target.host, resolution, external })
    instances.set(host, [])
  }
  return instances
}

/** Through names of names to what is none; `undefined` outside the mesh and in a circle. */
function followAlias(
  services: ReadonlyMap<string, MeshService>,
  externalNames: ReadonlyMap<string, string>,
  host: string,
): MeshService | undefined {
  const seen = new Set<string>()
  let at = host
  while (!seen.has(at)) {
    seen.add(at)
    const next = externalNames.get(at)
    if (next === undefined) return services.get(at)
    at = next
  }
  return undefined
}
