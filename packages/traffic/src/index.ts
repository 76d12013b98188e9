export { type KeySet, parseKeySet, type VerificationKey } from './authn/json-web-keys.ts'
export { type JwtAcceptance, JwtJudge, type JwtRefusal } from './authn/jwt-judge.ts'
export { ProviderVerifier } from './authn/provider-verifier.ts'
export { type FetchedKeys, RemoteKeys } from './authn/remote-keys.ts'
export type { TokenCall } from './authn/token-places.ts'
export {
  hasKeyFor,
  isIssuerOf,
  type ParsedJwt,
  parseJwt,
  type TokenProblem,
  tokenKey,
  tokenProblemText,
  type UnverifiedJwt,
  type VerifiedJwt,
  verifyJwt,
} from './authn/verify-token.ts'
export type { Caller, CallerRequest, VerifiedToken } from './authz/caller.ts'
export {
  type CompiledRbac,
  compileRbac,
  decideRbac,
  explainRbac,
  type PolicyTrace,
  type RbacDecision,
} from './authz/evaluate.ts'
export { templatePattern } from './authz/path-template.ts'
export { type AttemptResult, ClusterHosts, type ClusterHostsDeps } from './cluster-hosts.ts'
export { GradientController } from './concurrency/gradient-controller.ts'
export { ConfigError } from './config-error.ts'
export { CreditWindow } from './credit-window.ts'
export { type FaultDecision, rollFault } from './fault.ts'
export { type HashFacts, type HashResult, hashRequest } from './hash-policy.ts'
export { type FieldChanges, isFieldValue } from './headers/field-changes.ts'
export { type HeaderOp, NO_HEADER_OPS } from './headers/header-ops.ts'
export { type HeaderContext, type HeaderTemplate, renderTemplate } from './headers/template.ts'
export { type CheckOutcome, HealthState } from './health-state.ts'
export { LatencyQuantiles } from './latency-quantiles.ts'
export { ClusterLimits, type LimitedResource } from './limits.ts'
export {
  type ClusterBalancer,
  type ClusterBalancerConfig,
  createClusterBalancer,
  DEFAULT_PANIC_PERCENT,
} from './load-balancers/cluster-balancer.ts'
export { Host } from './load-balancers/host.ts'
export { type BalancerDeps, FIRST_PICK, type PickRequest } from './load-balancers/load-balancer.ts'
export type { LatencySample } from './load-balancers/peak-ewma.ts'
export { mirrorsOf } from './mirror.ts'
export { createOutlierDetector, type OutlierDetector, type OutlierTotals } from './outlier.ts'
export { type OutlierEvent, type OutlierReason, outlierEventOf } from './outlier-state.ts'
export { type BrokerPlace, pickBrokers, placeLinks } from './pick-brokers.ts'
export {
  type CountedDescriptor,
  countedDescriptorsOf,
  type Descriptor,
  type DescriptorFacts,
  descriptorsOf,
} from './rate-limit/descriptors.ts'
export {
  checkGlobalLimit,
  type GlobalLimitCheck,
  type GlobalVerdict,
  globalLimitKey,
  isLeasedLimit,
} from './rate-limit/global-limit.ts'
export { type LeaseSource, Leases, type LeaseVerdict } from './rate-limit/leases.ts'
export { counted, type LimitGrant, LocalLimiter } from './rate-limit/local-limiter.ts'
export {
  type AttemptOutcome,
  type GiveUpReason,
  isRetriable,
  isUnprocessed,
  mayRepeatRequest,
  type RetryDecision,
  type RetryFacts,
  resetDelayMs,
  retryDecision,
  retryDelayMs,
} from './retry.ts'
export { DEFAULT_RETRY_BUDGET } from './retry-budget.ts'
export { withRetryHeaders } from './retry-headers.ts'
export { compileRouteTable } from './route/compile.ts'
export type {
  CompiledAction,
  CompiledForward,
  CompiledRedirect,
  CompiledRespond,
  CompiledRoute,
  CompiledRouteTable,
  CompiledTarget,
  CompiledVirtualHost,
  MatchedDecision,
  NoRouteDecision,
  NoVirtualHostDecision,
  RouteDecision,
} from './route/compiled.ts'
export { matchRoute } from './route/match.ts'
export { redirectLocation } from './route/redirect.ts'
export { rewriteAuthority, rewritePath } from './route/rewrite.ts'
export {
  type CandidateTrace,
  createRouteTrace,
  type PredicateTrace,
  type RouteTrace,
  renderRouteTrace,
} from './route/trace.ts'
export { pickTarget } from './route/weighted.ts'
export { sessionAddressOf, sessionCookieValue, sessionHeaderValue } from './session-address.ts'
export { canonicalPath } from './text/canonical-path.ts'
export { matchText, TextMatcher } from './text/text-matcher.ts'
export { type RequestTimeouts, timeoutsOf } from './timeouts.ts'
