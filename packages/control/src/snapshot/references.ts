/**
 * Atomic references: what a VirtualService sends traffic to must exist before
 * the VirtualService takes effect, and what it uses is not taken from under it.
 *
 *   * a new form whose destination does not resolve waits: the last good form
 *     stays in force (for a new object: none), and its status says why;
 *   * a subset that is deleted while a route still uses it lives on until no
 *     route does.
 *
 * So the order in which objects are applied or deleted opens no gap. A service
 * that goes away takes nothing back: its routes stay and answer 503.
 */
import { isDeepStrictEqual } from 'node:util'
import { type DocumentOf, nearest } from '@weft/config'
import { type DefinedService, findService, type MeshService } from '../registries/registry.ts'
import type { Condition } from '../status/object-status.ts'
import { covers, resolveHost } from './hosts.ts'
import type { MeshSnapshot } from './mesh-snapshot.ts'
import {
  type BoundVirtualService,
  bindVirtualService,
  type DestinationReference,
  destinationsOf,
} from './virtual-services.ts'

type DestinationRule = DocumentOf<'DestinationRule'>
type Subset = NonNullable<DestinationRule['spec']['subsets']>[number]

/** Each build compares anew: in a mesh of more services nothing is suggested. */
const MAX_COMPARED = 200

export interface ReferenceInput {
  /** In order of precedence. */
  readonly virtualServices: readonly DocumentOf<'VirtualService'>[]
  /** In order of precedence. */
  readonly destinationRules: readonly DestinationRule[]
  readonly services: ReadonlyMap<string, MeshService>
  /** Other definitions of hosts of `services`. */
  readonly rivals?: ReadonlyMap<string, readonly DefinedService[]>
  readonly domain: string
  /** `hold` keeps unresolved new forms out of force; `serve` lets them in, as Istio does (503, no cluster). */
  readonly unresolved: 'hold' | 'serve'
}

export interface SettledReferences {
  readonly virtualServices: readonly BoundVirtualService[]
  readonly destinationRules: readonly DestinationRule[]
  readonly conditions: ReadonlyMap<DocumentOf<'VirtualService'>, Condition>
}

export function settleReferences(
  input: ReferenceInput,
  previous: MeshSnapshot | undefined,
): SettledReferences {
  const { domain } = input
  const destinations = (document: DocumentOf<'VirtualService'>) =>
    destinationsOf(document, domain).map((one) => ({
      ...one,
      host: input.services.get(one.host)?.aliasOf ?? one.host,
    }))
  const isHere = (reference: DestinationReference) =>
    hasService(input, reference) && hasSubset(input.destinationRules, reference, domain)
  const isHereOrWas = (reference: DestinationReference) =>
    isHere(reference) || hasSubset(previous?.destinationRules ?? [], reference, domain)
  const conditions = new Map<DocumentOf<'VirtualService'>, Condition>()
  const inForce: BoundVirtualService[] = []
  for (const document of input.virtualServices) {
    const missing = destinations(document).filter((reference) => !isHere(reference))
    if (missing.length === 0) {
      conditions.set(document, RESOLVED)
      inForce.push(sharedBinding(document, previous, domain))
      continue
    }
    const before = previous?.virtualServices.find((one) => isSameObject(one.document, document))
    const isOldForm = before !== undefined && isSameSpec(before.document, document)
    if (isOldForm || input.unresolved === 'serve') {
      conditions.set(document, unresolved(document, missing, 'the route stays in force', input))
      inForce.push(isOldForm ? before : bindVirtualService(document, domain))
    } else if (
      before !== undefined &&
      destinations(before.document).every((one) => isHereOrWas(one))
    ) {
      conditions.set(
        document,
        unresolved(document, missing, 'the last good form stays in force', input),
      )
      inForce.push(before)
    } else {
      conditions.set(document, unresolved(document, missing, 'not in force until it does', input))
    }
  }
  const used = inForce.flatMap(({ document }) => destinations(document))
  return {
    virtualServices: inForce,
    destinationRules: retainSubsets(input, previous?.destinationRules ?? [], used),
    conditions,
  }
}

const RESOLVED: Condition = {
  type: 'ResolvedRefs',
  status: true,
  reason: 'ResolvedRefs',
  message: 'all destinations exist',
}

function unresolved(
  { metadata }: DocumentOf<'VirtualService'>,
  missing: readonly DestinationReference[],
  consequence: string,
  input: ReferenceInput,
): Condition {
  const [first] = missing
  const more = missing.length > 1 ? ` and ${missing.length - 1} more` : ''
  const what =
    first === undefined ? '' : `${first.path}: ${whatIsMissing(first, input, metadata.namespace)}`
  return {
    type: 'ResolvedRefs',
    status: false,
    reason: 'BackendNotFound',
    message: `${what}${more}; ${consequence}`,
    ...(first === undefined ? {} : { where: first.path }),
  }
}

