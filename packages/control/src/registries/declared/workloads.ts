/**
 * The workloads that documents describe: Pods and WorkloadEntries, as one shape
 * that selectors choose from.
 */
import { type Document, type DocumentOf, documentsOf } from '@weft/config'
import { type Locality, NO_LOCALITY } from '@weft/model'
import { workloadNameOfPod } from './workload-ref.ts'

export interface KnownWorkload {
  readonly name: string
  readonly namespace: string
  readonly address: string
  readonly labels: Readonly<Record<string, string>>
  readonly serviceAccount: string
  readonly locality: Locality
  readonly weight: number
  /** Named ports; a Pod's container ports or a WorkloadEntry's `ports`. */
  readonly ports: ReadonlyMap<string, number>
  readonly isReady: boolean
  readonly source: 'pod' | 'workloadEntry'
}

/** Ports of a ServiceEntry's inline endpoint and of a WorkloadEntry have the same form. */
interface EntryShape {
  readonly address?: string
  readonly ports?: Readonly<Record<string, number>>
  readonly labels?: Readonly<Record<string, string>>
  readonly locality?: string
  readonly weight?: number
  readonly serviceAccount?: string
}

export interface Workloads {
  /** By namespace. */
  readonly inNamespace: ReadonlyMap<string, readonly KnownWorkload[]>
  /** Pods by `namespace/name`. */
  readonly pods: ReadonlyMap<string, KnownWorkload>
  readonly byAddress: ReadonlyMap<string, KnownWorkload>
}

export function workloadsOf(documents: readonly Document[]): Workloads {
  const pods = new Map<string, KnownWorkload>()
  const all: KnownWorkload[] = []
  for (const document of documentsOf(documents, 'Pod')) {
    const workload = podWorkload(document)
    pods.set(`${document.metadata.namespace}/${document.metadata.name}`, workload)
    all.push(workload)
  }
  for (const document of documentsOf(documents, 'WorkloadEntry')) {
    const { name, namespace, labels } = document.metadata
    all.push(entryWorkload(document.spec, name, namespace, labels))
  }
  const byAddress = new Map<string, KnownWorkload>()
  for (const workload of all) {
    if (workload.address !== '' && !byAddress.has(workload.address)) {
      byAddress.set(workload.address, workload)
    }
  }
  return { inNamespace: Map.groupBy(all, (workload) => workload.namespace), pods, byAddress }
}

function podWorkload(document: DocumentOf<'Pod'>): KnownWorkload {
  const { name, namespace, labels } = document.metadata
  const { spec, status } = document
  const address = status?.podIP ?? ''
  const ports = new Map<string, number>()
  for (const port of (spec.containers ?? []).flatMap((container) => container.ports ?? [])) {
    if (port.name !== undefined) ports.set(port.name, port.containerPort)
  }
  return {
    name: workloadNameOfPod(name, labels),
    namespace,
    address,
    labels,
    serviceAccount: spec.serviceAccountName ?? spec.serviceAccount ?? 'default',
    locality: NO_LOCALITY,
    weight: 1,
    ports,
    isReady: address !== '' && (status?.phase === undefined || status.phase === 'Running'),
    source: 'pod',
  }
}

/** @param objectLabels Labels of the object itself; those inside the entry win. */
export function entryWorkload(
  entry: EntryShape,
  name: string,
  namespace: string,
  objectLabels: Readonly<Record<string, string>>,
): KnownWorkload {
  return {
    name,
    namespace,
    address: entry.address ?? '',
    labels: { ...objectLabels, ...entry.labels },
    serviceAccount: entry.serviceAccount ?? 'default',
    locality: parseLocality(entry.locality),
    weight: entry.weight ?? 1,
    ports: new Map(Object.entries(entry.ports ?? {})),
    // Unix sockets are an endpoint only for proxies on that very host.
    isReady: entry.address !== undefined && !entry.address.startsWith('unix://'),
    source: 'workloadEntry',
  }
}

/** `region/zone/subzone`, the later parts optional. */
function parseLocality(text: string | undefined): Locality {
  if (text === undefined || text === '') return NO_LOCALITY
  const [region = '', zone = '', subZone = ''] = text.split('/')
  return { region, zone, subZone }
}
