/**
 * Kubernetes Services and who answers for them: EndpointSlices, else Endpoints,
 * else the Pods that the selector finds; WorkloadEntries always besides, as
 * Istio does for workloads outside the cluster.
 */
import { type Document, type DocumentOf, documentsOf, readPaths } from '@weft/config'
import { type EndpointHealth, type Locality, NO_LOCALITY } from '@weft/model'
import type { MeshService, ServiceInstance, ServicePort } from '../registry.ts'
import { readOwnBalancer } from './own-balancer.ts'
import { portProtocol } from './port-protocol.ts'
import { selects, workloadRef } from './workload-ref.ts'
import type { KnownWorkload, Workloads } from './workloads.ts'

type ServiceDocument = DocumentOf<'Service'>

export interface KubernetesService {
  readonly service: MeshService
  readonly instances: readonly ServiceInstance[]
}

export interface RegistryNames {
  /** `cluster.local`. */
  readonly domain: string
  /** Cluster in Istio's sense, for metrics. */
  readonly cluster: string
}

export function kubernetesServices(
  documents: readonly Document[],
  workloads: Workloads,
  names: RegistryNames,
): readonly KubernetesService[] {
  const slices = Map.groupBy(
    documentsOf(documents, 'EndpointSlice'),
    (slice) =>
      `${slice.metadata.namespace}/${slice.metadata.labels['kubernetes.io/service-name'] ?? ''}`,
  )
  const endpoints = new Map(
    documentsOf(documents, 'Endpoints').map((one) => [
      `${one.metadata.namespace}/${one.metadata.name}`,
      one,
    ]),
  )
  return documentsOf(documents, 'Service').map((document) => {
    const service = meshService(document, names)
    const key = `${document.metadata.namespace}/${document.metadata.name}`
    const build = { document, service, workloads, names }
    return {
      service,
      instances: instancesOf(build, slices.get(key) ?? [], endpoints.get(key)),
    }
  })
}

interface Build {
  readonly document: ServiceDocument
  readonly service: MeshService
  readonly workloads: Workloads
  readonly names: RegistryNames
}

function meshService(document: ServiceDocument, names: RegistryNames): MeshService {
  const { name, namespace, labels, annotations, creationTimestamp } = document.metadata
  const { spec } = document
  const balancer = readOwnBalancer(annotations)
  const paths = readPaths(annotations)
  const isExternal = spec.type === 'ExternalName'
  const addresses = [...new Set([spec.clusterIP ?? '', ...(spec.clusterIPs ?? [])])].filter(
    (address) => address !== '' && address !== 'None',
  )
  return {
    host: `${name}.${namespace}.svc.${names.domain}`,
    name,
    namespace,
    source: 'kubernetes',
    addresses,
    ports: (spec.ports ?? []).map((port): ServicePort => {
      const { targetPort } = port
      return {
        name: port.name ?? '',
        port: port.port,
        protocol: portProtocol({
          port: port.port,
          name: port.name,
          appProtocol: port.appProtocol,
          transport: port.protocol,
        }),
        ...(targetPort === undefined ? {} : { targetPort }),
      }
    }),
    resolution: isExternal ? 'dns' : spec.clusterIP === 'None' ? 'headless' : 'registry',
    external: isExternal,
    exportTo: (annotations['networking.istio.io/exportTo'] ?? '')
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
    labels,
    ...(balancer === undefined ? {} : { balancer }),
    ...(paths === undefined ? {} : { paths }),
    ...(creationTimestamp === undefined ? {} : { createdAt: creationTimestamp }),
    origins: [document.origin],
  }
}

function instancesOf(
  build: Build,
  slices: readonly DocumentOf<'EndpointSlice'>[],
  endpoints: DocumentOf<'Endpoints'> | undefined,
): readonly ServiceInstance[] {
  const { document, workloads } = build
  if (document.spec.type === 'ExternalName') return externalName(build)
  const selected = (workloads.inNamespace.get(document.metadata.namespace) ?? []).filter(
    (workload) => workload.isReady && selects(document.spec.selector, workload.labels),
  )
  const entries = selected.filter((workload) => workload.source === 'workloadEntry')
  if (slices.length > 0) {
    return [...slices.flatMap((slice) => fromSlice(build, slice)), ...fromWorkloads(build, entries)]
  }
  if (endpoints !== undefined) {
    return [...fromEndpoints(build, endpoints), ...fromWorkloads(build, entries)]
  }
  return fromWorkloads(build, selected)
}

function externalName({ document, service }: Build): readonly ServiceInstance[] {
  const address = document.spec.externalName
  if (address === undefined) return []
  return service.ports.map((port) => ({
    servicePort: port.port,
    address: address.replace(/\.$/, ''),
    port: port.port,
    health: 'healthy',
    weight: 1,
    labels: {},
    locality: NO_LOCALITY,
  }))
}

