export { type AnalyzeOptions, analyze } from './analyze/analyze.ts'
export {
  type Document,
  type DocumentOf,
  type DocumentType,
  documentsOf,
  type ObjectMeta,
  type Specs,
} from './document.ts'
export type {
  AuthorizationOperation,
  AuthorizationPolicy,
  AuthorizationRule,
  AuthorizationSource,
} from './kinds/authorization-policy.ts'
export type { BackendTlsPolicy, BackendTrafficPolicy } from './kinds/backend-policies.ts'
export type {
  ClientTlsSettings,
  ConnectionPoolSettings,
  DestinationRule,
  LoadBalancerSettings,
  LocalityLbSettings,
  OutlierDetectionSettings,
  PortTrafficPolicy,
  Subset,
  TrafficPolicy,
} from './kinds/destination-rule.ts'
export type { Gateway, GatewayServer, ServerTlsSettings } from './kinds/gateway.ts'
export type {
  GatewayClass,
  KubernetesGateway,
  KubernetesListener,
  ReferenceGrant,
} from './kinds/gateway-api.ts'
export type { GrpcRoute, GrpcRouteMatch, GrpcRouteRule } from './kinds/grpc-route.ts'
export type {
  HttpBackendRef,
  HttpRoute,
  HttpRouteMatch,
  HttpRouteRuleSpec,
} from './kinds/http-route.ts'
export type { HttpRouteFilter } from './kinds/http-route-filters.ts'
export type {
  ConfigMap,
  EndpointSlice,
  Endpoints,
  Namespace,
  Pod,
  PodStatus,
  Secret,
  Service,
  ServicePort,
  SliceEndpoint,
  SlicePort,
} from './kinds/kubernetes.ts'
export type { ListenerSet } from './kinds/listener-set.ts'
export type { MeshConfig } from './kinds/mesh-config.ts'
export type { ParentRef } from './kinds/parent-refs.ts'
export type { PeerAuthentication } from './kinds/peer-authentication.ts'
export type { PolicyTarget } from './kinds/policy-target.ts'
export type { RateLimit, RequestLimit } from './kinds/rate-limit.ts'
export type { JwtRule, RequestAuthentication } from './kinds/request-authentication.ts'
export type { SecurityTarget, SecurityTargetRef } from './kinds/security-target.ts'
export type { ServiceEntry, ServiceEntryPort, WorkloadEntry } from './kinds/service-entry.ts'
export type { GatewaySessionPersistence } from './kinds/session-persistence.ts'
export type { Sidecar, SidecarEgress, SidecarIngress } from './kinds/sidecar.ts'
export type { StreamRouteRule, TcpRoute, TlsRoute } from './kinds/stream-routes.ts'
export type { TrafficPolicySpec } from './kinds/traffic-policy.ts'
export type {
  Destination,
  HeaderOperations,
  HttpMatch,
  HttpRouteRule,
  RouteDestination,
  StringMatch,
  TcpRouteRule,
  TlsRouteRule,
  VirtualService,
} from './kinds/virtual-service.ts'
export {
  type ParsedObject,
  type ParsedText,
  type ParseOptions,
  parseDocuments,
  type SkippedObject,
} from './parse.ts'
export type { ObjectRef, Problem, Severity } from './problem.ts'
export { MESH_CONFIG_MAP, readMeshConfig } from './read-mesh-config.ts'
export { renderProblems } from './render-problems.ts'
export { LOAD_BALANCER_ANNOTATION } from './rules/load-balancer.ts'
export { type PathOrder, readPaths } from './rules/paths.ts'
export { nearest } from './schema/suggest.ts'
export { type SourceText, type Validation, validateDocuments } from './validate.ts'
