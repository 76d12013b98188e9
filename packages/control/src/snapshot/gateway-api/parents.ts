/** Who lets a route attach: listeners of Gateways and ListenerSets, and Services of the mesh. */
import type { ParentRef } from '@weft/config'
import type { Condition } from '../../status/object-status.ts'
import { compareHosts, covers, intersectHosts } from '../hosts.ts'
import { selectsNamespace } from '../label-selector.ts'
import { type BackendContext, GATEWAY_API } from './backend.ts'
import type { JudgedListener, ListenerOwner, Listeners } from './listeners.ts'
import type { RouteDocument } from './route-kinds.ts'

export type AcceptedParent =
  | {
      readonly kind: 'gateway'
      readonly listener: JudgedListener
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

export interface ParentContext extends BackendContext {
  readonly listeners: Listeners
  readonly namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>
}

export interface Verdict {
  readonly parents: readonly AcceptedParent[]
  readonly condition: Condition
}

/** `undefined` when the parent is none of ours: then another controller speaks. */
export function judgeParent(
  document: RouteDocument,
  ref: ParentRef,
  context: ParentContext,
): Verdict | undefined {
  if (ref.group === GATEWAY_API && (ref.kind === 'Gateway' || ref.kind === 'ListenerSet')) {
    return judgeListeners(document, ref, context)
  }
  if (ref.group === '' && ref.kind === 'Service') return judgeServiceParent(document, ref, context)
  return refuse('InvalidKind', `parents of kind ${ref.group}/${ref.kind} are not supported`)
}

function judgeServiceParent(
  document: RouteDocument,
  ref: ParentRef,
  context: ParentContext,
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

function judgeListeners(
  document: RouteDocument,
  ref: ParentRef,
  context: ParentContext,
): Verdict | undefined {
  const namespace = ref.namespace ?? document.metadata.namespace
  const found = [...context.listeners.byOwner].find(
    ([{ metadata, kind }]) =>
      kind === ref.kind && metadata.name === ref.name && metadata.namespace === namespace,
  )
  if (found === undefined) return undefined
  const parent = `${ref.kind === 'Gateway' ? 'gateway' : 'listener set'} ${namespace}/${ref.name}`
  const named = found[1].filter(
    ({ spec }) =>
      (ref.sectionName === undefined || spec.name === ref.sectionName) &&
      (ref.port === undefined || spec.port === ref.port),
  )
  if (named.length === 0) return refuse('NoMatchingParent', `${parent} has no such listener`)
  const allowing = named.filter((one) => allows(one, document, context))
  if (allowing.length === 0) {
    const message = `no listener of ${parent} allows ${document.type}s of ${document.metadata.namespace}`
    return refuse('NotAllowedByListeners', message)
  }
  const siblings = siblingsOf(found[0], context.listeners)
  const parents = allowing.flatMap((listener): AcceptedParent[] => {
    const common = commonHosts(hostnamesOf(document), listener.spec.hostname)
    if (common.length === 0) return []
    const hosts = common.filter((host) => isMostSpecific(listener, host, siblings))
    return [{ kind: 'gateway', listener, hosts }]
  })
  if (parents.length === 0) {
    const message = `no listener of ${parent} has a host name in common with the route`
    return refuse('NoMatchingListenerHostname', message)
  }
  return accept(parents)
}

/** All served listeners of the gateway that an object's listeners belong to. */
function siblingsOf(owner: ListenerOwner, { byOwner }: Listeners): readonly JudgedListener[] {
  const gateway = byOwner.get(owner)?.[0]?.gateway
  return [...byOwner.values()].flat().filter((one) => one.gateway === gateway && one.isServed)
}

function hostnamesOf(document: RouteDocument): readonly string[] | undefined {
  return document.type === 'TCPRoute' ? undefined : document.spec.hostnames
}

function allows(
  { owner, spec, supportedKinds }: JudgedListener,
  document: RouteDocument,
  context: ParentContext,
): boolean {
  if (!supportedKinds.includes(document.type)) return false
  const { namespaces } = spec.allowedRoutes
  const { namespace } = document.metadata
  switch (namespaces.from) {
    case 'All':
      return true
    case 'Same':
      return namespace === owner.metadata.namespace
    case 'Selector':
      return selectsNamespace(namespaces.selector, namespace, context.namespaces)
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
  listener: JudgedListener,
  host: string,
  siblings: readonly JudgedListener[],
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

function accept(parents: readonly AcceptedParent[]): Verdict {
  const message = 'route accepted'
  return { parents, condition: { type: 'Accepted', status: true, reason: 'Accepted', message } }
}

function refuse(reason: string, message: string): Verdict {
  return { parents: [], condition: { type: 'Accepted', status: false, reason, message } }
}

export function renderParent(ref: ParentRef, namespace: string): string {
  const section = ref.sectionName === undefined ? '' : `/${ref.sectionName}`
  const port = ref.port === undefined ? '' : `:${ref.port}`
  return `${ref.kind} ${ref.namespace ?? namespace}/${ref.name}${section}${port}`
}
