/** One try at an endpoint: choosing it, sending the request, and what follows when it fails. */
import {
  type AttemptOutcome,
  type Host,
  retryDecision,
  retryDelayMs,
  rewriteAuthority,
  rewritePath,
} from '@weft/traffic'
import { FIELD, SPAN } from '@weft/wire'
import type { UpstreamSide } from '../upstream/upstream-user.ts'
import { chooseHost, resolveNamed } from './choose-host.ts'
import type { HttpRuntime } from './contract.ts'
import {
  type EncodedHeaders,
  encodeHeaderOps,
  encodeStamps,
  joinEncoded,
} from './encoded-headers.ts'
import type { Exchange } from './exchange.ts'
import type { Failure } from './failures.ts'
import { out } from './shared-out.ts'
import { writeRequestHead } from './write-request.ts'

/**
 * @param fresh Wants a new connection, because a reused one just turned out closed.
 * @param nowMs Monotonic time if the caller knows it, else 0.
 */
export function startAttempt(x: Exchange, fresh: boolean, nowMs: number): void {
  x.attempts++
  x.timers.armTry(nowMs === 0 ? x.startedMs : nowMs)
  const atMs = nowMs === 0 ? x.startedMs : nowMs
  const host = chooseHost(x)
  if (host !== undefined) connectTo(x, host, fresh, atMs)
  else if (!x.finished && x.cluster?.model.discovery.kind === 'forwardProxy') {
    resolveNamed(x, (found) => connectTo(x, found, fresh, x.deps.clock.monotonicMs()))
  }
}

function connectTo(x: Exchange, host: Host, fresh: boolean, nowMs: number): void {
  x.useHost(host)
  const pool = x.cluster?.poolOf(host)
  if (pool === undefined) return
  x.pool = pool
  if (speaksHttp2(x)) pool.acquireStream(x)
  else pool.acquire(x, fresh, nowMs)
}

function speaksHttp2({ cluster, downstream }: Exchange): boolean {
  const protocol = cluster?.model.http.protocol
  return protocol === 'http2' || (protocol === 'downstream' && downstream.multiplexed)
}

/** Writes the head and the body so far; what follows of the body is sent as it comes. */
export function sendRequest(x: Exchange, connection: UpstreamSide): void {
  const { plan, target, action, runtime } = x
  if (target === undefined || action === undefined) return
  const { manager } = runtime
  plan.bytes = x.headBytes
  plan.path = pathToSend(x)
  plan.authority = authorityToSend(x)
  plan.upgrade = x.upgrade
  plan.multiplexed = connection.multiplexed
  plan.grpcTimeoutMs = x.grpcDeadline
    ? Math.max(1, x.startedMs + x.timers.requestMs - x.deps.clock.monotonicMs())
    : 0
  plan.chunked = !x.upgrade && needsCoding(x, connection)
  plan.edge = manager.useRemoteAddress
  plan.trustedHops = manager.xffTrustedHops
  plan.attempts = x.attempts
  plan.timeoutMs = x.timers.requestMs
  plan.generateId = manager.generateRequestId
  const ofRoute =
    target.requestHeaders.length === 0 ? undefined : encodeHeaderOps(target.requestHeaders)
  plan.route = joinEncoded(x.requestHeaders, ofRoute)
  plan.stamps = stampsOf(runtime).request
  out.clear()
  writeRequestHead(plan, out)
  const headLength = out.length
  const { request, held } = x
  request.chunkedOut = !connection.multiplexed && (request.framing === 'chunked' || plan.chunked)
  request.append(held.bytes, 0, held.length, out)
  if (request.done) request.appendEnd(out)
  if (!x.replayable) held.clear()
  x.sending = true
  // A connection that had to be opened first took time; a pooled one was there at once.
  x.sentMs = connection.reused ? x.startedMs : x.deps.clock.monotonicMs()
  // A switched protocol goes on in the same stream.
  const last = request.done && !x.upgrade
  const taken = connection.send(headLength, last, request.trailers)
  if (request.done) return
  if (taken) x.downstream.resumeBody()
  else x.downstream.pauseBody()
}

/** HTTP/2 says where a body ends by itself; HTTP/1.1 must be told in the head. */
function needsCoding({ request, head }: Exchange, { multiplexed }: UpstreamSide): boolean {
  return request.framing === 'stream' && !multiplexed && head.contentLength < 0
}

