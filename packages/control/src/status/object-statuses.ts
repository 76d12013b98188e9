/**
 * The status of every object: what its file says, what the snapshot made of it,
 * and what the proxies answered. Pure.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Document, Problem } from '@weft/config'
import { keyOf } from '../snapshot/build.ts'
import type { MeshSnapshot } from '../snapshot/mesh-snapshot.ts'
import type { Refusal, SourceState } from '../sources/source.ts'
import { originKey } from './delivery.ts'
import { gatewayApiStatus, type Programming } from './gateway-api-status.ts'
import {
  type AppliedSummary,
  type Condition,
  NEGATIVE_CONDITIONS,
  type ObjectStatus,
} from './object-status.ts'
import { withUnbound } from './unbound-listeners.ts'

export interface StatusInput {
  readonly state: SourceState
  readonly snapshot: MeshSnapshot
  /** By `kind/namespace/name`. */
  readonly applied: ReadonlyMap<string, AppliedSummary>
  /** Found by looking across objects. */
  readonly analysis: readonly Problem[]
}

export function objectStatuses(input: StatusInput): readonly ObjectStatus[] {
  const problems = Map.groupBy([...input.state.problems, ...input.analysis], ({ object }) =>
    object === undefined ? '' : originKey(object),
  )
  const refusals = new Map(
    input.state.refused.flatMap((refusal) =>
      refusal.object === undefined ? [] : [[originKey(refusal.object), refusal] as const],
    ),
  )
  const brokenFiles = new Map(
    input.state.refused.flatMap((refusal) =>
      refusal.object === undefined ? [[refusal.file, refusal] as const] : [],
    ),
  )
  const seen = new Set<string>()
  const statuses: ObjectStatus[] = []
  for (const document of input.state.documents) {
    const key = originKey({ kind: document.kind, ...document.metadata })
    seen.add(key)
    const refusal = refusals.get(key) ?? brokenFiles.get(document.origin.file ?? '')
    statuses.push(statusOf(document, input, problems.get(key) ?? [], refusal))
  }
  // What never had a good form has no document to hang its status on.
  for (const [key, refusal] of refusals) {
    if (!seen.has(key)) statuses.push(refusedStatus(refusal, problems.get(key) ?? []))
  }
  return statuses
}

function statusOf(
  document: Document,
  input: StatusInput,
  problems: readonly Problem[],
  refusal: Refusal | undefined,
): ObjectStatus {
  const { kind, apiVersion, metadata, origin } = document
  const { namespace, name } = metadata
  const applied = input.applied.get(originKey({ kind, namespace, name }))
  const found = input.snapshot.conditions.get(keyOf(document)) ?? []
  const programming = programmingOf(document, input.snapshot, applied)
  const judged = [...acceptance(refusal, found), ...found]
  const { conditions: known, parts } = withUnbound(
    { conditions: judged, parts: input.snapshot.parts.get(keyOf(document)) },
    applied,
  )
  const conditions = [...known, ...programmed(document, known, programming)]
  const own = conditions.filter(({ where }) => where === undefined)
  return {
    kind,
    apiVersion,
    namespace,
    name,
    ...(origin.file === undefined ? {} : { file: origin.file }),
    ...(origin.line === undefined ? {} : { line: origin.line }),
    conditions,
    ...(parts === undefined ? {} : { status: gatewayApiStatus(document, parts, own, programming) }),
    problems,
    ...(applied === undefined ? {} : { applied }),
    summary: summaryOf(conditions, applied),
  }
}

/** Objects that nobody else judges are accepted once they are valid. */
function acceptance(
  refusal: Refusal | undefined,
  found: readonly Condition[],
): readonly Condition[] {
  if (refusal !== undefined) return [refusedCondition(refusal)]
  if (found.some(({ type }) => type === 'Accepted')) return []
  return [{ type: 'Accepted', status: true, reason: 'Accepted', message: 'valid' }]
}

