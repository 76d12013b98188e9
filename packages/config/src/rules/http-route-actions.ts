/** What an `http` route of a VirtualService does with a request: redirect, answer, rewrite, retry, fail on purpose, CORS. */

import { RETRY_CONDITIONS } from '@weft/model'
import type { HttpRouteRule } from '../kinds/virtual-service.ts'
import { goDurationMs } from '../schema/go-duration.ts'
import { childPath, itemPath } from '../text/places.ts'
import { isHeaderName } from './headers.ts'
import { checkDuration, checkPort } from './istio-common.ts'
import { regexProblem } from './regex.ts'
import type { Findings } from './rules.ts'

export function checkAction(route: HttpRouteRule, path: string, findings: Findings): void {
  checkRedirect(route, path, findings)
  checkDirectResponse(route.directResponse, `${path}.directResponse`, findings)
  checkRewrite(route.rewrite, `${path}.rewrite`, findings)
  checkRetries(route.retries, `${path}.retries`, findings)
  checkFault(route.fault, `${path}.fault`, findings)
  checkCors(route.corsPolicy, `${path}.corsPolicy`, findings)
}

function checkRedirect(route: HttpRouteRule, path: string, findings: Findings): void {
  const { redirect } = route
  if (redirect === undefined) return
  const at = `${path}.redirect`
  const { uri = '', prefixRewrite = '', authority = '', scheme = '', redirectCode = 0 } = redirect
  const { port, derivePort } = redirect
  if (uri !== '' && prefixRewrite !== '') {
    const message = 'only one of uri and prefixRewrite may be set; remove one'
    findings.error(`${at}.prefixRewrite`, 'conflicting-fields', message)
  }
  if (prefixRewrite !== '') {
    const wrong = (route.match ?? []).findIndex(
      ({ uri: match }) => match !== undefined && match.prefix === undefined,
    )
    if (wrong !== -1) {
      const message = `needs a prefix match, but ${path}.match[${wrong}].uri is none`
      findings.error(`${at}.prefixRewrite`, 'conflicting-fields', message)
    }
  }
  const isEmpty = [uri, prefixRewrite, authority, scheme].every((text) => text === '')
  if (isEmpty && port === undefined && derivePort === undefined) {
    const message = 'must change something: set uri, prefixRewrite, authority, scheme or port'
    findings.error(at, 'missing-field', message)
  }
  if (redirectCode !== 0 && (redirectCode < 300 || redirectCode > 399)) {
    findings.error(
      `${at}.redirectCode`,
      'out-of-range',
      `must be a 3xx status, got ${redirectCode}`,
    )
  }
  if (scheme !== '' && scheme !== 'http' && scheme !== 'https') {
    findings.error(`${at}.scheme`, 'not-allowed', `must be http or https, got "${scheme}"`)
  }
  if (port !== undefined && port !== 0) checkPort(port, `${at}.port`, findings)
}

const KIB = 1024

function checkDirectResponse(
  response: HttpRouteRule['directResponse'],
  path: string,
  findings: Findings,
): void {
  if (response === undefined) return
  checkStatus(response.status, `${path}.status`, findings)
  const { string = '', bytes = '' } = response.body ?? {}
  const sizeBytes = string === '' ? (bytes.length * 3) / 4 : new TextEncoder().encode(string).length
  if (sizeBytes > KIB * KIB) {
    findings.error(`${path}.body`, 'out-of-range', 'must be at most 1 MiB; serve it from a backend')
  } else if (sizeBytes > 100 * KIB) {
    const message = 'a body above 100 KiB is copied to every proxy; serve it from a backend'
    findings.warning(`${path}.body`, 'large-body', message)
  }
}

function checkStatus(status: number, path: string, findings: Findings): void {
  if (status >= 200 && status <= 599) return
  findings.error(path, 'out-of-range', `must be an HTTP status between 200 and 599, got ${status}`)
}

