/**
 * Asks another service whether a request goes on (Envoy's ext_authz filter), over gRPC or HTTP.
 * Who does not answer has not allowed it, unless the configuration says so (R57).
 */
import type { ExternalAuthorization, HeaderValue, StringMatch } from '@weft/model'
import { isFieldValue, TextMatcher } from '@weft/traffic'
import { encodeStamps } from '../exchange/encoded-headers.ts'
import type { FilterMetadata } from '../exchange/exchange-facts.ts'
import type { FieldChanges } from '../exchange/request-changes.ts'
import { noteDenial } from './denial-note.ts'
import type { Asking, Decision } from './ext-authz/decision.ts'
import { askGrpc } from './ext-authz/grpc-service.ts'
import { askHttp } from './ext-authz/http-service.ts'
import type { BindFilter, FilterCall, FilterScope, FilterVerdict } from './http-filter.ts'

const NAME = 'envoy.filters.http.ext_authz'
/** A client that sends its body more slowly than this holds memory for nothing. */
const BODY_TIMEOUT_MS = 30_000
/** What frames a message or names its target is not the service's to change. */
const UNTOUCHED = new Set([
  ...['content-length', 'transfer-encoding', 'connection', 'upgrade', 'te', 'trailer', 'host'],
  ...['keep-alive', 'proxy-connection', 'expect'],
])

export const extAuthz: BindFilter<'extAuthz'> = ({ authorization }, scope) => {
  const stats = statsOf(scope)
  const condition = conditionOf(authorization)
  const shown = matcherOf(authorization.requestHeaders)
  const hidden = matcherOf(authorization.hiddenRequestHeaders) ?? (() => false)
  const context = scope.overrides.authorizationContext ?? {}
  return {
    onRequest(call): FilterVerdict {
      if (!condition(call)) {
        stats?.disabled()
        return undefined
      }
      const asking: Asking = { authorization, scope, call, context, shown, hidden }
      const finish = (decision: Decision) => verdictOf(decision, asking, stats)
      return { kind: 'wait', start: (done) => start(asking, (decision) => done(finish(decision))) }
    },
  }
}

interface Stats {
  ok(): void
  denied(): void
  error(): void
  failureModeAllowed(): void
  disabled(): void
}

function statsOf({ deps: { filterStats }, runtime }: FilterScope): Stats | undefined {
  if (filterStats === undefined) return undefined
  const counter = (leaf: string) =>
    filterStats.counter({ kind: 'http', name: runtime.manager.statPrefix }, `ext_authz.${leaf}`)
  return {
    ok: counter('ok'),
    denied: counter('denied'),
    error: counter('error'),
    failureModeAllowed: counter('failure_mode_allowed'),
    disabled: counter('disabled'),
  }
}

function conditionOf({ condition }: ExternalAuthorization): (call: FilterCall) => boolean {
  if (condition === undefined) return () => true
  const { filter, path, value, invert } = condition
  const matcher = new TextMatcher(value, 'ext_authz condition')
  return ({ facts }) => {
    const found = facts.valueAt(filter, path)
    return (typeof found === 'string' && matcher.matches(found)) !== invert
  }
}

/** `undefined`: nobody says which. */
function matcherOf(
  matches: readonly StringMatch[] | undefined,
): ((name: string) => boolean) | undefined {
  if (matches === undefined) return undefined
  const matchers = matches.map((match) => new TextMatcher(match, 'ext_authz headers'))
  return (name) => matchers.some((matcher) => matcher.matches(name))
}

/** @returns Cancels. */
function start(asking: Asking, done: (decision: Decision) => void): () => void {
  const { requestBody } = asking.authorization
  const { call } = asking
  if (requestBody === undefined || call.contentLength === 0) return ask(asking, undefined, done)
  const { maxBytes, allowPartial } = requestBody
  if (call.contentLength > maxBytes && !allowPartial) {
    done({ kind: 'tooLarge' })
    return () => {}
  }
  let cancelBody = (): void => {}
  let cancel = (): void => cancelBody()
  const cancelTimer = asking.scope.deps.clock.after(BODY_TIMEOUT_MS, () => {
    cancelBody()
    done({ kind: 'slowBody' })
  })
  cancelBody = call.whenBody(maxBytes, ({ bytes, isComplete }) => {
    cancelTimer()
    if ((!isComplete || bytes.length > maxBytes) && !allowPartial) {
      done({ kind: 'tooLarge' })
      return
    }
    const body = Buffer.from(bytes.subarray(0, maxBytes))
    const stop = ask(asking, body, done)
    cancel = stop
  })
  return () => {
    cancelTimer()
    cancel()
  }
}