/** The first that is wrong of host, port and subset, and what was probably meant. */
function whatIsMissing(
  reference: DestinationReference,
  input: ReferenceInput,
  namespace: string,
): string {
  const { host, port, subset } = reference
  const service = findService(input.services, host) ?? coveringService(input.services, host)
  if (service === undefined)
    return `host ${host} does not exist${meantHost(host, input, namespace)}`
  if (!hasService(input, reference)) {
    const ports = service.ports.map((one) => one.port).join(', ')
    return `host ${host} port ${port} does not exist (it has ${ports || 'none'})`
  }
  const subsets = input.destinationRules
    .filter((rule) => covers(hostOf(rule, input.domain), host))
    .flatMap(({ spec }) => spec.subsets ?? [])
    .map(({ name }) => name)
  const there =
    subsets.length === 0 ? 'no DestinationRule names one' : `it has ${subsets.join(', ')}`
  return `subset ${subset} of ${host} does not exist (${there})`
}

/** Among services of the writer's own namespace: it is not told what others have. */
function meantHost(host: string, { services }: ReferenceInput, namespace: string): string {
  if (services.size > MAX_COMPARED || host.split('.')[1] !== namespace) return ''
  const dot = host.indexOf('.')
  const suffix = host.slice(dot)
  const names = [...services.keys()]
    .filter((one) => dot > 0 && one.slice(one.indexOf('.')) === suffix)
    .map((one) => one.slice(0, one.indexOf('.')))
  const near = nearest(host.slice(0, dot), names)
  return near === undefined ? '' : `, did you mean ${near}?`
}

function hasService(input: ReferenceInput, { host, port }: DestinationReference): boolean {
  const service = findService(input.services, host) ?? coveringService(input.services, host)
  if (service === undefined) return false
  if (port === undefined) return true
  const rivals = (input.rivals?.get(host) ?? []).map((rival) => rival.service)
  return [service, ...rivals].some(({ ports }) => ports.some((one) => one.port === port))
}

function coveringService(
  services: ReadonlyMap<string, MeshService>,
  host: string,
): MeshService | undefined {
  for (let at = host.indexOf('.'); at >= 0; at = host.indexOf('.', at + 1)) {
    const service = services.get(`*${host.slice(at)}`)
    if (service !== undefined) return service
  }
  return undefined
}

function hasSubset(
  rules: readonly DestinationRule[],
  { host, subset }: DestinationReference,
  domain: string,
): boolean {
  if (subset === undefined) return true
  return rules.some(
    (rule) =>
      covers(hostOf(rule, domain), host) && rule.spec.subsets?.some((one) => one.name === subset),
  )
}

function hostOf({ spec, metadata }: DestinationRule, domain: string): string {
  return resolveHost(spec.host, metadata.namespace, domain)
}

/** The rules of now, plus those subsets of before that a route still uses and nobody defines any more. */
function retainSubsets(
  input: ReferenceInput,
  before: readonly DestinationRule[],
  used: readonly DestinationReference[],
): readonly DestinationRule[] {
  const orphans = new Map<string, { rule: DestinationRule; subsets: Map<string, Subset> }>()
  for (const reference of used) {
    if (hasSubset(input.destinationRules, reference, input.domain)) continue
    const rule = before.find((one) => hasSubset([one], reference, input.domain))
    const subset = rule?.spec.subsets?.find((one) => one.name === reference.subset)
    if (rule === undefined || subset === undefined) continue
    const key = `${rule.metadata.namespace}/${rule.metadata.name}`
    const orphan = orphans.get(key) ?? { rule, subsets: new Map() }
    orphan.subsets.set(subset.name, subset)
    orphans.set(key, orphan)
  }
  if (orphans.size === 0) return input.destinationRules
  const rules = input.destinationRules.map((rule) => {
    const key = `${rule.metadata.namespace}/${rule.metadata.name}`
    const orphan = orphans.get(key)
    if (orphan === undefined || rule.spec.host !== orphan.rule.spec.host) return rule
    orphans.delete(key)
    return withSubsets(rule, [...(rule.spec.subsets ?? []), ...orphan.subsets.values()])
  })
  // The whole rule is gone: its subsets live on, its policies do not.
  for (const { rule, subsets } of orphans.values()) {
    const { trafficPolicy: _gone, ...spec } = rule.spec
    rules.push(withSubsets({ ...rule, spec }, [...subsets.values()]))
  }
  return rules
}

function withSubsets(rule: DestinationRule, subsets: readonly Subset[]): DestinationRule {
  return { ...rule, spec: { ...rule.spec, subsets } }
}

function sharedBinding(
  document: DocumentOf<'VirtualService'>,
  previous: MeshSnapshot | undefined,
  domain: string,
): BoundVirtualService {
  const before = previous?.virtualServices.find((one) => one.document === document)
  return before ?? bindVirtualService(document, domain)
}

function isSameObject(a: DocumentOf<'VirtualService'>, b: DocumentOf<'VirtualService'>): boolean {
  return a.metadata.name === b.metadata.name && a.metadata.namespace === b.metadata.namespace
}

function isSameSpec(a: DocumentOf<'VirtualService'>, b: DocumentOf<'VirtualService'>): boolean {
  return a === b || isDeepStrictEqual(a.spec, b.spec)
}
