/**
 * Gateways of Gateway API: which are ours, which listeners they have of their own
 * and from ListenerSets, which of these can be served, and how.
 */
import { type Document, type DocumentOf, documentsOf, type KubernetesListener } from '@weft/config'
import type { Secret } from '@weft/model'
import type { Condition } from '../../status/object-status.ts'
import { selectsNamespace } from '../label-selector.ts'
import { secretName } from '../secrets.ts'
import { GATEWAY_API, isReferencePermitted } from './backend.ts'
import type { CertificateAuthorities } from './certificate-authorities.ts'
import { findConflicts, type ListenerConflict, type MergedListener } from './listener-conflicts.ts'
import { judgeListenerSet } from './listener-sets.ts'
import { frontendValidation, judgeTls, type ListenerTls } from './listener-tls.ts'
import { kindsOfProtocol, type RouteType, supportedKinds, unsupportedKinds } from './route-kinds.ts'
import { withTlsOverlap } from './tls-overlap.ts'

export type ListenerOwner = DocumentOf<'KubernetesGateway'> | DocumentOf<'ListenerSet'>

/** A listener of one of our gateways, served or not. */
export interface JudgedListener {
  readonly gateway: DocumentOf<'KubernetesGateway'>
  readonly owner: ListenerOwner
  readonly index: number
  readonly spec: KubernetesListener
  readonly supportedKinds: readonly RouteType[]
  readonly conditions: readonly Condition[]
  /** Whether connections are taken. */
  readonly isServed: boolean
  /** For listeners that terminate TLS. */
  readonly tls?: ListenerTls
}

const OUR_CONTROLLERS = new Set(['weft.io/gateway-controller', 'istio.io/gateway-controller'])
/** Classes that need no GatewayClass object. */
const OUR_CLASSES = new Set(['weft', 'istio'])

export interface Listeners {
  readonly gateways: ReadonlySet<DocumentOf<'KubernetesGateway'>>
  /** Of every gateway and ListenerSet of ours, in the order written. */
  readonly byOwner: ReadonlyMap<ListenerOwner, readonly JudgedListener[]>
  /** Accepted sets by gateway. */
  readonly sets: ReadonlyMap<DocumentOf<'KubernetesGateway'>, readonly DocumentOf<'ListenerSet'>[]>
  /** Sets that their gateway does not allow. */
  readonly refusedSets: readonly DocumentOf<'ListenerSet'>[]
  readonly served: readonly JudgedListener[]
  /** SDS names of the certificates that gateways show to backends. */
  readonly clientCertificates: ReadonlyMap<DocumentOf<'KubernetesGateway'>, string>
  readonly conditions: ReadonlyMap<Document, readonly Condition[]>
}

export interface ListenersContext {
  readonly secrets: ReadonlyMap<string, Secret>
  readonly namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>
  readonly authorities: CertificateAuthorities
}

