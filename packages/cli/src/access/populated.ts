/**
 * The documents with somebody in every place: files of people have Deployments where a cluster has
 * pods with addresses, and often Services alone. Who is only written down gets an address that
 * nobody has (RFC 1112, class E), so that services find it as they would in a cluster.
 */
import { type Document, type DocumentOf, documentsOf, parseDocuments } from '@weft/config'
import type { Scene } from '../simulate/perspective.ts'
import type { WorkloadTemplate } from '../simulate/workload-templates.ts'

/** The file of whoever is in no file. */
export const ASSUMED = 'what the files leave open'

type Labels = Readonly<Record<string, string>>

interface Stand {
  readonly name: string
  readonly namespace: string
  readonly labels: Labels
  readonly serviceAccount: string
  readonly ports: Readonly<Record<string, number>>
}

export function populated({ documents, templates = [] }: Scene): readonly Document[] {
  const addresses = addressesNobodyHas()
  const placed = documents.map((document) =>
    document.type === 'Pod' ? withAddress(document, addresses) : document,
  )
  const selectable: { readonly namespace: string; readonly labels: Labels }[] = [
    ...documentsOf(documents, 'Pod').map(({ metadata }) => metadata),
    ...documentsOf(documents, 'WorkloadEntry').map(({ metadata, spec }) => ({
      namespace: metadata.namespace,
      labels: { ...metadata.labels, ...spec.labels },
    })),
  ]
  const stands = templates.filter((one) => !selectable.some((other) => isOf(one, other)))
  const manned = [...selectable, ...stands]
  const guessed = documentsOf(documents, 'Service').flatMap((service) => {
    const stand = standFor(service)
    if (stand === undefined || manned.some((one) => isOf(stand, one))) return []
    return hasEndpoints(documents, service) ? [] : [stand]
  })
  return [...placed, ...podsOf([...stands, ...guessed], addresses)]
}

function* addressesNobodyHas(): Generator<string, never> {
  for (let i = 1; ; i++) yield `240.0.${(i >> 8) & 255}.${i & 255}`
}

function withAddress(pod: DocumentOf<'Pod'>, addresses: Iterator<string>): DocumentOf<'Pod'> {
  const { podIP, phase } = pod.status ?? {}
  if (podIP !== undefined && podIP !== '' && (phase === undefined || phase === 'Running'))
    return pod
  return {
    ...pod,
    status: { ...pod.status, podIP: podIP ?? addresses.next().value, phase: 'Running' },
  }
}

/** Whether `one` is among what the labels of `other` select. */
function isOf(
  one: Pick<Stand | WorkloadTemplate, 'namespace' | 'labels'>,
  other: { readonly namespace: string; readonly labels: Labels },
): boolean {
  return (
    one.namespace === other.namespace &&
    Object.entries(one.labels).every(([key, value]) => other.labels[key] === value)
  )
}

function standFor({ metadata, spec }: DocumentOf<'Service'>): Stand | undefined {
  const { selector = {} } = spec
  if (Object.keys(selector).length === 0 || spec.type === 'ExternalName') return undefined
  const named = (spec.ports ?? []).flatMap(({ targetPort, port }) =>
    typeof targetPort === 'string' ? [[targetPort, port] as const] : [],
  )
  const { name, namespace } = metadata
  const ports = Object.fromEntries(named)
  return { name, namespace, labels: selector, serviceAccount: 'default', ports }
}

function hasEndpoints(
  documents: readonly Document[],
  { metadata }: DocumentOf<'Service'>,
): boolean {
  const { name, namespace } = metadata
  return (
    documentsOf(documents, 'EndpointSlice').some(
      (slice) =>
        slice.metadata.namespace === namespace &&
        slice.metadata.labels['kubernetes.io/service-name'] === name,
    ) ||
    documentsOf(documents, 'Endpoints').some(
      (one) => one.metadata.namespace === namespace && one.metadata.name === name,
    )
  )
}

function podsOf(stands: readonly Stand[], addresses: Iterator<string>): readonly Document[] {
  const pods = stands.map(({ name, namespace, labels, serviceAccount, ports }) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: {
      serviceAccountName: serviceAccount,
      containers: [
        {
          name: 'app',
          image: 'app',
          ports: Object.entries(ports).map(([port, number]) => ({
            name: port,
            containerPort: number,
          })),
        },
      ],
    },
    status: { podIP: addresses.next().value, phase: 'Running' },
  }))
  if (pods.length === 0) return []
  const text = pods.map((pod) => JSON.stringify(pod)).join('\n---\n')
  return parseDocuments(text, { file: ASSUMED }).documents
}
