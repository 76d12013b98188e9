/** One try at an endpoint: choosing it and sending the request. When it fails: `retrying.ts`. */
import { type Host, mayRepeatRequest, rewriteAuthority, rewritePath } from '@weft/traffic'
import { FIELD, SPAN } from '@weft/wire'
import type { UpstreamCluster } from '../upstream/cluster.ts'
import type { HttpPool } from '../upstream/pool.ts'
import type { UpstreamSide } from '../upstream/upstream-user.ts'
import { chooseHost, resolveNamed } from './choose-host.ts'
import { type EncodedHeaders, encodeHeaderOps, joinEncoded } from './encoded-headers.ts'
import type { Exchange } from './exchange.ts'
import { spellNames } from './header-case.ts'
import { out } from './shared-out.ts'
import { stampsOf } from './stamps.ts'
import { hasTooMuchBaggage, newTraceparent } from './trace-fields.ts'
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
    connectToNamed(x, fresh)
  }
}

// Apart from `startAttempt`, which would keep its variables for the closure each time.
function connectToNamed(x: Exchange, fresh: boolean): void {
  resolveNamed(x, (found) => connectTo(x, found, fresh, x.deps.clock.monotonicMs()))
}

function connectTo(x: Exchange, host: Host, fresh: boolean, nowMs: number): void {
  x.useHost(host)
  if (x.cluster === undefined) return
  const pool = poolFor(x, x.cluster, host)
  x.pool = pool
  if (speaksHttp2(x)) pool.acquireStream(x)
  else pool.acquire(x, fresh, nowMs, isOnce(x))
}

/** It must not be sent twice. */
function isOnce(x: Exchange): boolean {
  const policy = x.action?.source.retry
  return (policy !== undefined || !isSafe(x)) && !mayRepeatRequest(policy, x.view)
}

/** Connections to `host` that may carry this request. */
export function poolFor(x: Exchange, cluster: UpstreamCluster, host: Host): HttpPool {
  if (!cluster.separates) return cluster.poolOf(host)
  const { remoteAddress, localAddress } = x.downstream
  const authority = authorityToSend(x, host) ?? x.authority
  return cluster.poolFor(host, { client: { remoteAddress, localAddress }, authority })
}

export function speaksHttp2({ cluster, downstream }: Exchange): boolean {
  const protocol = cluster?.model.http.protocol
  return protocol === 'http2' || (protocol === 'downstream' && downstream.multiplexed)
}

