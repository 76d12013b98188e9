/**
 * ServiceEntries: services that somebody wrote down by hand, in the mesh or
 * outside it. Entries of one namespace for the same host are one service.
 */
import { type Document, type DocumentOf, documentsOf } from '@weft/config'
import type { MeshService, ServiceInstance, ServiceResolution } from '../registry.ts'
import { identityOf, type KubernetesService, type RegistryNames } from './kubernetes-services.ts'
import { portProtocol, protocolNamed } from './port-protocol.ts'
import { selects } from './workload-ref.ts'
import { entryWorkload, type KnownWorkload, type Workloads } from './workloads.ts'

type EntryDocument = DocumentOf<'ServiceEntry'>
type EntryPort = NonNullable<EntryDocument['spec']['ports']>[number]

const RESOLUTIONS: Readonly<Record<string, ServiceResolution>> = {
  NONE: 'none',
  STATIC: 'registry',
  DNS: 'dns',
  DYNAMIC_DNS: 'dynamicDns',
  DNS_ROUND_ROBIN: 'dnsRoundRobin',
}

export function serviceEntryServices(
  documents: readonly Document[],
  workloads: Workloads,
  names: RegistryNames,
): readonly KubernetesService[] {
  const merged = new Map<string, KubernetesService>()
  for (const document of documentsOf(documents, 'ServiceEntry')) {
    for (const host of document.spec.hosts) {
      const key = `${document.metadata.namespace}/${host.toLowerCase()}`
      const next = entryService(document, host.toLowerCase(), workloads, names)
      const before = merged.get(key)
      merged.set(key, before === undefined ? next : mergeEntries(before, next))
    }
  }
  return [...merged.values()]
}

function entryService(
  document: EntryDocument,
  host: string,
  workloads: Workloads,
  names: RegistryNames,
): KubernetesService {
  const { metadata, spec } = document
  const { creationTimestamp } = metadata
  const ports = spec.ports ?? []
  const service: MeshService = {
    host,
    name: host,
    namespace: metadata.namespace,
    source: 'serviceEntry',
    addresses: spec.addresses ?? [],
    ports: ports.map((port) => ({
      name: port.name,
      port: port.number,
      protocol:
        protocolNamed(port.protocol ?? '') ?? portProtocol({ port: port.number, name: port.name }),
      ...(port.targetPort === undefined ? {} : { targetPort: port.targetPort }),
    })),
    resolution: RESOLUTIONS[spec.resolution] ?? 'none',
    external: spec.location !== 'MESH_INTERNAL',
    exportTo: spec.exportTo ?? [],
    labels: metadata.labels,
    ...(spec.subjectAltNames === undefined ? {} : { subjectAltNames: spec.subjectAltNames }),
    ...(creationTimestamp === undefined ? {} : { createdAt: creationTimestamp }),
    origins: [document.origin],
  }
  return { service, instances: entryInstances(document, service, workloads, names) }
}

function entryInstances(
  document: EntryDocument,
  service: MeshService,
  workloads: Workloads,
  names: RegistryNames,
): readonly ServiceInstance[] {
  const { spec, metadata } = document
  const ports = spec.ports ?? []
  if (service.resolution === 'none' || service.resolution === 'dynamicDns') return []
  const selector = spec.workloadSelector?.labels
  if (selector !== undefined) {
    return (workloads.inNamespace.get(metadata.namespace) ?? [])
      .filter((workload) => workload.isReady && selects(selector, workload.labels))
      .flatMap((workload) => ports.map((port) => entryInstance(workload, port, names)))
  }
  const inline = spec.endpoints ?? []
  if (inline.length > 0) {
    return inline
      .map((entry, index) =>
        entryWorkload(entry, `${metadata.name}-${index}`, metadata.namespace, {}),
      )
      .filter((workload) => workload.isReady)
      .flatMap((workload) =>
        ports.map((port) => {
          const instance = entryInstance(workload, port, names)
          if (!service.external) return instance
          const { workload: _outside, serviceAccount: _unknown, ...anonymous } = instance
          return anonymous
        }),
      )
  }
  // DNS without endpoints: the host itself is the address. A wildcard names none.
  if (service.resolution === 'registry' || service.host.startsWith('*')) return []
  return ports.map((port) => ({
    servicePort: port.number,
    address: service.host,
    port: port.targetPort ?? port.number,
    health: 'healthy',
    weight: 1,
    labels: {},
    locality: { region: '', zone: '', subZone: '' },
  }))
}

function entryInstance(
  workload: KnownWorkload,
  port: EntryPort,
  names: RegistryNames,
): ServiceInstance {
  return {
    servicePort: port.number,
    address: workload.address,
    port: workload.ports.get(port.name) ?? port.targetPort ?? port.number,
    health: 'healthy',
    weight: workload.weight,
    locality: workload.locality,
    ...identityOf(workload, names),
  }
}

function mergeEntries(first: KubernetesService, second: KubernetesService): KubernetesService {
  const known = new Set(first.service.ports.map((port) => port.port))
  return {
    service: {
      ...first.service,
      addresses: [...new Set([...first.service.addresses, ...second.service.addresses])],
      ports: [
        ...first.service.ports,
        ...second.service.ports.filter(({ port }) => !known.has(port)),
      ],
      origins: [...first.service.origins, ...second.service.origins],
    },
    instances: [...first.instances, ...second.instances],
  }
}