/** @param documents In order of precedence. */
export function servedListeners(
  documents: readonly Document[],
  context: ListenersContext,
): Listeners {
  const classes = new Map(
    documentsOf(documents, 'GatewayClass').map((one) => [one.metadata.name, one.spec]),
  )
  const grants = documentsOf(documents, 'ReferenceGrant')
  const gateways = new Set<DocumentOf<'KubernetesGateway'>>()
  const byOwner = new Map<ListenerOwner, readonly JudgedListener[]>()
  const conditions = new Map<Document, readonly Condition[]>()
  const clientCertificates = new Map<DocumentOf<'KubernetesGateway'>, string>()
  const sets = new Map<DocumentOf<'KubernetesGateway'>, readonly DocumentOf<'ListenerSet'>[]>()
  const refusedSets: DocumentOf<'ListenerSet'>[] = []
  for (const gateway of documentsOf(documents, 'KubernetesGateway')) {
    const name = gateway.spec.gatewayClassName
    const controller = classes.get(name)?.controllerName
    if (controller === undefined ? !OUR_CLASSES.has(name) : !OUR_CONTROLLERS.has(controller)) {
      continue
    }
    gateways.add(gateway)
    const allowed: DocumentOf<'ListenerSet'>[] = []
    for (const set of documentsOf(documents, 'ListenerSet').filter((one) => isOf(one, gateway))) {
      if (isSetAllowed(gateway, set, context.namespaces)) allowed.push(set)
      else {
        conditions.set(set, [NOT_ALLOWED])
        refusedSets.push(set)
      }
    }
    const merged = [gateway, ...allowed].flatMap((owner) =>
      owner.spec.listeners.map((spec, index) => ({ owner, spec, index })),
    )
    const isRefused = gateway.spec.infrastructure?.parametersRef !== undefined
    const conflicts = findConflicts(merged)
    const judged = merged
      .map((own, i) => judgeListener(gateway, own, conflicts[i], { ...context, grants }))
      .map((one) => (isRefused ? { ...one, isServed: false } : one))
      .map(withTlsOverlap)
    for (const owner of [gateway, ...allowed]) {
      byOwner.set(
        owner,
        judged.filter((one) => one.owner === owner),
      )
    }
    const accepted = allowed.filter((set) => byOwner.get(set)?.some(({ isServed }) => isServed))
    sets.set(gateway, accepted)
    for (const set of allowed) {
      conditions.set(set, isRefused ? [PARENT_REFUSED] : judgeListenerSet(byOwner.get(set) ?? []))
    }
    const client = clientCertificateOf(gateway, context.secrets, grants)
    if (client.name !== undefined) clientCertificates.set(gateway, client.name)
    const own = byOwner.get(gateway) ?? []
    conditions.set(gateway, [...gatewayConditions(gateway, own), ...client.conditions])
  }
  const served = [...byOwner.values()].flat().filter(({ isServed }) => isServed)
  return { gateways, byOwner, sets, refusedSets, served, clientCertificates, conditions }
}

/** Whether a class is handled by this control plane. */
export function isOurController(name: string): boolean {
  return OUR_CONTROLLERS.has(name)
}

const NOT_ALLOWED: Condition = {
  type: 'Accepted',
  status: false,
  reason: 'NotAllowed',
  message: 'the Gateway does not allow ListenerSets of this namespace',
}

const PARENT_REFUSED: Condition = {
  type: 'Accepted',
  status: false,
  reason: 'ParentNotAccepted',
  message: 'the Gateway is not accepted',
}

function isOf({ spec, metadata }: DocumentOf<'ListenerSet'>, gateway: ListenerOwner): boolean {
  const { group, kind, name, namespace = metadata.namespace } = spec.parentRef
  return (
    group === GATEWAY_API &&
    kind === 'Gateway' &&
    name === gateway.metadata.name &&
    namespace === gateway.metadata.namespace
  )
}

function isSetAllowed(
  gateway: DocumentOf<'KubernetesGateway'>,
  set: DocumentOf<'ListenerSet'>,
  namespaces: ListenersContext['namespaces'],
): boolean {
  const { from, selector } = gateway.spec.allowedListeners?.namespaces ?? { from: 'None' }
  const { namespace } = set.metadata
  switch (from) {
    case 'None':
      return false
    case 'All':
      return true
    case 'Same':
      return namespace === gateway.metadata.namespace
    case 'Selector':
      return selectsNamespace(selector, namespace, namespaces)
  }
}

interface JudgeContext extends ListenersContext {
  readonly grants: readonly DocumentOf<'ReferenceGrant'>[]
}

function judgeListener(
  gateway: DocumentOf<'KubernetesGateway'>,
  own: MergedListener & { readonly owner: ListenerOwner; readonly index: number },
  conflict: ListenerConflict | undefined,
  context: JudgeContext,
): JudgedListener {
  const { owner, spec, index } = own
  const where = `listener ${spec.name}`
  const kinds = supportedKinds(spec)
  const isKnown = kindsOfProtocol(spec).length > 0
  const terminates = spec.protocol === 'HTTPS' || isTerminated(spec)
  const judgedTls = terminates ? judgeTls(gateway, owner, spec, context) : { faults: [] }
  const wrongKinds = unsupportedKinds(spec)
  const accepted = ((): Omit<Condition, 'where'> => {
    if (!isKnown) {
      const message = `protocol ${spec.protocol} is not served`
      return { type: 'Accepted', status: false, reason: 'UnsupportedProtocol', message }
    }
    if (conflict !== undefined) {
      const message = CONFLICTS[conflict]
      return { type: 'Accepted', status: false, reason: conflict, message }
    }
    const fault = judgedTls.faults.find(({ type }) => type === 'Accepted')
    return fault ?? ok('Accepted', 'Accepted', 'listener accepted')
  })()
  const refs =
    judgedTls.faults.find(({ type }) => type === 'ResolvedRefs') ??
    (isKnown && wrongKinds.length > 0
      ? {
          type: 'ResolvedRefs' as const,
          status: false,
          reason: 'InvalidRouteKinds',
          message: `${spec.protocol} listeners carry no ${wrongKinds.join(', ')}`,
        }
      : ok('ResolvedRefs', 'ResolvedRefs', 'all references resolve'))
  const conflicted: Omit<Condition, 'where'> =
    conflict === undefined
      ? { type: 'Conflicted', status: false, reason: 'NoConflicts', message: 'no conflicts' }
      : { type: 'Conflicted', status: true, reason: conflict, message: CONFLICTS[conflict] }
  const tls = 'tls' in judgedTls ? judgedTls.tls : undefined
  return {
    gateway,
    owner,
    index,
    spec,
    supportedKinds: kinds,
    conditions: [accepted, conflicted, refs].map((one) => ({ ...one, where })),
    isServed: accepted.status && kinds.length > 0 && (!terminates || tls !== undefined),
    ...(tls === undefined ? {} : { tls }),
  }
}

