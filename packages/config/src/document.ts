/**
 * One configuration object as people wrote it, with defaults filled in and
 * proven valid by itself. Field names and units are those of its kind; a
 * duration is still `"1.5s"`.
 */

import type { Origin } from '@weft/model'
import type { AuthorizationPolicy } from './kinds/authorization-policy.ts'
import type { BackendTlsPolicy, BackendTrafficPolicy } from './kinds/backend-policies.ts'
import type { DestinationRule } from './kinds/destination-rule.ts'
import type { Gateway } from './kinds/gateway.ts'
import type { GatewayClass, KubernetesGateway, ReferenceGrant } from './kinds/gateway-api.ts'
import type { GrpcRoute } from './kinds/grpc-route.ts'
import type { HttpRoute } from './kinds/http-route.ts'
import type {
  ConfigMap,
  EndpointSlice,
  Endpoints,
  Namespace,
  Pod,
  PodStatus,
  Secret,
  Service,
} from './kinds/kubernetes.ts'
import type { ListenerSet } from './kinds/listener-set.ts'
import type { PeerAuthentication } from './kinds/peer-authentication.ts'
import type { RateLimit } from './kinds/rate-limit.ts'
import type { RequestAuthentication } from './kinds/request-authentication.ts'
import type { ServiceEntry, WorkloadEntry } from './kinds/service-entry.ts'
import type { Sidecar } from './kinds/sidecar.ts'
import type { TcpRoute, TlsRoute } from './kinds/stream-routes.ts'
import type { TrafficPolicySpec } from './kinds/traffic-policy.ts'
import type { VirtualService } from './kinds/virtual-service.ts'

/** The specs by document type. Istio's and Gateway API's `Gateway` share a kind, so the type tells them apart. */
export interface Specs {
  readonly Service: Service
  readonly EndpointSlice: EndpointSlice
  readonly Endpoints: Endpoints
  readonly Namespace: Namespace
  readonly Pod: Pod
  readonly Secret: Secret
  readonly ConfigMap: ConfigMap
  readonly VirtualService: VirtualService
  readonly DestinationRule: DestinationRule
  /** Kind `Gateway` of networking.istio.io. */
  readonly IstioGateway: Gateway
  readonly ServiceEntry: ServiceEntry
  readonly WorkloadEntry: WorkloadEntry
  readonly Sidecar: Sidecar
  readonly AuthorizationPolicy: AuthorizationPolicy
  readonly RequestAuthentication: RequestAuthentication
  readonly PeerAuthentication: PeerAuthentication
  readonly GatewayClass: GatewayClass
  /** Kind `Gateway` of gateway.networking.k8s.io. */
  readonly KubernetesGateway: KubernetesGateway
  readonly ListenerSet: ListenerSet
  readonly HTTPRoute: HttpRoute
  readonly GRPCRoute: GrpcRoute
  readonly TLSRoute: TlsRoute
  readonly TCPRoute: TcpRoute
  readonly BackendTLSPolicy: BackendTlsPolicy
  readonly XBackendTrafficPolicy: BackendTrafficPolicy
  readonly ReferenceGrant: ReferenceGrant
  readonly RateLimit: RateLimit
  readonly TrafficPolicy: TrafficPolicySpec
}

export type DocumentType = keyof Specs

export interface DocumentOf<T extends DocumentType> {
  /** Discriminates the union. Equal to `kind` but for the two Gateways. */
  readonly type: T
  /** As written, e.g. `Gateway`. */
  readonly kind: string
  /** As written, e.g. `networking.istio.io/v1beta1`. */
  readonly apiVersion: string
  readonly metadata: ObjectMeta
  /**
   * The `spec`; for kinds without one (EndpointSlice, Endpoints,
   * Secret, ConfigMap) what stands beside `metadata`.
   */
  readonly spec: Specs[T]
  /** Written by clusters, not by people; checked for pods only. */
  readonly status?: T extends 'Pod' ? PodStatus : unknown
  readonly origin: Origin
  /** Line in the file, from 1, of a JSON path such as `spec.http[0]`, or of its nearest parent. */
  lineOf(path: string): number
}

export type Document = { [T in DocumentType]: DocumentOf<T> }[DocumentType]

export interface ObjectMeta {
  readonly name: string
  /** Empty for kinds that live in no namespace. */
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** RFC 3339; absent for objects from files. */
  readonly creationTimestamp?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
}

/** The documents of one type, typed. */
export function documentsOf<T extends DocumentType>(
  documents: readonly Document[],
  type: T,
): readonly DocumentOf<T>[] {
  return documents.filter(
    (document): document is Extract<Document, { type: T }> => document.type === type,
  ) as unknown as readonly DocumentOf<T>[]
}