function ask(
  asking: Asking,
  body: Buffer | undefined,
  done: (decision: Decision) => void,
): () => void {
  return asking.authorization.service.kind === 'grpc'
    ? askGrpc(asking, body, done)
    : askHttp(asking, body, done)
}

function verdictOf(decision: Decision, asking: Asking, stats: Stats | undefined): FilterVerdict {
  switch (decision.kind) {
    case 'allow':
      stats?.ok()
      return allow(decision, asking)
    case 'deny': {
      stats?.denied()
      leave(decision.metadata, asking)
      noteDenial(asking.call.facts, `${askedBy(asking)}: the service said no`)
      const { status, body } = decision
      const headers = sound(decision.headers).map(({ name, value }) => [name, value] as const)
      return { kind: 'reply', reply: { status, body, headers }, failure: 'authorizationDenied' }
    }
    case 'tooLarge': {
      const reply = { status: 413, body: 'Payload Too Large' }
      return { kind: 'reply', reply, details: 'request_payload_too_large' }
    }
    case 'slowBody':
      return { kind: 'reply', reply: { status: 408 }, details: 'request_overall_timeout' }
    case 'error':
      if (!asking.authorization.failureModeAllow) {
        noteDenial(asking.call.facts, `${askedBy(asking)}: the service did not answer`)
      }
      return failed(asking.authorization, stats)
  }
}

/** The policy that wants the service asked, else the service. */
function askedBy({ call, authorization }: Asking): string {
  const { condition, service } = authorization
  const policy =
    condition === undefined ? undefined : call.facts.valueAt(condition.filter, condition.path)
  return typeof policy === 'string' ? policy : `cluster ${service.cluster}`
}

function failed(
  { failureModeAllow, failureModeHeader, statusOnError }: ExternalAuthorization,
  stats: Stats | undefined,
): FilterVerdict {
  stats?.error()
  const name = 'x-envoy-auth-failure-mode-allowed'
  if (!failureModeAllow) {
    return { kind: 'reply', reply: { status: statusOnError }, failure: 'authorizationService' }
  }
  stats?.failureModeAllowed()
  const changes = failureModeHeader ? { set: [{ name, value: 'true' }] } : { remove: [name] }
  return { kind: 'change', changes, rematch: false }
}

function leave(metadata: FilterMetadata | undefined, { call }: Asking): void {
  if (metadata !== undefined) call.facts.addMetadata(NAME, metadata)
}

function allow(decision: Extract<Decision, { kind: 'allow' }>, asking: Asking): FilterVerdict {
  const { call, authorization } = asking
  leave(decision.metadata, asking)
  const { set, append, remove, responseHeaders, path } = decision
  const isAbsent = ({ name }: HeaderValue) => call.fieldLines(name).length === 0
  const changes: FieldChanges = {
    remove: remove.filter((name) => !UNTOUCHED.has(name)),
    set: [...sound(set), ...sound(decision.addIfAbsent).filter(isAbsent)],
    append: sound(append),
    ...(path === undefined ? {} : { path }),
  }
  const isChange =
    path !== undefined ||
    [changes.remove, changes.set, changes.append].some((list) => (list?.length ?? 0) > 0)
  const stamped = sound(responseHeaders)
  if (!isChange && stamped.length === 0) return undefined
  const stamps = { cuts: [], lines: encodeStamps(stamped).lines }
  return { kind: 'change', changes, rematch: authorization.clearRouteCache && isChange, stamps }
}

const NAME_PATTERN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/

/** Fields that may be in a message, and that are the service's to change. */
function sound(headers: readonly HeaderValue[]): readonly HeaderValue[] {
  return headers.filter(
    ({ name, value }) => NAME_PATTERN.test(name) && !UNTOUCHED.has(name) && isFieldValue(value),
  )
}
