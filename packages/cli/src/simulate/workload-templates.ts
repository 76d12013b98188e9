/**
 * Labels of workloads that exist only as a template: Deployments and their like.
 * The mesh does not read these kinds (pods are what counts), but people who
 * simulate have them in the same files and name them in `--from`.
 */

import type { SourceText } from '@weft/config'
import { parseAllDocuments } from 'yaml'

export interface WorkloadTemplate {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** Of the pods it makes. */
  readonly labels: Readonly<Record<string, string>>
  readonly serviceAccount: string
  /** Of its containers, by name. */
  readonly ports: Readonly<Record<string, number>>
}

const KINDS = new Set([
  'Deployment',
  'StatefulSet',
  'DaemonSet',
  'ReplicaSet',
  'ReplicationController',
  'Job',
])
/** An alias bomb is refused, not unfolded. */
const MAX_ALIASES = 100

/** What cannot be read is left out: whoever validates says what is wrong with it. */
export function readWorkloadTemplates(
  sources: readonly Pick<SourceText, 'text'>[],
): readonly WorkloadTemplate[] {
  return sources.flatMap(({ text }) => valuesOf(text).flatMap(unfold).flatMap(templateOf))
}

function valuesOf(text: string): readonly unknown[] {
  if (![...KINDS].some((kind) => text.includes(kind))) return []
  try {
    return [...parseAllDocuments(text)].map((document) =>
      document.errors.length > 0 ? undefined : document.toJS({ maxAliasCount: MAX_ALIASES }),
    )
  } catch {
    return []
  }
}

function unfold(value: unknown): readonly unknown[] {
  const items = field(value, 'items')
  return Array.isArray(items) ? items : [value]
}

function templateOf(value: unknown): readonly WorkloadTemplate[] {
  const kind = field(value, 'kind')
  const metadata = field(value, 'metadata')
  const name = field(metadata, 'name')
  if (typeof kind !== 'string' || !KINDS.has(kind) || typeof name !== 'string') return []
  const namespace = field(metadata, 'namespace')
  const template = field(field(value, 'spec'), 'template')
  const spec = field(template, 'spec')
  const account = field(spec, 'serviceAccountName') ?? field(spec, 'serviceAccount')
  return [
    {
      kind,
      name,
      namespace: typeof namespace === 'string' ? namespace : 'default',
      labels: textsOf(field(field(template, 'metadata'), 'labels')),
      serviceAccount: typeof account === 'string' ? account : 'default',
      ports: namedPorts(field(spec, 'containers')),
    },
  ]
}

function namedPorts(containers: unknown): Record<string, number> {
  const ports = listOf(containers).flatMap((container) => listOf(field(container, 'ports')))
  return Object.fromEntries(
    ports.flatMap((port) => {
      const name = field(port, 'name')
      const number = field(port, 'containerPort')
      return typeof name === 'string' && typeof number === 'number' ? [[name, number]] : []
    }),
  )
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function textsOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, String(text)]))
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Readonly<Record<string, unknown>>)[name]
}
