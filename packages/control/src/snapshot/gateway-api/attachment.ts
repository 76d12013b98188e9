/**
 * HTTPRoutes and their parents: who lets them attach, for which hosts, and what
 * their backends mean. Worked out once per snapshot, because none of it depends
 * on the proxy.
 */
import { type Document, type DocumentOf, documentsOf, type ParentRef } from '@weft/config'
import type { Condition } from '../../status/object-status.ts'
import { compareHosts, covers, intersectHosts } from '../hosts.ts'
import { selectsLabels } from '../label-selector.ts'
import { compareObjects } from '../precedence.ts'
import {
  type AnyBackendRef,
  type BackendContext,
  type BackendTarget,
  GATEWAY_API,
  resolveBackend,
} from './backend.ts'
import { unusableFilters } from './backend-filters.ts'
import type { Listeners, ServedListener } from './listeners.ts'

type HttpRouteDocument = DocumentOf<'HTTPRoute'>

/** A route with parents of both kinds attaches twice. */
export interface HttpRouteAttachment {
  readonly document: HttpRouteDocument
  readonly parents: readonly AcceptedParent[]
  /** By the reference object in the document. */
  readonly backends: ReadonlyMap<AnyBackendRef, BackendTarget>
}

type AcceptedParent =
  | {
      readonly kind: 'gateway'
      readonly listener: ServedListener
      /** What the route's and the listener's host names have in common; `*` for all. */
      readonly hosts: readonly string[]
    }
  /** A mesh route (GAMMA). */
  | {
      readonly kind: 'service'
      /** Fully qualified. */
      readonly host: string
      /** Absent: all ports. */
      readonly port?: number
      /** `producer` routes bind every caller, `consumer` ones the callers of the route's namespace. */
      readonly scope: 'producer' | 'consumer'
    }

export interface AttachmentContext extends BackendContext {
  readonly listeners: Listeners
  readonly namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>
}

export interface Attachments {
  /** In order of precedence. */
  readonly routes: readonly HttpRouteAttachment[]
  readonly conditions: ReadonlyMap<HttpRouteDocument, readonly Condition[]>
}

export function attachRoutes(
  documents: readonly Document[],
  context: AttachmentContext,
): Attachments {
  const routes: HttpRouteAttachment[] = []
  const conditions = new Map<HttpRouteDocument, readonly Condition[]>()
  for (const document of documentsOf(documents, 'HTTPRoute').toSorted(compareObjects)) {
    const { namespace } = document.metadata
    const backendsWith = (grants: AttachmentContext['grants']) =>
      new Map(
        referencesOf(document).map((ref) => [
          ref,
          resolveBackend(ref, namespace, { ...context, grants }),
        ]),
      )
    // In the mesh callers reach other namespaces anyway: who may is for authorization to say.
    const byKind = { gateway: backendsWith(context.grants), service: backendsWith(undefined) }
    const judged = (document.spec.parentRefs ?? []).map((ref) => ({
      ref,
      verdict: judgeParent(document, ref, context),
    }))
    conditions.set(
      document,
      judged.flatMap(({ ref, verdict }) =>
        verdict === undefined
          ? []
          : [verdict.condition, resolvedRefs(document, [...byKind[kindOf(ref)].values()])].map(
              (condition) => ({ ...condition, where: renderParent(ref, namespace) }),
            ),
      ),
    )
    const accepted = judged.flatMap(({ verdict }) => verdict?.parents ?? [])
    for (const kind of ['gateway', 'service'] as const) {
      const parents = accepted.filter((parent) => parent.kind === kind)
      if (parents.length > 0) routes.push({ document, parents, backends: byKind[kind] })
    }
  }
  return { routes, conditions }
}

function kindOf(ref: ParentRef): AcceptedParent['kind'] {
  return ref.kind === 'Service' ? 'service' : 'gateway'
}

function referencesOf(document: HttpRouteDocument): readonly AnyBackendRef[] {
  return document.spec.rules.flatMap((rule) => [
    ...(rule.backendRefs ?? []),
    ...[...(rule.filters ?? []), ...(rule.backendRefs ?? []).flatMap((ref) => ref.filters ?? [])]
      .map((filter) => filter.requestMirror?.backendRef)
      .filter((ref) => ref !== undefined),
  ])
}

interface Verdict {
  readonly parents: readonly AcceptedParent[]
  readonly condition: Condition
}

/** `undefined` when the parent is none of ours: then another controller speaks. */
function judgeParent(
  document: HttpRouteDocument,
  ref: ParentRef,
  context: AttachmentContext,
): Verdict | undefined {
  if (ref.group === GATEWAY_API && ref.kind === 'Gateway') {
    return judgeGatewayParent(document, ref, context)
  }
  if (ref.group === '' && ref.kind === 'Service') return judgeServiceParent(document, ref, context)
  return refuse('InvalidKind', `parents of kind ${ref.group}/${ref.kind} are not supported`)
}

function judgeServiceParent(
  document: HttpRouteDocument,
  ref: ParentRef,
  context: AttachmentContext,
): Verdict {
  const namespace = ref.namespace ?? document.metadata.namespace
  const host = `${ref.name}.${namespace}.svc.${context.domain}`
  const service = context.services.get(host)
  if (service === undefined) return refuse('NoMatchingParent', `service ${host} does not exist`)
  if (ref.port !== undefined && !service.ports.some((one) => one.port === ref.port)) {
    return refuse('NoMatchingParent', `service ${host} has no port ${ref.port}`)
  }
  return accept([
    {
      kind: 'service',
      host,
      ...(ref.port === undefined ? {} : { port: ref.port }),
      scope: namespace === document.metadata.namespace ? 'producer' : 'consumer',
    },
  ])
}