function pathToSend(x: Exchange): string | undefined {
  const { action } = x
  if (action?.rewritePath === undefined) return x.canonicalPath
  const { path } = x.view
  const rewritten = rewritePath(action, path)
  return rewritten === path ? x.canonicalPath : targetOnly(rewritten)
}

/** A rewrite can bring characters into the target that no target may have. */
function targetOnly(path: string): string {
  return path.replaceAll(/[^\x21-\x7e]|[#\\]/g, (character) => encodeURIComponent(character))
}

function authorityToSend(x: Exchange): string | undefined {
  const { target, host, head, headBytes } = x
  if (target?.hostRewrite !== undefined) {
    return rewriteAuthority(target, x.authority, host?.endpoint.address.host ?? x.authority)
  }
  if (head.form !== 'absolute') return undefined
  const at = head.findKnown(FIELD.host) * SPAN
  const asSent = headBytes.toString('latin1', head.spans[at + 2], head.spans[at + 3])
  return asSent === x.authority ? undefined : x.authority
}

interface Stamps {
  readonly request: EncodedHeaders | undefined
  readonly response: EncodedHeaders | undefined
}

const NO_STAMPS: Stamps = { request: undefined, response: undefined }
const stamps = new WeakMap<HttpRuntime, Stamps>()

export function stampsOf(runtime: HttpRuntime): Stamps {
  const { requestStamps, requestStrips, responseStamps, responseStrips } = runtime
  const hasRequest = requestStamps !== undefined || requestStrips !== undefined
  const hasResponse = responseStamps !== undefined || responseStrips !== undefined
  if (!hasRequest && !hasResponse) return NO_STAMPS
  let known = stamps.get(runtime)
  if (known === undefined) {
    known = {
      request: hasRequest ? encodeStamps(requestStamps, requestStrips) : undefined,
      response: hasResponse ? encodeStamps(responseStamps, responseStrips) : undefined,
    }
    stamps.set(runtime, known)
  }
  return known
}

/** The attempt came to nothing; the connection is given up already. Tries again or fails. */
export function attemptFailed(
  x: Exchange,
  outcome: AttemptOutcome,
  failure: Failure,
  detail: string,
): void {
  const nowMs = x.deps.clock.monotonicMs()
  const { host, cluster } = x
  if (host !== undefined && outcome.kind !== 'connectFailure') cluster?.noteFailure(host, nowMs)
  if (!mayRetry(x, outcome)) x.fail(failure, detail)
  else retry(x, outcome, nowMs)
}

export function mayRetry(x: Exchange, outcome: AttemptOutcome): boolean {
  const policy = x.action?.source.retry
  const decision = retryDecision(policy, outcome, {
    request: x.view,
    retriesMade: x.attempts - 1,
    replayable: x.replayable && !x.downstream.gone,
    responseStarted: x.answered,
    believeHeaders: !x.runtime.manager.useRemoteAddress,
    // What no endpoint has begun to work on adds no load to any: a lost connection of
    // many streams moves them all.
    admitRetry: () => (outcome.kind === 'reset' && outcome.sentBytes === 0) || admitRetry(x),
  })
  if (decision.kind === 'retry') return true
  x.retriesExhausted = policy !== undefined && decision.because === 'attemptsUsed'
  return false
}

function admitRetry(x: Exchange): boolean {
  if (x.cluster?.limits.admitRetry() !== true) return false
  x.admittedRetries++
  return true
}

/** Makes another attempt after the policy's pause; at once after a stale connection. */
export function retry(x: Exchange, outcome: AttemptOutcome, nowMs: number): void {
  const { host } = x
  const policy = x.action?.source.retry
  const stale = outcome.kind === 'reset' && outcome.reused === true
  if (!stale && host !== undefined && (policy?.avoidPreviousHosts ?? true)) {
    x.tried ??= new Set()
    x.tried.add(host)
  }
  x.releaseHost()
  x.response.reset()
  x.responseLength = 0
  x.responseHeadDone = false
  x.interims = 0
  if (stale) {
    startAttempt(x, true, nowMs)
    return
  }
  const delayMs = retryDelayMs(policy, x.attempts - 1, x.deps.random)
  x.cancelWait = x.deps.clock.after(delayMs, () => {
    x.cancelWait = undefined
    startAttempt(x, false, x.deps.clock.monotonicMs())
  })
}
