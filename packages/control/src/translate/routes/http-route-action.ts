/**
 * What a rule of an HTTPRoute does: redirect, or forward to its backends. A
 * reference that means nothing is answered with 500, as is every request of a
 * rule that leaves nothing to forward to.
 */
import { parseDurationMs } from '@weft/base'
import type { HttpBackendRef, HttpRouteFilter, HttpRouteRuleSpec } from '@weft/config'
import type {
  HashPolicy,
  Mirror,
  PathMatch,
  RespondAction,
  RetryCondition,
  RetryPolicy,
  RouteAction,
  WeightedTarget,
} from '@weft/model'
import type { HttpRouteAttachment } from '../../snapshot/gateway-api/attachment.ts'
import {
  hasUnusableFilter,
  isUnsupported,
  liftedFilters,
  usedRefs,
} from '../../snapshot/gateway-api/backend-filters.ts'
import { isGrpc } from '../../snapshot/gateway-api/grpc-form.ts'
import { repeatable } from '../../snapshot/retry-policy.ts'
import { policyFor } from '../clusters/applied-rule.ts'
import { headerModifier } from '../features/headers.ts'
import { hashPolicies } from '../features/load-balancer.ts'
import { pathModifier } from '../features/path-rewrite.ts'
import { gatewayRedirect } from '../features/redirect.ts'
import { INVALID_BACKEND_CLUSTER, outboundCluster } from '../names.ts'
import { asTargets, plainTarget } from './default-route.ts'
import type { RouteContext } from './route-context.ts'

const FAIL: RespondAction = { kind: 'respond', status: 500, body: '' }
/** A gRPC client reads 503 as UNAVAILABLE, which is what the specification wants. */
const UNAVAILABLE: RespondAction = { kind: 'respond', status: 503, body: '' }

export function httpRouteAction(
  attachment: HttpRouteAttachment,
  rule: HttpRouteRuleSpec,
  path: PathMatch,
  context: RouteContext,
): RouteAction {
  const filters = rule.filters ?? []
  // A filter that cannot be honoured must not be skipped: requests would go on unfiltered.
  const fail = isGrpc(attachment.document) ? UNAVAILABLE : FAIL
  if (filters.some(isUnsupported)) return fail
  const redirect = filters.find((filter) => filter.requestRedirect !== undefined)?.requestRedirect
  if (redirect !== undefined) return gatewayRedirect(redirect, path, context.port)
  const targets = asTargets(targetsOf(attachment, rule).filter(isValid))
  if (targets === undefined) return fail
  const lifted = liftedFilters(rule)
  const ofBackend = lifted.find((filter) => filter.requestRedirect !== undefined)?.requestRedirect
  if (ofBackend !== undefined) return gatewayRedirect(ofBackend, path, context.port)
  const rewrite = filters.find((filter) => filter.urlRewrite !== undefined)?.urlRewrite
  const rewriteOfBackend = lifted.find((filter) => filter.urlRewrite !== undefined)?.urlRewrite
  const pathRewrite = pathModifier(rewriteOfBackend?.path ?? rewrite?.path, path)
  const retry = retryOf(rule, attachment, context)
  return {
    kind: 'forward',
    targets,
    timeoutMs: durationMs(rule.timeouts?.request) ?? 0,
    ...(retry === undefined ? {} : { retry }),
    ...(rewrite?.hostname === undefined
      ? {}
      : { hostRewrite: { kind: 'literal', value: rewrite.hostname } }),
    ...(pathRewrite === undefined ? {} : { pathRewrite }),
    mirrors: mirrorsOf(attachment, [...filters, ...lifted]),
    hashPolicies: hashesOf(attachment, rule.backendRefs ?? [], context),
  }
}

/**
 * The share of a forwarding rule's requests, 0 to 100, that its weights give to
 * backends that mean nothing.
 */
export function invalidPercent(attachment: HttpRouteAttachment, rule: HttpRouteRuleSpec): number {
  const targets = targetsOf(attachment, rule)
  const sum = (list: readonly WeightedTarget[]) => list.reduce((all, { weight }) => all + weight, 0)
  const total = sum(targets)
  return total === 0 ? 0 : (100 * (total - sum(targets.filter(isValid)))) / total
}

function isValid({ cluster }: WeightedTarget): boolean {
  return cluster !== INVALID_BACKEND_CLUSTER
}