function refusedCondition({ reason, keptLastGood }: Refusal): Condition {
  const consequence = keptLastGood ? 'the last good form stays in force' : 'not in force'
  return {
    type: 'Accepted',
    status: false,
    reason: 'Invalid',
    message: `${reason}; ${consequence}`,
  }
}

function isGateway({ type }: Document): boolean {
  return type === 'KubernetesGateway' || type === 'ListenerSet' || type === 'IstioGateway'
}

/**
 * Gateways are programmed once every proxy that serves them has accepted all of the
 * snapshot that holds them as they are: who waits for it gets the new answer at once.
 */
function programmingOf(
  document: Document,
  snapshot: MeshSnapshot,
  applied: AppliedSummary | undefined,
): Programming {
  if (applied === undefined || applied.proxies === 0) {
    return { isProgrammed: false, message: 'no gateway proxy serves it' }
  }
  const { proxies, current, rejected } = applied
  const built = snapshot.gateways.get(keyOf(document))
  const isBuilt =
    document.type === 'IstioGateway' ||
    (built !== undefined && isDeepStrictEqual(built.spec, document.spec))
  if (isBuilt && current === proxies) {
    return { isProgrammed: true, message: `served by ${current} of ${proxies} gateway proxies` }
  }
  const [refusal] = rejected
  const message =
    refusal === undefined
      ? `${isBuilt ? current : 0} of ${proxies} gateway proxies have taken it`
      : `${refusal.proxy} rejected it: ${refusal.message}`
  return { isProgrammed: false, message }
}

function programmed(
  document: Document,
  conditions: readonly Condition[],
  { isProgrammed, message }: Programming,
): readonly Condition[] {
  if (!isGateway(document)) return []
  const refused = conditions.find(({ type, status, where }) => {
    return type === 'Accepted' && !status && where === undefined
  })
  if (refused !== undefined) {
    // A ListenerSet says which of its faults it is.
    const reason = document.type === 'ListenerSet' ? refused.reason : 'Invalid'
    return [{ type: 'Programmed', status: false, reason, message: 'not accepted' }]
  }
  if (isProgrammed) return [{ type: 'Programmed', status: true, reason: 'Programmed', message }]
  if (document.type === 'IstioGateway') return []
  return [{ type: 'Programmed', status: false, reason: 'Pending', message }]
}

function refusedStatus(refusal: Refusal, problems: readonly Problem[]): ObjectStatus {
  const { object, file } = refusal
  const conditions = [refusedCondition(refusal)]
  const line = problems.find((problem) => problem.line > 0)?.line
  return {
    kind: object?.kind ?? '',
    apiVersion: object?.apiVersion ?? '',
    namespace: object?.namespace ?? '',
    name: object?.name ?? '',
    file,
    ...(line === undefined ? {} : { line }),
    conditions,
    problems,
    summary: summaryOf(conditions, undefined),
  }
}

function summaryOf(conditions: readonly Condition[], applied: AppliedSummary | undefined): string {
  const bad = conditions
    .filter(({ status, type }) => status === NEGATIVE_CONDITIONS.has(type) && type !== 'Programmed')
    .map(({ type, reason, message }) =>
      type === 'Accepted' && reason === 'Invalid'
        ? `refused: ${message}`
        : `${type}=${NEGATIVE_CONDITIONS.has(type) ? 'True' : 'False'} (${reason}): ${message}`,
    )
  return [...bad, appliedText(applied)].filter((part) => part !== '').join('; ') || 'accepted'
}

function appliedText(applied: AppliedSummary | undefined): string {
  if (applied === undefined) return ''
  const { proxies, acknowledged, rejected } = applied
  const parts = [`applied by ${acknowledged} of ${proxies} proxies`]
  for (const { proxy, message } of rejected.slice(0, 3)) {
    parts.push(`${proxy} rejected it: ${message}`)
  }
  if (rejected.length > 3) parts.push(`and ${rejected.length - 3} more rejected it`)
  return parts.join('; ')
}
