/**
 * Everything that documents say about services and endpoints, as one registry
 * state. Pure: `StaticRegistry` puts it behind the ★ contract, and a snapshot
 * built from documents alone (`weft simulate`) needs nothing else.
 */
import type { Document } from '@weft/config'
import type { MeshService, RegistryState, ServiceInstance } from '../registry.ts'
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
    // A host that two namespaces claim, or a Service that a ServiceEntry adds
    // endpoints to: the first definition holds, endpoints of its ports join it.
    const ports = new Set(before.ports.map((port) => port.port))
    const joined = own.filter((instance) => ports.has(instance.servicePort))
    if (before.namespace === service.namespace && joined.length > 0) {
      instances.set(service.host, [...(instances.get(service.host) ?? []), ...joined])
    }
  }
  return { services, instances: resolveAliases(services, instances) }
}

/** An ExternalName that names a service of the mesh answers with that service's endpoints. */
function resolveAliases(
  services: Map<string, MeshService>,
  instances: Map<string, readonly ServiceInstance[]>,
): ReadonlyMap<string, readonly ServiceInstance[]> {
  for (const service of services.values()) {
    if (service.source !== 'kubernetes' || service.resolution !== 'dns') continue
    const [first] = instances.get(service.host) ?? []
    const target = first === undefined ? undefined : services.get(first.address)
    if (target === undefined || target.resolution !== 'registry') continue
    services.set(service.host, { ...service, resolution: 'registry', external: target.external })
    const ports = new Set(service.ports.map((port) => port.port))
    instances.set(
      service.host,
      (instances.get(target.host) ?? []).filter((instance) => ports.has(instance.servicePort)),
    )
  }
  return instances
}
