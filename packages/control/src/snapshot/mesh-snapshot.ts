/**
 * The whole mesh at one moment: immutable, indexed, and sharing with the moment
 * before whatever did not change, so that translation can recognise its inputs
 * by identity.
 */
import type { DocumentOf } from '@weft/config'
import type { Secret } from '@weft/model'
import type { DefinedService, MeshService, ServiceInstance } from '../registries/registry.ts'
import type { ObjectParts } from '../status/gateway-api-status.ts'
import type { Condition } from '../status/object-status.ts'
import type { HttpRouteAttachment, StreamRouteAttachment } from './gateway-api/attachment.ts'
import type { BackendPolicies } from './gateway-api/backend-policies.ts'
import type { JudgedListener, ListenerOwner } from './gateway-api/listeners.ts'
import type { MeshSettings } from './mesh-settings.ts'
import type { BoundVirtualService } from './virtual-services.ts'

export interface MeshSnapshot {
  /** Content hash of everything below: equal on every replica, and equal again when a change is undone. */
  readonly generation: string
  /** As `generation`, without instances: unchanged when only endpoints moved. */
  readonly shape: string
  readonly mesh: MeshSettings
  /** By fully qualified host. */
  readonly services: ReadonlyMap<string, MeshService>
  /** By fully qualified host; absent or empty: nobody answers. */
  readonly instances: ReadonlyMap<string, readonly ServiceInstance[]>
  /** What namespaces define for themselves where `services` has another definition of the host. */
  readonly rivals: ReadonlyMap<string, readonly DefinedService[]>
  /** Labels by namespace. */
  readonly namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>
  /** In order of precedence, each in its last form whose references resolve. */
  readonly virtualServices: readonly BoundVirtualService[]
  /** In order of precedence. */
  readonly destinationRules: readonly DocumentOf<'DestinationRule'>[]
  /** In order of precedence. */
  readonly sidecars: readonly DocumentOf<'Sidecar'>[]
  /** In order of precedence; the same list while none of them changes. */
  readonly peerAuthentications: readonly DocumentOf<'PeerAuthentication'>[]
  /** In order of precedence. */
  readonly istioGateways: readonly DocumentOf<'IstioGateway'>[]
  /** Listeners of Gateway API gateways that are ours and accepted. */
  readonly listeners: readonly JudgedListener[]
  /** HTTPRoutes and GRPCRoutes with what each parent said. In order of precedence. */
  readonly httpRoutes: readonly HttpRouteAttachment[]
  /** TLSRoutes and TCPRoutes. In order of precedence. */
  readonly streamRoutes: readonly StreamRouteAttachment[]
  /** Weft's own policies, in order of precedence. */
  readonly rateLimits: readonly DocumentOf<'RateLimit'>[]
  readonly trafficPolicies: readonly DocumentOf<'TrafficPolicy'>[]
  /** In order of precedence. */
  readonly authorizationPolicies: readonly DocumentOf<'AuthorizationPolicy'>[]
  readonly requestAuthentications: readonly DocumentOf<'RequestAuthentication'>[]
  /** TLS material by `kubernetes://<namespace>/<name>`. */
  readonly secrets: ReadonlyMap<string, Secret>
  /** What building found out about objects, by `objectKey`. */
  readonly conditions: ReadonlyMap<string, readonly Condition[]>
  /** What parts of Gateway API objects say, by `objectKey`. */
  readonly parts: ReadonlyMap<string, ObjectParts>
  /** Gateway API's policies for calls to a Service. */
  readonly backendPolicies: BackendPolicies
  /** SDS names of what Gateway API's gateways show to backends, by `objectKey`. */
  readonly clientCertificates: ReadonlyMap<string, string>
  /** Gateway API's gateways and listener sets that the snapshot was made from. */
  readonly gateways: ReadonlyMap<string, ListenerOwner>
}

/** `VirtualService/default/reviews`; the Gateway of Gateway API is `KubernetesGateway/…`. */
export function objectKey(type: string, namespace: string, name: string): string {
  return `${type}/${namespace}/${name}`
}
