/**
 * Routes of Gateway API and their parents: who lets them attach, for which hosts,
 * and what their backends mean. Worked out once per snapshot, because none of it
 * depends on the proxy.
 */
import type { Document, DocumentOf, ParentRef } from '@weft/config'
import type { Condition } from '../../status/object-status.ts'
import { compareObjects } from '../precedence.ts'
import { type AnyBackendRef, type BackendTarget, resolveBackend } from './backend.ts'
import { unusableFilters } from './backend-filters.ts'
import { httpFormOf } from './grpc-form.ts'
import type { JudgedListener } from './listeners.ts'
import {
  type AcceptedParent,
  judgeParent,
  type ParentContext,
  renderParent,
  type Verdict,
} from './parents.ts'
import { RouteClaims } from './route-conflicts.ts'
import { type RouteDocument, routeDocuments } from './route-kinds.ts'

/** A route with parents of both kinds attaches twice. */
interface RouteAttachment<D> {
  readonly document: D
  readonly parents: readonly AcceptedParent[]
  /** By the reference object in the document. */
  readonly backends: ReadonlyMap<AnyBackendRef, BackendTarget>
}

/** GRPCRoutes are here too, in their HTTP form. */
export type HttpRouteAttachment = RouteAttachment<DocumentOf<'HTTPRoute'>>
export type StreamRouteAttachment = RouteAttachment<DocumentOf<'TLSRoute'> | DocumentOf<'TCPRoute'>>

/** What one parent of a route says. */
interface ParentVerdict {
  readonly ref: ParentRef
  readonly conditions: readonly Condition[]
}

export interface Attachments {
  /** In order of precedence. */
  readonly routes: readonly HttpRouteAttachment[]
  /** In order of precedence. */
  readonly streams: readonly StreamRouteAttachment[]
  readonly conditions: ReadonlyMap<RouteDocument, readonly Condition[]>
  readonly parents: ReadonlyMap<RouteDocument, readonly ParentVerdict[]>
  /** How many routes each listener has, whether it is served or not. */
  readonly attachedRoutes: ReadonlyMap<JudgedListener, number>
}

export function attachRoutes(documents: readonly Document[], context: ParentContext): Attachments {
  const routes: HttpRouteAttachment[] = []
  const streams: StreamRouteAttachment[] = []
  const conditions = new Map<RouteDocument, readonly Condition[]>()
  const parents = new Map<RouteDocument, readonly ParentVerdict[]>()
  const counts = new Map<JudgedListener, number>()
  const claims = new RouteClaims()
  for (const source of routeDocuments(documents).toSorted(compareObjects)) {
    const document = source.type === 'GRPCRoute' ? httpFormOf(source) : source
    const byKind = backendsOf(document, source.type, context)
    const judged = (source.spec.parentRefs ?? []).flatMap((ref) => {
      const allowed = judgeParent(source, ref, context)
      if (allowed === undefined) return []
      const verdict = claims.claim(source, allowed)
      return [{ ref, ...settle(document, verdict, [...byKind[kindOf(ref)].values()]) }]
    })
    parents.set(source, judged)
    conditions.set(
      source,
      judged.flatMap((one) =>
        one.conditions.map((condition) => ({
          ...condition,
          where: renderParent(one.ref, source.metadata.namespace),
        })),
      ),
    )
    const accepted = judged.flatMap((one) => one.parents)
    for (const listener of new Set(accepted.flatMap((one) => listenerOf(one) ?? []))) {
      counts.set(listener, (counts.get(listener) ?? 0) + 1)
    }
    for (const kind of ['gateway', 'service'] as const) {
      const own = accepted.filter((parent) => parent.kind === kind && isServed(parent))
      if (own.length === 0) continue
      const backends = byKind[kind]
      if (document.type === 'HTTPRoute') routes.push({ document, parents: own, backends })
      else streams.push({ document, parents: own, backends })
    }
  }
  return { routes, streams, conditions, parents, attachedRoutes: counts }
}

function listenerOf(parent: AcceptedParent): JudgedListener | undefined {
  return parent.kind === 'gateway' ? parent.listener : undefined
}

function isServed(parent: AcceptedParent): boolean {
  return listenerOf(parent)?.isServed !== false
}

function kindOf(ref: ParentRef): AcceptedParent['kind'] {
  return ref.kind === 'Service' ? 'service' : 'gateway'
}

type AttachedDocument = DocumentOf<'HTTPRoute'> | DocumentOf<'TLSRoute'> | DocumentOf<'TCPRoute'>

/** In the mesh callers reach other namespaces anyway: who may is for authorization to say. */
function backendsOf(document: AttachedDocument, kind: string, context: ParentContext) {
  const { namespace } = document.metadata
  const backendsWith = (grants: ParentContext['grants']) =>
    new Map(
      referencesOf(document).map((ref) => [
        ref,
        resolveBackend(ref, kind, namespace, { ...context, grants }),
      ]),
    )
  return { gateway: backendsWith(context.grants), service: backendsWith(undefined) }
}

function referencesOf(document: AttachedDocument): readonly AnyBackendRef[] {
  if (document.type !== 'HTTPRoute') {
    return document.spec.rules.flatMap(({ backendRefs }) => backendRefs)
  }
  return document.spec.rules.flatMap((rule) => [
    ...(rule.backendRefs ?? []),
    ...[...(rule.filters ?? []), ...(rule.backendRefs ?? []).flatMap((ref) => ref.filters ?? [])]
      .map((filter) => filter.requestMirror?.backendRef)
      .filter((ref) => ref !== undefined),
  ])
}

/** The verdict of the parent together with what the route itself is worth. */
function settle(
  document: AttachedDocument,
  { parents, condition }: Verdict,
  backends: readonly BackendTarget[],
): { readonly parents: Verdict['parents']; readonly conditions: readonly Condition[] } {
  const refs = resolvedRefs(backends)
  if (document.type !== 'HTTPRoute') return { parents, conditions: [condition, refs] }
  const paths = unusableFilters(document.spec.rules)
  if (paths.length === 0 || !condition.status) return { parents, conditions: [condition, refs] }
  const rules = new Set(paths.map((path) => /^spec\.rules\[\d+\]/.exec(path)?.[0]))
  const message = `${paths.join(', ')} cannot be honoured: their requests are answered with 500`
  if (rules.size === document.spec.rules.length) {
    const refused = { ...condition, status: false, reason: 'UnsupportedValue', message }
    return { parents, conditions: [refused, refs] }
  }
  const partial: Condition = {
    type: 'PartiallyInvalid',
    status: true,
    reason: 'UnsupportedValue',
    message: `Dropped Rule: ${message}`,
  }
  return { parents, conditions: [condition, refs, partial] }
}

function resolvedRefs(backends: readonly BackendTarget[]): Condition {
  const fault = backends.find((one) => one.kind === 'invalid')
  if (fault?.kind === 'invalid') {
    return { type: 'ResolvedRefs', status: false, reason: fault.reason, message: fault.message }
  }
  return {
    type: 'ResolvedRefs',
    status: true,
    reason: 'ResolvedRefs',
    message: 'all backends exist',
  }
}