/** Writes the head and the body so far; what follows of the body is sent as it comes. */
function sendRequest(x: Exchange, connection: UpstreamSide): void {
  x.sentBy = connection
  const headLength = composeRequest(x, connection, x.host)
  if (headLength === 0) return
  const { request } = x
  if (!x.replayable) x.dropHeld()
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

/**
 * Sends at once, but for what must not be sent twice: of a connection that rested, an end that
 * is there already, but was not read yet, is seen first. The first turn ends what the loop has
 * in hand, the second one reads again.
 */
export function sendWhenDue(x: Exchange, connection: UpstreamSide): void {
  if (!connection.reused || connection.multiplexed || isSafe(x)) {
    sendRequest(x, connection)
    return
  }
  setImmediate(() =>
    setImmediate(() => {
      if (x.connection === connection && !x.sending && !x.finished) sendRequest(x, connection)
    }),
  )
}

/** GET or HEAD, by its first letters: nothing else of that kind is common. */
function isSafe({ headBytes }: Exchange): boolean {
  return headBytes[1] === 0x45 && (headBytes[0] === 0x47 || headBytes[0] === 0x48)
}

/** Lays head and body so far out in `out`. @returns The head's length; 0: there is no target. */
export function composeRequest(
  x: Exchange,
  connection: UpstreamSide,
  host: Host | undefined,
): number {
  const { plan, target, action, runtime } = x
  if (target === undefined || action === undefined) return 0
  const { manager } = runtime
  plan.bytes = x.headBytes
  plan.path = pathToSend(x)
  plan.originalPath = originalPath(x)
  plan.authority = authorityToSend(x, host)
  plan.upgrade = x.upgrade
  plan.multiplexed = connection.multiplexed
  plan.grpcTimeoutMs = x.grpcDeadline
    ? Math.max(1, x.startedMs + x.timers.requestMs - x.deps.clock.monotonicMs())
    : 0
  plan.chunked = !x.upgrade && needsCoding(x, connection)
  plan.edge = manager.useRemoteAddress
  plan.clientCert = manager.forwardClientCert
  plan.trustedHops = manager.xffTrustedHops
  plan.attempts = x.attempts
  plan.timeoutMs = manager.suppressEnvoyHeaders === true ? 0 : timeToTell(x, connection)
  plan.retryToken = action.repeats && takesToken(x)
  plan.dropUnderscores = manager.underscores === 'drop'
  if (x.attempts === 1) plan.traceparent = newTraceparent(x)
  plan.dropBaggage = hasTooMuchBaggage(x)
  plan.generateId = manager.generateRequestId
  const ofRoute =
    target.requestHeaders.length === 0 ? undefined : encodeHeaderOps(target.requestHeaders)
  plan.route = joinEncoded(filteredFields(x, ofRoute), ofRoute)
  plan.stamps = stampsOf(runtime).request
  out.clear()
  writeRequestHead(plan, out)
  const headLength = out.length
  const spelling = x.cluster?.model.http.headerCase
  if (spelling !== undefined && !connection.multiplexed) {
    spellNames(out.bytes, 0, headLength, spelling)
  }
  plan.headLength = headLength
  const { request, held } = x
  request.framingOut = 0
  request.chunkedOut = !connection.multiplexed && (request.framing === 'chunked' || plan.chunked)
  request.append(held.bytes, 0, held.length, out)
  if (request.done) request.appendEnd(out)
  return headLength
}

/** What filters did to the fields; @param after What is done after them. */
export function filteredFields(
  { requestHeaders, filtered: { changes } }: Exchange,
  after: EncodedHeaders | undefined,
): EncodedHeaders | undefined {
  return changes === undefined ? requestHeaders : joinEncoded(requestHeaders, changes.encode(after))
}

function timeToTell(x: Exchange, connection: UpstreamSide): number {
  return x.timers.requestMs === 0 ? x.timers.perTryMs : expectedMs(x, connection)
}

/** What the next hop has left for its answer: it need not work on what nobody waits for. */
function expectedMs(x: Exchange, connection: UpstreamSide): number {
  const { requestMs, perTryMs } = x.timers
  const pooled = connection.reused && x.attempts === 1
  const spentMs = pooled ? 0 : Math.round(x.deps.clock.monotonicMs() - x.startedMs)
  const leftMs = Math.max(1, requestMs - spentMs)
  // A try that may be hedged goes on after its time.
  return perTryMs > 0 && perTryMs < leftMs && x.race === undefined ? perTryMs : leftMs
}

/** Hops behind this one leave repeats to it, unless one before it does them already. */
function takesToken(x: Exchange): boolean {
  const believed = !x.runtime.manager.useRemoteAddress
  if (believed && x.head.at[FIELD['x-weft-retry-token']] !== 0) return false
  return x.replayable && mayRepeatRequest(x.action?.source.retry, x.view)
}

/** HTTP/2 says where a body ends by itself; HTTP/1.1 must be told in the head. */
function needsCoding({ request, head }: Exchange, { multiplexed }: UpstreamSide): boolean {
  if (multiplexed || request.framing === 'none') return false
  if (request.decoder !== undefined) return request.framing !== 'chunked'
  return request.framing === 'stream' && head.contentLength < 0
}

function pathToSend(x: Exchange): string | undefined {
  const { action } = x
  if (action?.rewritePath === undefined) return x.canonicalPath
  const { path } = x.view
  const rewritten = rewritePath(action, path)
  return rewritten === path ? x.canonicalPath : targetOnly(rewritten)
}

/** As Envoy's router: whatever becomes of it, what the route rewrites is told. */
function originalPath({ action, runtime, view }: Exchange): string | undefined {
  if (action?.rewritePath === undefined) return undefined
  return runtime.manager.suppressEnvoyHeaders === true ? undefined : targetOnly(view.path)
}

/** A rewrite can bring characters into the target that no target may have. */
function targetOnly(path: string): string {
  return path.replaceAll(/[^\x21-\x7e]|[#\\]/g, (character) => encodeURIComponent(character))
}

function authorityToSend(x: Exchange, host: Host | undefined): string | undefined {
  const { target, head, headBytes } = x
  if (target?.hostRewrite !== undefined) {
    return rewriteAuthority(target, x.authority, host?.endpoint.address.host ?? x.authority)
  }
  if (head.form !== 'absolute') return undefined
  const at = head.findKnown(FIELD.host) * SPAN
  const asSent = headBytes.toString('latin1', head.spans[at + 2], head.spans[at + 3])
  return asSent === x.authority ? undefined : x.authority
}
