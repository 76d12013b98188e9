export { isUnixSocket, renderAddress, type SocketAddress, unixSocketOf } from './address.ts'
export type {
  JwtAuthentication,
  JwtKeySource,
  JwtProvider,
  JwtRequirement,
  JwtTokenSource,
} from './authentication.ts'
export type {
  ClaimPredicate,
  MetadataPredicate,
  MetadataValue,
  NetworkRbac,
  Permission,
  Principal,
  RbacFilter,
  RbacPolicy,
  RbacRules,
  RequestPredicate,
} from './authorization.ts'
export {
  type CircuitLimits,
  type Cluster,
  type Discovery,
  type LoadBalancer,
  type LocalityBalancing,
  NO_LIMITS,
  type OutlierDetection,
  type ProxyTlvs,
  type RetryBudget,
  type ServiceRef,
  type SlowStart,
  type TcpKeepalive,
  type UpstreamHttp,
} from './cluster.ts'
export type {
  Endpoint,
  EndpointHealth,
  EndpointPath,
  Endpoints,
  LocalityEndpoints,
  WorkloadRef,
} from './endpoint.ts'
export type {
  AuthorizationService,
  ExternalAuthorization,
  MetadataCondition,
} from './external-authorization.ts'
export type { HealthCheck, HealthProbe } from './health-check.ts'
export type {
  AdaptiveConcurrency,
  Compression,
  CsrfPolicy,
  DescriptorEntry,
  FilterOverrides,
  HitsAddend,
  HttpFilterConfig,
  HttpFilterName,
  LimitOverride,
  LimitUnit,
  LocalRateLimit,
  RateLimitAction,
  RateLimitActions,
  RateLimitService,
  SessionPersistence,
  TokenBucket,
} from './http-filter.ts'
export { LIMIT_UNITS } from './http-filter.ts'
export {
  type ParsedSpiffeId,
  parseSpiffeId,
  renderSpiffeId,
  type ServiceAccountRef,
  type SpiffeId,
  serviceAccountId,
  serviceAccountOf,
  trustDomainProblem,
} from './identity.ts'
export {
  type AccessLogFields,
  type AccessLogFilter,
  type AccessLogTarget,
  type AccessLogValue,
  type FilterChain,
  type FilterChainMatch,
  type ForwardClientCert,
  type Http2Settings,
  type HttpConnectionManager,
  type Listener,
  MATCH_ALL,
  type ProxyHeaderRules,
  type RouteSource,
  type TcpProxy,
  type TlvChoice,
  type TlvMetadata,
} from './listener.ts'
export { type Locality, NO_LOCALITY } from './locality.ts'
export {
  isUnknownLogFact,
  LOG_OPERATOR,
  LOG_OPERATORS,
  logOperatorProblem,
  logOperatorsProblem,
} from './log-operators.ts'
export type { HeaderMatch, PathMatch, QueryMatch, StringMatch } from './matcher.ts'
export { type Origin, renderOrigin } from './origin.ts'
export type { RequestView } from './request.ts'
export type { ResourceSet, Resources, ResourceType } from './resource.ts'
export {
  type ClaimMatch,
  type CorsPolicy,
  type Fault,
  type ForwardAction,
  type HashPolicy,
  type HeaderChanges,
  type HeaderValue,
  type HedgePolicy,
  type HostRewrite,
  type Mirror,
  NO_HEADER_CHANGES,
  type PathRewrite,
  RETRY_CONDITIONS,
  type RedirectAction,
  type ResetBackoff,
  type RespondAction,
  type RetryCondition,
  type RetryPolicy,
  type Route,
  type RouteAction,
  type RouteMatch,
  type RouteTable,
  SAFE_RETRY,
  type VirtualHost,
  type WeightedTarget,
} from './route.ts'
export type {
  DownstreamTls,
  Secret,
  SubjectAltNameMatch,
  TlsParameters,
  TlsVersion,
  TrustDomainRoots,
  UpstreamTls,
} from './tls.ts'
export type { OfferedPort, ProxyRole, Workload } from './workload.ts'
