/**
 * The `status` of Gateway API objects as the specification wants it written:
 * conditions with `observedGeneration`, and what each listener, parent or
 * ancestor says. Pure.
 */
import type { Document } from '@weft/config'
import type { Condition } from './object-status.ts'

const CONTROLLER_NAME = 'weft.io/gateway-controller'

/** What building the snapshot found out about the parts of an object. */
export type ObjectParts =
  | { readonly kind: 'class' }
  | {
      readonly kind: 'listeners'
      readonly listeners: readonly ListenerPart[]
      /** Only of Gateways. */
      readonly attachedListenerSets?: number
    }
  | { readonly kind: 'parents'; readonly parents: readonly ReferencePart[] }
  | { readonly kind: 'ancestors'; readonly ancestors: readonly ReferencePart[] }

interface ListenerPart {
  readonly name: string
  readonly supportedKinds: readonly string[]
  readonly attachedRoutes: number
  readonly isServed: boolean
  readonly conditions: readonly Condition[]
}

export interface ReferencePart {
  /** As written. */
  readonly ref: object
  readonly conditions: readonly Condition[]
}

/** Whether the data plane has what the object asks for. */
export interface Programming {
  readonly isProgrammed: boolean
  readonly message: string
}

/** Sorted, as the specification asks. */
const SUPPORTED_FEATURES = [
  'BackendTLSPolicy',
  'BackendTLSPolicySANValidation',
  'GRPCRoute',
  'GRPCRouteNamedRouteRule',
  'GRPCRouteRequestHeaderModifier',
  'Gateway',
  'GatewayFrontendClientCertificateValidation',
  'GatewayFrontendClientCertificateValidationInsecureFallback',
  'GatewayHTTPListenerIsolation',
  'GatewayPort8080',
  'HTTPRoute',
  'HTTPRoute303RedirectStatusCode',
  'HTTPRoute307RedirectStatusCode',
  'HTTPRoute308RedirectStatusCode',
  'HTTPRouteBackendProtocolH2C',
  'HTTPRouteBackendProtocolWebSocket',
  'HTTPRouteBackendRequestHeaderModification',
  'HTTPRouteBackendTimeout',
  'HTTPRouteCORS',
  'HTTPRouteDestinationPortMatching',
  'HTTPRouteHostRewrite',
  'HTTPRouteMethodMatching',
  'HTTPRouteNamedRouteRule',
  'HTTPRouteParentRefPort',
  'HTTPRoutePathRedirect',
  'HTTPRoutePathRewrite',
  'HTTPRoutePortRedirect',
  'HTTPRouteQueryParamMatching',
  'HTTPRouteRequestMirror',
  'HTTPRouteRequestMultipleMirrors',
  'HTTPRouteRequestPercentageMirror',
  'HTTPRouteRequestTimeout',
  'HTTPRouteResponseHeaderModification',
  'HTTPRouteRetry',
  'HTTPRouteRetryConnectionError',
  'HTTPRouteSchemeRedirect',
  'ListenerSet',
  'Mesh',
  'MeshConsumerRoute',
  'MeshHTTPRouteBackendRequestHeaderModification',
  'MeshHTTPRouteNamedRouteRule',
  'MeshHTTPRouteQueryParamMatching',
  'MeshHTTPRouteRedirectPath',
  'MeshHTTPRouteRedirectPort',
  'MeshHTTPRouteRewritePath',
  'MeshHTTPRouteSchemeRedirect',
  'ReferenceGrant',
  'TCPRoute',
  'TLSRoute',
  'TLSRouteModeMixed',
  'TLSRouteModeTerminate',
] as const

interface WrittenCondition {
  readonly type: string
  readonly status: 'True' | 'False'
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
}

/** @param own Conditions of the object itself, not of its parts. */
export function gatewayApiStatus(
  document: Document,
  parts: ObjectParts,
  own: readonly Condition[],
  programming: Programming,
): Readonly<Record<string, unknown>> {
  const { generation } = document.metadata
  const write = (conditions: readonly Condition[]): readonly WrittenCondition[] =>
    conditions.map(({ type, status, reason, message }) => ({
      type,
      status: status ? 'True' : 'False',
      reason,
      message,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
    }))
  const references = (list: readonly ReferencePart[], field: string) =>
    list.map(({ ref, conditions }) => ({
      [field]: ref,
      controllerName: CONTROLLER_NAME,
      conditions: write(conditions),
    }))
  switch (parts.kind) {
    case 'class':
      return {
        conditions: write(own),
        supportedFeatures: SUPPORTED_FEATURES.map((name) => ({ name })),
      }
    case 'parents':
      return { parents: references(parts.parents, 'parentRef') }
    case 'ancestors':
      return { ancestors: references(parts.ancestors, 'ancestorRef') }
    case 'listeners':
      return {
        conditions: write(own),
        ...(parts.attachedListenerSets === undefined
          ? {}
          : { attachedListenerSets: parts.attachedListenerSets }),
        listeners: parts.listeners.map((listener) => ({
          name: listener.name,
          supportedKinds: listener.supportedKinds.map((kind) => ({
            group: 'gateway.networking.k8s.io',
            kind,
          })),
          attachedRoutes: listener.attachedRoutes,
          conditions: write([...listener.conditions, programmedListener(listener, programming)]),
        })),
      }
  }
}

function programmedListener(
  { isServed, conditions }: ListenerPart,
  { isProgrammed, message }: Programming,
): Condition {
  if (!isServed) {
    const cause = conditions.find(
      ({ type, status, reason }) =>
        (type === 'Conflicted' && status) || (type === 'Accepted' && reason === 'PortUnavailable'),
    )
    const why = cause?.message ?? 'the listener is not served'
    const reason = cause?.reason ?? 'Invalid'
    return { type: 'Programmed', status: false, reason, message: why }
  }
  const reason = isProgrammed ? 'Programmed' : 'Pending'
  return { type: 'Programmed', status: isProgrammed, reason, message }
}