function checkRewrite(rewrite: HttpRouteRule['rewrite'], path: string, findings: Findings): void {
  if (rewrite === undefined) return
  const { uri = '', authority = '', uriRegexRewrite } = rewrite
  if (uri !== '' && uriRegexRewrite !== undefined) {
    const message = 'only one of uri and uriRegexRewrite may be set; remove one'
    findings.error(`${path}.uriRegexRewrite`, 'conflicting-fields', message)
  }
  if (uri === '' && authority === '' && uriRegexRewrite === undefined) {
    findings.error(path, 'missing-field', 'one of uri, uriRegexRewrite or authority must be set')
  }
  if (uriRegexRewrite === undefined) return
  const { match = '', rewrite: to = '' } = uriRegexRewrite
  for (const [field, text] of Object.entries({ match, rewrite: to })) {
    if (text === '') {
      const message = 'is required: match and rewrite belong together'
      findings.error(`${path}.uriRegexRewrite.${field}`, 'missing-field', message)
    }
  }
  const problem = match === '' ? undefined : regexProblem(match)
  if (problem !== undefined) {
    findings.error(`${path}.uriRegexRewrite.match`, 'bad-regex', problem)
  }
}

/** Conditions of Envoy that no data plane of this release acts on. */
const IDLE_RETRY_ON = ['retriable-headers', 'envoy-ratelimited', 'http3-post-connect-failure']

const RETRY_ON: ReadonlySet<string> = new Set(RETRY_CONDITIONS)

/** Statuses that Go's `net/http` has a name for, which is what Istio accepts as numbers. */
const NAMED_STATUS =
  /^(10[0-3]|20[0-8]|226|30[0-57-8]|40\d|41[0-8]|42[1-6]|428|429|431|451|50[0-8]|510|511)$/

export function checkRetries(
  retries: HttpRouteRule['retries'],
  path: string,
  findings: Findings,
): void {
  if (retries === undefined) return
  const { attempts = 0, perTryTimeout, retryOn = '', retryRemoteLocalities, backoff } = retries
  if (attempts < 0) {
    findings.error(`${path}.attempts`, 'out-of-range', `must not be negative, got ${attempts}`)
  }
  const configured = Object.entries({ perTryTimeout, retryOn, retryRemoteLocalities }).find(
    ([, value]) => value !== undefined && value !== '',
  )
  if (attempts === 0 && configured !== undefined) {
    const message = `has no effect while attempts is 0, which switches retries off; set ${path}.attempts`
    findings.error(`${path}.${configured[0]}`, 'conflicting-fields', message)
  }
  checkDuration(perTryTimeout, `${path}.perTryTimeout`, findings)
  checkDuration(backoff, `${path}.backoff`, findings)
  for (const condition of retryOn === '' ? [] : retryOn.split(',')) {
    if (IDLE_RETRY_ON.includes(condition)) {
      const message = `"${condition}" is accepted, not acted on yet`
      findings.warning(`${path}.retryOn`, 'not-acted-on', message)
      continue
    }
    if (RETRY_ON.has(condition) || NAMED_STATUS.test(condition)) continue
    const blank = condition.trim() === condition ? '' : ' (remove the blanks)'
    const message = `"${condition}" is not a retry condition${blank}; known are ${[...RETRY_ON].join(', ')} and HTTP statuses`
    findings.error(`${path}.retryOn`, 'not-allowed', message)
  }
}

const GRPC_STATUSES = new Set([
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
])

function checkFault(fault: HttpRouteRule['fault'], path: string, findings: Findings): void {
  if (fault === undefined) return
  const { delay, abort } = fault
  if (delay === undefined && abort === undefined) {
    findings.error(path, 'missing-field', 'delay, abort or both must be set')
  }
  if (abort !== undefined) checkAbort(abort, `${path}.abort`, findings)
  if (delay === undefined) return
  checkFraction(delay.percentage, `${path}.delay.percentage`, findings)
  const { percent } = delay
  if (percent !== undefined) {
    if (percent < 0 || percent > 100) {
      const message = `must be between 0 and 100, got ${percent}`
      findings.error(`${path}.delay.percent`, 'out-of-range', message)
    }
    findings.warning(`${path}.delay.percent`, 'deprecated', 'deprecated; write percentage.value')
  }
  checkDuration(delay.fixedDelay, `${path}.delay.fixedDelay`, findings)
  if (delay.exponentialDelay !== undefined) {
    const message = 'is not supported, by Istio neither; write fixedDelay'
    findings.error(`${path}.delay.exponentialDelay`, 'not-supported', message)
  }
}