function targetsOf(
  attachment: HttpRouteAttachment,
  rule: HttpRouteRuleSpec,
): readonly WeightedTarget[] {
  return usedRefs(rule).map((ref) => targetOf(attachment, rule, ref))
}

function targetOf(
  attachment: HttpRouteAttachment,
  rule: HttpRouteRuleSpec,
  ref: HttpBackendRef,
): WeightedTarget {
  const filters = ref.filters ?? []
  const cluster = hasUnusableFilter(rule, ref)
    ? INVALID_BACKEND_CLUSTER
    : clusterOf(attachment, ref)
  const rewrite = filters.find((filter) => filter.urlRewrite !== undefined)?.urlRewrite
  const find = <K extends 'requestHeaderModifier' | 'responseHeaderModifier'>(kind: K) =>
    filters.find((filter) => filter[kind] !== undefined)?.[kind]
  return {
    ...plainTarget(cluster, ref.weight),
    requestHeaders: headerModifier(find('requestHeaderModifier')),
    responseHeaders: headerModifier(find('responseHeaderModifier')),
    ...(rewrite?.hostname === undefined
      ? {}
      : { hostRewrite: { kind: 'literal', value: rewrite.hostname } }),
  }
}

function clusterOf(
  { backends }: HttpRouteAttachment,
  ref: Parameters<HttpRouteAttachment['backends']['get']>[0],
): string {
  const backend = backends.get(ref)
  return backend?.kind === 'service'
    ? outboundCluster(backend.host, backend.port)
    : INVALID_BACKEND_CLUSTER
}

/** Every mirror filter of the rule and of its backends; one that names nothing copies nothing. */
function mirrorsOf(
  attachment: HttpRouteAttachment,
  filters: readonly HttpRouteFilter[],
): readonly Mirror[] {
  return filters.flatMap(({ requestMirror }) => {
    if (requestMirror === undefined) return []
    const cluster = clusterOf(attachment, requestMirror.backendRef)
    const { percent, fraction } = requestMirror
    const share =
      fraction === undefined ? (percent ?? 100) : (fraction.numerator / fraction.denominator) * 100
    return cluster === INVALID_BACKEND_CLUSTER || share <= 0 ? [] : [{ cluster, percent: share }]
  })
}

function hashesOf(
  { backends }: HttpRouteAttachment,
  refs: readonly HttpBackendRef[],
  { scope }: RouteContext,
): readonly HashPolicy[] {
  for (const ref of refs) {
    const backend = backends.get(ref)
    if (backend?.kind !== 'service') continue
    const service = scope.services.get(backend.host)
    if (service === undefined) continue
    const hashes = hashPolicies(policyFor(scope.ruleFor(service), backend.port).loadBalancer)
    if (hashes.length > 0) return hashes
  }
  return []
}

/** `retry` is the rule's own; `timeouts.backendRequest` limits each attempt either way. */
function retryOf(
  rule: HttpRouteRuleSpec,
  attachment: HttpRouteAttachment,
  { scope }: RouteContext,
): RetryPolicy | undefined {
  const perTryTimeoutMs = durationMs(rule.timeouts?.backendRequest) ?? 0
  const { defaultRetry } = scope.mesh
  if (rule.retry === undefined) {
    if (perTryTimeoutMs === 0) return defaultRetry
    return { ...(defaultRetry ?? NO_RETRY), perTryTimeoutMs }
  }
  const { codes = [], attempts = 1, backoff } = rule.retry
  const backoffBaseMs = durationMs(backoff) ?? 25
  const on: RetryCondition[] = ['connect-failure', 'refused-stream']
  return {
    on: codes.length === 0 ? on : [...on, 'retriable-status-codes'],
    statusCodes: codes,
    attempts,
    perTryTimeoutMs,
    backoffBaseMs,
    backoffMaxMs: backoffBaseMs * 10,
    avoidPreviousHosts: true,
    onlyWhen: repeatable(attachment.document.metadata.annotations),
  }
}

/** Carries only the limit of the one attempt there is. */
const NO_RETRY: RetryPolicy = {
  on: [],
  statusCodes: [],
  attempts: 0,
  perTryTimeoutMs: 0,
  backoffBaseMs: 25,
  backoffMaxMs: 250,
  avoidPreviousHosts: false,
  onlyWhen: [],
}

function durationMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDurationMs(text)
}
