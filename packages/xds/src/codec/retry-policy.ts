/** Retry policies ⇄ Envoy's `RetryPolicy`. */
import {
  RETRY_CONDITIONS,
  type ResetBackoff,
  type RetryCondition,
  type RetryPolicy,
} from '@weft/model'
import {
  type RetryPolicy_RateLimitedRetryBackOffSchema,
  RetryPolicy_ResetHeaderFormat,
  type RetryPolicy as RetryPolicyProto,
  RetryPolicySchema,
} from '../gen/envoy/config/route/v3/route_components_pb.js'
import { PreviousHostsPredicateSchema } from '../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js'
import { decodeHeaderMatch, encodeHeaderMatch } from './matchers.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeDuration, encodeDuration, type Init, packAny, unpackAny } from './values.ts'

const PREVIOUS_HOSTS = 'envoy.retry_host_predicates.previous_hosts'
/** How often Envoy picks again when it picked a host that was tried; Istio's value. */
const HOST_SELECTION_ATTEMPTS = 5n
/** Envoy's defaults, in milliseconds; the maximum is ten times the base. */
const DEFAULT_BACKOFF_BASE_MS = 25

export function encodeRetryPolicy(policy: RetryPolicy): Init<typeof RetryPolicySchema> {
  return {
    retryOn: policy.on.join(','),
    numRetries: policy.attempts,
    retriableStatusCodes: [...policy.statusCodes],
    ...(policy.perTryTimeoutMs === 0
      ? {}
      : { perTryTimeout: encodeDuration(policy.perTryTimeoutMs) }),
    retryBackOff: {
      baseInterval: encodeDuration(policy.backoffBaseMs),
      maxInterval: encodeDuration(policy.backoffMaxMs),
    },
    ...(policy.resetBackoff === undefined
      ? {}
      : { rateLimitedRetryBackOff: encodeReset(policy.resetBackoff) }),
    retriableHeaders: (policy.answerHeaders ?? []).map(encodeHeaderMatch),
    ...(policy.avoidPreviousHosts
      ? {
          retryHostPredicate: [
            {
              name: PREVIOUS_HOSTS,
              configType: {
                case: 'typedConfig',
                value: packAny(PreviousHostsPredicateSchema, {}),
              },
            },
          ],
          hostSelectionRetryMaxAttempts: HOST_SELECTION_ATTEMPTS,
        }
      : {}),
    retriableRequestHeaders: policy.onlyWhen.map(encodeHeaderMatch),
  }
}

function encodeReset({
  headers,
  maxMs,
}: ResetBackoff): Init<typeof RetryPolicy_RateLimitedRetryBackOffSchema> {
  return {
    resetHeaders: headers.map(({ name, format }) => ({
      name,
      format:
        format === 'seconds'
          ? RetryPolicy_ResetHeaderFormat.SECONDS
          : RetryPolicy_ResetHeaderFormat.UNIX_TIMESTAMP,
    })),
    maxInterval: encodeDuration(maxMs),
  }
}

/** Envoy's default. */
const DEFAULT_RESET_MAX_MS = 300_000

function decodeReset(
  proto: RetryPolicyProto['rateLimitedRetryBackOff'],
): Pick<RetryPolicy, 'resetBackoff'> {
  if (proto === undefined) return {}
  return {
    resetBackoff: {
      headers: proto.resetHeaders.map(({ name, format }) => ({
        name: name.toLowerCase(),
        format:
          format === RetryPolicy_ResetHeaderFormat.UNIX_TIMESTAMP ? 'unixTimestamp' : 'seconds',
      })),
      maxMs: decodeDuration(proto.maxInterval, DEFAULT_RESET_MAX_MS),
    },
  }
}

const RETRY = covers(
  RetryPolicySchema,
  ...['retry_on', 'num_retries', 'per_try_timeout', 'retry_host_predicate'],
  ...['host_selection_retry_max_attempts', 'retriable_status_codes', 'retry_back_off'],
  ...['retriable_request_headers', 'retriable_headers', 'rate_limited_retry_back_off'],
)

export function decodeRetryPolicy(
  proto: RetryPolicyProto,
  path: string,
  problems: Problems,
): RetryPolicy {
  refuseOthers(RETRY, proto, path, problems)
  const baseMs = decodeDuration(proto.retryBackOff?.baseInterval, DEFAULT_BACKOFF_BASE_MS)
  for (const [index, predicate] of proto.retryHostPredicate.entries()) {
    const known = unpackAny(predicate.configType.value, PreviousHostsPredicateSchema) !== undefined
    if (known || predicate.name === PREVIOUS_HOSTS) continue
    problems.add(`${path}.retry_host_predicate[${index}]`, `${predicate.name} is not supported`)
  }
  return {
    on: decodeConditions(proto.retryOn, `${path}.retry_on`, problems),
    statusCodes: proto.retriableStatusCodes,
    attempts: proto.numRetries ?? 1,
    perTryTimeoutMs: decodeDuration(proto.perTryTimeout, 0),
    backoffBaseMs: baseMs,
    backoffMaxMs: decodeDuration(proto.retryBackOff?.maxInterval, baseMs * 10),
    ...decodeReset(proto.rateLimitedRetryBackOff),
    ...(proto.retriableHeaders.length === 0
      ? {}
      : {
          answerHeaders: proto.retriableHeaders.map((header, index) =>
            decodeHeaderMatch(header, `${path}.retriable_headers[${index}]`, problems),
          ),
        }),
    avoidPreviousHosts: proto.retryHostPredicate.length > 0,
    onlyWhen: proto.retriableRequestHeaders.map((header, index) =>
      decodeHeaderMatch(header, `${path}.retriable_request_headers[${index}]`, problems),
    ),
  }
}

function decodeConditions(text: string, path: string, problems: Problems): RetryCondition[] {
  const conditions: RetryCondition[] = []
  for (const word of text.split(',').map((part) => part.trim())) {
    if (word === '') continue
    const known = RETRY_CONDITIONS.find((condition) => condition === word)
    if (known === undefined) problems.add(path, `${word} is not supported`)
    else conditions.push(known)
  }
  return conditions
}