type Abort = NonNullable<NonNullable<HttpRouteRule['fault']>['abort']>

function checkAbort(abort: Abort, path: string, findings: Findings): void {
  checkFraction(abort.percentage, `${path}.percentage`, findings)
  const { httpStatus, grpcStatus, http2Error } = abort
  if (httpStatus !== undefined) checkStatus(httpStatus, `${path}.httpStatus`, findings)
  if (grpcStatus !== undefined && !GRPC_STATUSES.has(grpcStatus)) {
    const message = `must be the name of a gRPC status such as UNAVAILABLE, got "${grpcStatus}"`
    findings.error(`${path}.grpcStatus`, 'not-allowed', message)
  }
  if (http2Error !== undefined) {
    const message = 'is not supported, by Istio neither; write httpStatus or grpcStatus'
    findings.error(`${path}.http2Error`, 'not-supported', message)
  }
  if (httpStatus === undefined && grpcStatus === undefined && http2Error === undefined) {
    findings.warning(path, 'no-effect', 'aborts nothing: set httpStatus or grpcStatus')
  }
}

/** Envoy counts in millionths: nothing between 0 and 0.0001 can be expressed. */
function checkFraction(
  percentage: { readonly value?: number } | undefined,
  path: string,
  findings: Findings,
): void {
  const { value = 0 } = percentage ?? {}
  if (value === 0 || (value >= 0.0001 && value <= 100)) return
  const message = `must be 0, or between 0.0001 and 100, got ${value}`
  findings.error(`${path}.value`, 'out-of-range', message)
}

const METHODS = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  '*',
])

type Cors = NonNullable<HttpRouteRule['corsPolicy']>

function checkCors(cors: Cors | undefined, path: string, findings: Findings): void {
  if (cors === undefined) return
  checkOrigins(cors.allowOrigins ?? [], `${path}.allowOrigins`, findings)
  if (cors.allowOrigin !== undefined) {
    findings.warning(`${path}.allowOrigin`, 'deprecated', 'deprecated; write allowOrigins')
  }
  for (const [index, method] of (cors.allowMethods ?? []).entries()) {
    if (METHODS.has(method)) continue
    const message = `must be an HTTP method in capitals or "*", got "${method}"`
    findings.error(itemPath(`${path}.allowMethods`, index), 'not-allowed', message)
  }
  for (const field of ['allowHeaders', 'exposeHeaders'] as const) {
    for (const [index, name] of (cors[field] ?? []).entries()) {
      if (name === '*' || isHeaderName(name)) continue
      const at = itemPath(childPath(path, field), index)
      findings.error(at, 'bad-header', `"${name}" is not a header name`)
    }
  }
  checkDuration(cors.maxAge, `${path}.maxAge`, findings)
  const ms = cors.maxAge === undefined ? undefined : goDurationMs(cors.maxAge)
  if (ms !== undefined && ms >= 1 && ms % 1000 !== 0) {
    findings.error(`${path}.maxAge`, 'out-of-range', `must be whole seconds, got ${cors.maxAge}`)
  }
}

function checkOrigins(
  origins: NonNullable<Cors['allowOrigins']>,
  path: string,
  findings: Findings,
): void {
  for (const [index, origin] of origins.entries()) {
    const at = itemPath(path, index)
    if ((origin.exact ?? origin.prefix ?? origin.regex ?? '') === '') {
      findings.error(at, 'missing-field', 'one of exact, prefix, regex must be set')
    } else if (origin.regex !== undefined) {
      const problem = regexProblem(origin.regex)
      if (problem !== undefined) findings.error(`${at}.regex`, 'bad-regex', problem)
    }
  }
}