function judgeGatewayParent(
  document: HttpRouteDocument,
  ref: ParentRef,
  context: AttachmentContext,
): Verdict | undefined {
  const namespace = ref.namespace ?? document.metadata.namespace
  const gateway = [...context.listeners.gateways].find(
    ({ metadata }) => metadata.name === ref.name && metadata.namespace === namespace,
  )
  if (gateway === undefined) return undefined
  const named = context.listeners.served.filter(
    (one) =>
      one.gateway === gateway &&
      (ref.sectionName === undefined || one.spec.name === ref.sectionName) &&
      (ref.port === undefined || one.spec.port === ref.port),
  )
  if (named.length === 0) {
    return refuse('NoMatchingParent', `gateway ${namespace}/${ref.name} serves no such listener`)
  }
  const allowing = named.filter((one) => allows(one, document, context))
  if (allowing.length === 0) {
    const message = `no listener of gateway ${namespace}/${ref.name} allows HTTPRoutes of ${document.metadata.namespace}`
    return refuse('NotAllowedByListeners', message)
  }
  const siblings = context.listeners.served.filter((one) => one.gateway === gateway)
  const parents = allowing.flatMap((listener): AcceptedParent[] => {
    const common = commonHosts(document.spec.hostnames, listener.spec.hostname)
    if (common.length === 0) return []
    const hosts = common.filter((host) => isMostSpecific(listener, host, siblings))
    return [{ kind: 'gateway', listener, hosts }]
  })
  if (parents.length === 0) {
    const message = `no listener of gateway ${namespace}/${ref.name} has a host name in common with the route`
    return refuse('NoMatchingListenerHostname', message)
  }
  return accept(parents)
}

function allows(
  { gateway, spec }: ServedListener,
  document: HttpRouteDocument,
  context: AttachmentContext,
): boolean {
  const { kinds, namespaces } = spec.allowedRoutes
  const isKindAllowed =
    kinds === undefined ||
    kinds.length === 0 ||
    kinds.some((one) => one.kind === 'HTTPRoute' && (one.group ?? GATEWAY_API) === GATEWAY_API)
  if (!isKindAllowed) return false
  const { namespace } = document.metadata
  switch (namespaces.from) {
    case 'All':
      return true
    case 'Same':
      return namespace === gateway.metadata.namespace
    case 'Selector': {
      // Every namespace carries its own name as a label, whether written down or not.
      const labels = {
        'kubernetes.io/metadata.name': namespace,
        ...context.namespaces.get(namespace),
      }
      return namespaces.selector !== undefined && selectsLabels(namespaces.selector, labels)
    }
  }
}

/** Empty: nothing in common. */
function commonHosts(
  routeHosts: readonly string[] | undefined,
  listenerHost: string | undefined,
): readonly string[] {
  const bound = listenerHost === undefined || listenerHost === '' ? '*' : listenerHost.toLowerCase()
  if (routeHosts === undefined || routeHosts.length === 0) return [bound]
  const common = routeHosts.flatMap((host) => intersectHosts(bound, host.toLowerCase()) ?? [])
  return [...new Set(common)].sort(compareHosts)
}

/**
 * A request belongs to the one listener of its port whose host name fits best,
 * and a route of another listener must not get it ("listener isolation").
 */
function isMostSpecific(
  listener: ServedListener,
  host: string,
  siblings: readonly ServedListener[],
): boolean {
  const own = listener.spec.hostname ?? '*'
  return !siblings.some((other) => {
    const rival = other.spec.hostname ?? '*'
    return (
      other !== listener &&
      other.spec.port === listener.spec.port &&
      other.spec.protocol === listener.spec.protocol &&
      rival !== own &&
      covers(rival, host) &&
      compareHosts(rival, own) < 0
    )
  })
}

function resolvedRefs({ spec }: HttpRouteDocument, backends: readonly BackendTarget[]): Condition {
  const fault = backends.find((one) => one.kind === 'invalid')
  if (fault?.kind === 'invalid') {
    return { type: 'ResolvedRefs', status: false, reason: fault.reason, message: fault.message }
  }
  const paths = unusableFilters(spec.rules)
  if (paths.length > 0) {
    const message = `${paths.join(', ')} cannot be honoured: their requests are answered with 500`
    return { type: 'ResolvedRefs', status: false, reason: 'UnsupportedValue', message }
  }
  return {
    type: 'ResolvedRefs',
    status: true,
    reason: 'ResolvedRefs',
    message: 'all backends exist',
  }
}

function accept(parents: readonly AcceptedParent[]): Verdict {
  const message = 'route accepted'
  return { parents, condition: { type: 'Accepted', status: true, reason: 'Accepted', message } }
}

function refuse(reason: string, message: string): Verdict {
  return { parents: [], condition: { type: 'Accepted', status: false, reason, message } }
}

function renderParent(ref: ParentRef, namespace: string): string {
  const section = ref.sectionName === undefined ? '' : `/${ref.sectionName}`
  const port = ref.port === undefined ? '' : `:${ref.port}`
  return `${ref.kind} ${ref.namespace ?? namespace}/${ref.name}${section}${port}`
}