function fromSlice(build: Build, slice: DocumentOf<'EndpointSlice'>): readonly ServiceInstance[] {
  if (slice.spec.addressType === 'FQDN') return []
  return slice.spec.ports.flatMap((slicePort) => {
    const port = build.service.ports.find((one) => one.name === slicePort.name)
    if (port === undefined || slicePort.port === undefined) return []
    const number = slicePort.port
    return slice.spec.endpoints.flatMap((endpoint) => {
      const { ready, serving, terminating } = endpoint.conditions
      const isPublished = build.document.spec.publishNotReadyAddresses === true
      const health = healthOf(ready, serving, terminating, isPublished)
      if (health === undefined) return []
      return endpoint.addresses.map((address) =>
        instanceAt(build, port.port, address, number, health, endpoint.targetRef, endpoint.zone),
      )
    })
  })
}

/**
 * An absent condition means ready. Not ready and not serving is left out rather
 * than sent as unhealthy: a balancer in panic mode would use it.
 */
function healthOf(
  ready: boolean | undefined,
  serving: boolean | undefined,
  terminating: boolean | undefined,
  isPublished: boolean,
): EndpointHealth | undefined {
  if (terminating === true) {
    return (serving ?? ready ?? true) || isPublished ? 'draining' : undefined
  }
  return (ready ?? true) || isPublished ? 'healthy' : undefined
}

function fromEndpoints(
  build: Build,
  endpoints: DocumentOf<'Endpoints'>,
): readonly ServiceInstance[] {
  return endpoints.spec.subsets.flatMap((subset) =>
    (subset.ports ?? []).flatMap((endpointPort) => {
      const port = build.service.ports.find((one) => one.name === endpointPort.name)
      if (port === undefined) return []
      const addresses =
        build.document.spec.publishNotReadyAddresses === true
          ? [...(subset.addresses ?? []), ...(subset.notReadyAddresses ?? [])]
          : (subset.addresses ?? [])
      return addresses.map((one) =>
        instanceAt(build, port.port, one.ip, endpointPort.port, 'healthy', one.targetRef),
      )
    }),
  )
}

function instanceAt(
  build: Build,
  servicePort: number,
  address: string,
  port: number,
  health: EndpointHealth,
  targetRef?: { readonly kind?: string; readonly namespace?: string; readonly name?: string },
  zone?: string,
): ServiceInstance {
  const { workloads, service } = build
  const workload =
    targetRef?.kind === 'Pod'
      ? (workloads.pods.get(
          `${targetRef.namespace ?? service.namespace}/${targetRef.name ?? ''}`,
        ) ?? workloads.byAddress.get(address))
      : workloads.byAddress.get(address)
  const locality: Locality =
    zone === undefined ? (workload?.locality ?? NO_LOCALITY) : { ...NO_LOCALITY, zone }
  const instance = { servicePort, address, port, health, weight: 1, locality }
  if (workload === undefined) {
    // The pod's own document may be missing; its name still tells the workload.
    const pod = targetRef?.kind === 'Pod' ? targetRef.name : undefined
    if (pod === undefined) return { ...instance, labels: {} }
    const ref = workloadRef(pod, service.namespace, {}, build.names.cluster)
    return { ...instance, labels: {}, workload: ref }
  }
  return { ...instance, ...identityOf(workload, build.names) }
}

function fromWorkloads(build: Build, selected: readonly KnownWorkload[]): ServiceInstance[] {
  return build.service.ports.flatMap((port) =>
    selected.flatMap((workload): ServiceInstance[] => {
      const number = targetPortOf(workload, port)
      if (number === undefined) return []
      return [
        {
          servicePort: port.port,
          address: workload.address,
          port: number,
          health: 'healthy',
          weight: workload.weight,
          locality: workload.locality,
          ...identityOf(workload, build.names),
        },
      ]
    }),
  )
}

/** A name is looked up in the workload's own ports; a workload without that name does not answer on the port. */
function targetPortOf(workload: KnownWorkload, port: ServicePort): number | undefined {
  if (workload.source === 'workloadEntry') {
    const named = workload.ports.get(port.name)
    if (named !== undefined) return named
  }
  if (port.targetPort === undefined) return port.port
  return typeof port.targetPort === 'number' ? port.targetPort : workload.ports.get(port.targetPort)
}

export function identityOf(
  workload: KnownWorkload,
  names: RegistryNames,
): Pick<ServiceInstance, 'labels' | 'workload' | 'serviceAccount'> {
  const { name, namespace, labels, serviceAccount } = workload
  return { labels, workload: workloadRef(name, namespace, labels, names.cluster), serviceAccount }
}