function isTerminated({ protocol, tls }: KubernetesListener): boolean {
  return protocol === 'TLS' && tls?.mode === 'Terminate'
}

const CONFLICTS = {
  ProtocolConflict: 'another listener of the port has a protocol that cannot share it',
  HostnameConflict: 'another listener has the same port and host name',
} as const

function ok(type: Condition['type'], reason: string, message: string): Condition {
  return { type, status: true, reason, message }
}

/** What the gateway shows of itself to backends that ask for a certificate. */
function clientCertificateOf(
  gateway: DocumentOf<'KubernetesGateway'>,
  secrets: ReadonlyMap<string, Secret>,
  grants: readonly DocumentOf<'ReferenceGrant'>[],
): { readonly name?: string; readonly conditions: readonly Condition[] } {
  const ref = gateway.spec.tls?.backend?.clientCertificateRef
  if (ref === undefined) return { conditions: [] }
  const namespace = ref.namespace ?? gateway.metadata.namespace
  const from = { group: GATEWAY_API, kind: 'Gateway', namespace: gateway.metadata.namespace }
  const name = secretName(namespace, ref.name)
  const refuse = (reason: string, message: string) => ({
    conditions: [{ type: 'ResolvedRefs' as const, status: false, reason, message }],
  })
  if (!isReferencePermitted(from, { ...ref, namespace }, grants)) {
    return refuse('RefNotPermitted', `secret ${namespace}/${ref.name} is not granted`)
  }
  if (ref.group !== '' || ref.kind !== 'Secret' || secrets.get(name)?.kind !== 'certificate') {
    const message = `secret ${namespace}/${ref.name} does not exist or holds no certificate`
    return refuse('InvalidClientCertificateRef', message)
  }
  return { name, conditions: [ok('ResolvedRefs', 'ResolvedRefs', 'all references resolve')] }
}

function gatewayConditions(
  gateway: DocumentOf<'KubernetesGateway'>,
  own: readonly JudgedListener[],
): readonly Condition[] {
  const parameters = gateway.spec.infrastructure?.parametersRef
  if (parameters !== undefined) {
    const message = `parameters of kind ${parameters.group}/${parameters.kind} are not supported`
    const refused = {
      type: 'Accepted',
      status: false,
      reason: 'InvalidParameters',
      message,
    } as const
    return [refused, ...own.flatMap((one) => one.conditions)]
  }
  const bad = own.filter(({ isServed }) => !isServed).length
  const accepted: Condition =
    bad === 0
      ? ok('Accepted', 'Accepted', 'gateway accepted')
      : {
          type: 'Accepted',
          status: bad < own.length,
          reason: 'ListenersNotValid',
          message: `${bad} of ${own.length} listeners are not served`,
        }
  const isInsecure = own.some(
    ({ spec, tls }) =>
      tls !== undefined && frontendValidation(gateway, spec.port)?.mode === 'AllowInsecureFallback',
  )
  const insecure: Condition = {
    type: 'InsecureFrontendValidationMode',
    status: true,
    reason: 'ConfigurationChanged',
    message: 'clients without a valid certificate are let in',
  }
  return [accepted, ...(isInsecure ? [insecure] : []), ...own.flatMap((one) => one.conditions)]
}
