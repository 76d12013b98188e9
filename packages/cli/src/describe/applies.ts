/**
 * Which objects hold for a workload: what translation left its mark of in its resources, and by
 * selector and target what has no marks there.
 */
import type { Document, DocumentOf } from '@weft/config'
import type { HttpFilterConfig, Origin, ResourceSet } from '@weft/model'
import { type Destination, inboundListeners, whereOf } from '../access/destination.ts'
import type { Row } from './description.ts'

/** Every object that somebody's lines of made a resource what it is. */
function originsIn(value: unknown): readonly Origin[] {
  const found = new Map<string, Origin>()
  const walk = (one: unknown): void => {
    if (typeof one !== 'object' || one === null) return
    if (one instanceof Map) for (const each of one.values()) walk(each)
    else for (const [key, each] of Object.entries(one)) visit(key, each)
  }
  const visit = (key: string, each: unknown): void => {
    if (key === 'origins' && Array.isArray(each)) note(each)
    else walk(each)
  }
  const note = (origins: readonly Origin[]): void => {
    for (const origin of origins) {
      const key = `${origin.kind} ${origin.namespace}/${origin.name}`
      if (!found.has(key)) found.set(key, origin)
    }
  }
  walk(value)
  return [...found.values()]
}

export interface Applying {
  readonly rows: readonly Row[]
  readonly warnings: readonly string[]
}

/** AuthorizationPolicies in the chains of the workload, and the kinds that are chosen by labels. */
export function policiesFor(
  destination: Destination,
  documents: readonly Document[],
  rootNamespace: string,
  services: readonly string[],
): Applying {
  const filters = guardsOf(destination)
  const names = new Set(originsIn(filters).map(({ namespace, name }) => `${namespace}/${name}`))
  const { namespace, labels } = destination.proxy
  const rows: Row[] = []
  const warnings: string[] = []
  for (const document of documents) {
    const key = `${document.metadata.namespace}/${document.metadata.name}`
    if (document.type === 'AuthorizationPolicy') {
      if (!names.has(key)) continue
      rows.push(row(document, authorizationSays(document)))
      warnings.push(...authorizationWarnings(document))
    } else if (SELECTED.includes(document.type)) {
      const spec = document.spec as Selected
      if (!selects(spec, document.metadata.namespace, namespace, labels, rootNamespace, services))
        continue
      rows.push(row(document, saysOf(document)))
    }
  }
  const order: readonly string[] = ORDER
  rows.sort((a, b) => order.indexOf(String(a.kind)) - order.indexOf(String(b.kind)))
  return { rows, warnings }
}

const ORDER = [
  'PeerAuthentication',
  'RequestAuthentication',
  'AuthorizationPolicy',
  'Sidecar',
  'RateLimit',
  'TrafficPolicy',
] as const
const SELECTED: readonly string[] = ORDER.filter((kind) => kind !== 'AuthorizationPolicy')

/** Of the filters that decide who may call. */
function guardsOf(destination: Destination): readonly unknown[] {
  return inboundListeners(destination).flatMap(({ filterChains, defaultFilterChain }) =>
    [...filterChains, ...(defaultFilterChain === undefined ? [] : [defaultFilterChain])].flatMap(
      ({ rbac = [], filter }) => [
        ...rbac,
        ...(filter.kind === 'http' ? filter.filters.filter(isGuard) : []),
      ],
    ),
  )
}

function isGuard({ kind }: HttpFilterConfig): boolean {
  return kind === 'rbac' || kind === 'extAuthz' || kind === 'jwtAuthn'
}

interface Selected {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> }
  readonly workloadSelector?: { readonly labels?: Readonly<Record<string, string>> }
  readonly targetRef?: Target
  readonly targetRefs?: readonly Target[]
}

interface Target {
  readonly kind: string
  readonly name: string
}

function selects(
  spec: Selected,
  own: string,
  namespace: string,
  labels: Readonly<Record<string, string>>,
  root: string,
  services: readonly string[],
): boolean {
  if (own !== namespace && own !== root) return false
  const targets = [...(spec.targetRefs ?? []), ...(spec.targetRef ? [spec.targetRef] : [])]
  if (targets.length > 0) {
    return (
      own === namespace &&
      targets.some(({ kind, name }) => kind === 'Service' && services.includes(name))
    )
  }
  const wanted = spec.selector?.matchLabels ?? spec.workloadSelector?.labels ?? {}
  return Object.entries(wanted).every(([key, value]) => labels[key] === value)
}

function row(document: Document, says: string): Row {
  const { namespace, name } = document.metadata
  return {
    kind: document.kind,
    name: `${namespace}/${name}`,
    says,
    where: whereOf(document.origin) ?? null,
  }
}

function authorizationSays({ metadata, spec }: DocumentOf<'AuthorizationPolicy'>): string {
  const rules = spec.rules?.length ?? 0
  const trial = metadata.annotations['istio.io/dry-run'] === 'true' ? ', on trial' : ''
  const asks = spec.action === 'CUSTOM' ? ` by ${spec.provider?.name ?? 'nobody'}` : ''
  return `${spec.action}${asks}, ${rules} rule${rules === 1 ? '' : 's'}${trial}`
}

function authorizationWarnings(document: DocumentOf<'AuthorizationPolicy'>): readonly string[] {
  const { metadata, spec } = document
  const who = `AuthorizationPolicy ${metadata.namespace}/${metadata.name}`
  const rules = spec.rules?.length ?? 0
  if (spec.action === 'ALLOW' && rules === 0) return [`${who} has no rules: it denies everything`]
  if (spec.action !== 'ALLOW' && rules === 0) return [`${who} has no rules: it does nothing`]
  return []
}

function saysOf(document: Document): string {
  switch (document.type) {
    case 'PeerAuthentication': {
      const { mtls, portLevelMtls = {} } = document.spec
      const ports = Object.entries(portLevelMtls).map(([port, one]) => `${port}: ${one.mode}`)
      return [mtls?.mode ?? 'UNSET', ...ports].join(', ')
    }
    case 'RequestAuthentication':
      return (document.spec.jwtRules ?? [])
        .map(
          ({ issuer = 'any issuer', presence }) =>
            `${issuer}${presence === 'REQUIRED' ? ' (required)' : ''}`,
        )
        .join(', ')
    case 'Sidecar':
      return 'restricts what the proxy knows'
    case 'RateLimit':
      return `${document.spec.limits?.length ?? 0} limits`
    default:
      return ''
  }
}

/** Objects of these kinds that resources were made from. */
export function appliedObjects(
  resources: Partial<ResourceSet>,
  kinds: readonly string[],
): readonly Row[] {
  return originsIn(Object.values(resources))
    .filter(({ kind }) => kinds.includes(kind))
    .map((origin) => ({
      kind: origin.kind,
      name: `${origin.namespace}/${origin.name}`,
      where: whereOf(origin) ?? null,
    }))
}
