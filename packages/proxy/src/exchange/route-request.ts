/** From a complete request head to an attempt, a tunnel or an answer of our own. */
import {
  type CompiledForward,
  type CompiledRedirect,
  canonicalPath,
  hashRequest,
  matchRoute,
  pickTarget,
  redirectLocation,
  timeoutsOf,
} from '@weft/traffic'
import { FIELD, lowerText, SPAN } from '@weft/wire'
import { type FilterChain, filterChainOf, guardsOf } from '../filters/bound-filters.ts'
import type { FilterBody, FilterCall, FilterPeer, FilterVerdict } from '../filters/http-filter.ts'
import { targetOfSession } from '../filters/stateful-session.ts'
import { startAttempt } from './attempt.ts'
import { endTunnelHere, openTunnel } from './connect-tunnel.ts'
import { encodeHeaderOps, joinEncoded } from './encoded-headers.ts'
import type { Exchange } from './exchange.ts'
import { ExchangeFacts } from './exchange-facts.ts'
import { askForBody } from './expect-continue.ts'
import { failureDetails, failureText } from './failures.ts'
import { GrpcMessages, isGrpc, parseGrpcTimeout } from './grpc.ts'
import { startRace } from './hedge.ts'
import { startLogs } from './log-flush.ts'
import { sendMirrors } from './mirror.ts'
import { bodyTooLong, hasBodyFor, refuseBody, refuseUndecodable } from './request-body.ts'
import { RequestChanges } from './request-changes.ts'
import { fieldLines, fieldNames, sentLines } from './request-fields.ts'
import { newCookieValue } from './request-id.ts'
import { keepsRules } from './request-rules.ts'

export function routeRequest(x: Exchange): void {
  const { manager, routes } = x.runtime
  const { overload } = x.deps
  if (overload !== undefined && overload.refusePercent !== 0 && overload.refusesRequest()) {
    x.deps.filterStats?.counter(
      { kind: 'http', name: manager.statPrefix },
      'downstream_rq_overload_close',
    )()
    x.fail('overload', failureDetails('overload'))
    return
  }
  if (x.head.minor === 0 && !manager.acceptHttp10) {
    x.fail('http10Refused', 'this listener speaks HTTP/1.1')
    return
  }
  if (!keepsRules(x)) return
  if (x.head.unusualPath && !takeCanonicalPath(x)) return
  if (routes === undefined) {
    x.fail('noConfiguration', `the routes of ${x.runtime.listener} have not arrived`)
    return
  }
  const decision = matchRoute(routes, x.view)
  if (decision.kind !== 'matched') {
    if (decision.kind === 'noRoute') {
      x.virtualHost = decision.virtualHost.source
    }
    if (manager.accessLogFlush !== undefined) startLogs(x, manager.accessLogFlush)
    const guards = guardsOf(x.deps, x.runtime)
    if (guards.length > 0) runFilters(x, guards, -1)
    else withoutRoute(x)
    return
  }
  x.virtualHost = decision.virtualHost.source
  x.route = decision.route
  if (manager.accessLogFlush !== undefined) startLogs(x, manager.accessLogFlush)
  const chain = filterChainOf(x.deps, x.runtime, decision.virtualHost.source, decision.route)
  if (chain.length === 0) applyRoute(x)
  else runFilters(x, chain, -1)
}

/** False: the request was refused. */
function takeCanonicalPath(x: Exchange): boolean {
  const { manager } = x.runtime
  const { normalizePath, mergeSlashes, escapedSlashes } = manager
  if (!normalizePath && !mergeSlashes && escapedSlashes === undefined) return true
  // `*` and authorities are no paths.
  if (!x.view.path.startsWith('/')) return true
  const path = canonicalPath(x.view.path, manager)
  if (path === undefined) {
    x.failure = 'badRequest'
    x.detail = 'a path that applications read in several ways'
    x.reply({ status: 400, body: `${x.detail}\n` })
    return false
  }
  x.canonicalPath = path
  x.view.forgetPath()
  return true
}

/** @param after Place in the listener's list of the filter that ran last. */
function runFilters(x: Exchange, chain: FilterChain, after: number): void {
  for (const entry of chain) {
    if (entry.place <= after) continue
    const verdict = ask(x, entry)
    if (verdict === undefined) continue
    obey(x, verdict, () => runFilters(x, chainNow(x, verdict, chain), entry.place))
    return
  }
  applyRoute(x)
}

function ask(x: Exchange, entry: FilterChain[number]): FilterVerdict {
  if (entry.kind === 'bound') return entry.filter.onRequest(callOf(x))
  const route = x.route?.source
  return route === undefined ? undefined : entry.filter.onRequest(route, x.view, x.deps.random)
}

/** The chain of the route that the request has now. */
function chainNow(x: Exchange, verdict: FilterVerdict, chain: FilterChain): FilterChain {
  if (verdict === undefined || (verdict.kind !== 'change' && verdict.kind !== 'wait')) return chain
  const { route, virtualHost } = x
  if (route === undefined || virtualHost === undefined) return chain
  return filterChainOf(x.deps, x.runtime, virtualHost, route)
}

function change(x: Exchange, verdict: Extract<FilterVerdict, { kind: 'change' }>): void {
  const { changes, rematch, stamps } = verdict
  x.filtered.changes ??= new RequestChanges()
  x.filtered.changes.add(changes, (name) => sentLines(x, name))
  x.filterHeaders = joinEncoded(x.filterHeaders, stamps)
  if (changes.path !== undefined) {
    x.canonicalPath = changes.path
    x.view.forgetPath()
  }
  if (!rematch || x.runtime.routes === undefined) return
  const decision = matchRoute(x.runtime.routes, x.view)
  x.route = decision.kind === 'matched' ? decision.route : undefined
  x.virtualHost = decision.kind === 'noVirtualHost' ? undefined : decision.virtualHost.source
}

function callOf(x: Exchange): FilterCall {
  return {
    request: x.view,
    get remoteHost() {
      return x.view.client.host
    },
    principal: x.view.downstreamPeerUriSan,
    contentLength: x.head.contentLength,
    connection: x.downstream.connection,
    get peer() {
      return peerOf(x)
    },
    get facts() {
      x.filtered.facts ??= new ExchangeFacts()
      return x.filtered.facts
    },
    fieldNames: () => fieldNames(x),
    fieldLines: (name) => fieldLines(x, name),
    whenBody: (maxBytes, use) => whenBody(x, maxBytes, use),
  }
}

function peerOf(x: Exchange): FilterPeer {
  const { view } = x
  return {
    remote: view.downstreamRemote,
    direct: view.downstreamDirect,
    local: view.downstreamLocal,
    protocol: view.protocol,
    requestId: view.requestId,
    tls: view.downstreamTls,
  }
}

function whenBody(x: Exchange, maxBytes: number, use: (body: FilterBody) => void): () => void {
  const tell = (): void => {
    const { held, request } = x
    use({ bytes: held.bytes.subarray(0, held.length), isComplete: request.done })
  }
  if (hasBodyFor(x, maxBytes)) {
    tell()
    return () => {}
  }
  x.filtered.bodyWaiter = { maxBytes, onBody: tell }
  x.downstream.resumeBody()
  return () => {
    x.filtered.bodyWaiter = undefined
  }
}

function obey(x: Exchange, verdict: FilterVerdict, goOn: () => void): void {
  if (verdict === undefined) goOn()
  else if (verdict.kind === 'reply') {
    x.failure = verdict.failure
    x.detail =
      verdict.failure === undefined ? (verdict.details ?? '') : failureText(verdict.failure)
    x.reply(verdict.reply)
  } else if (verdict.kind === 'stamp') {
    x.filterHeaders = joinEncoded(x.filterHeaders, verdict.headers)
    goOn()
  } else if (verdict.kind === 'encode') {
    x.encoders = [...x.encoders, verdict.encoder]
    x.requestHeaders = joinEncoded(x.requestHeaders, verdict.requestHeaders)
    goOn()
  } else if (verdict.kind === 'translate') {
    translate(x, verdict)
    if (x.request.undecodable) refuseUndecodable(x)
    else goOn()
  } else if (verdict.kind === 'watch') {
    x.watchers = [...x.watchers, verdict.onEnd]
    goOn()
  } else if (verdict.kind === 'limitBody') {
    x.filtered.maxBodyBytes = verdict.maxBytes
    if (bodyTooLong(x)) refuseBody(x)
    else goOn()
  } else if (verdict.kind === 'change') {
    change(x, verdict)
    goOn()
  } else if (verdict.kind === 'wait') {
    wait(x, verdict, goOn)
  } else {
    x.delayed = true
    x.cancelWait = x.deps.clock.after(verdict.delayMs, () => {
      x.cancelWait = undefined
      obey(x, verdict.then, goOn)
    })
  }
}

function translate(
  x: Exchange,
  { requestHeaders, decoder, encoder, contentType }: Extract<FilterVerdict, { kind: 'translate' }>,
): void {
  x.requestHeaders = joinEncoded(x.requestHeaders, requestHeaders)
  x.encoders = [...x.encoders, encoder]
  x.request.webContentType = contentType
  if (decoder !== undefined) x.request.decodeWith(decoder, x.held)
}

function wait(
  x: Exchange,
  verdict: Extract<FilterVerdict, { readonly kind: 'wait' }>,
  goOn: () => void,
): void {
  let answered = false
  const cancel = verdict.start((next) => {
    answered = true
    x.cancelWait = undefined
    obey(x, next, goOn)
  })
  // Whoever knew the answer at once has nothing to cancel.
  if (!answered) x.cancelWait = cancel
}

function applyRoute(x: Exchange): void {
  const { route } = x
  if (route === undefined) {
    withoutRoute(x)
    return
  }
  const { action } = route
  if (action.kind === 'forward') {
    forward(x, action)
    return
  }
  if (route.responseHeaders.length > 0) {
    x.filterHeaders = joinEncoded(x.filterHeaders, encodeHeaderOps(route.responseHeaders))
  }
  if (action.kind === 'redirect') x.reply(redirect(x, action))
  else x.reply({ status: action.source.status, body: action.source.body })
}

/** Guards have let it pass by now: a tunnel to a host of requests ends here, all else has no place. */
function withoutRoute(x: Exchange): void {
  const isTunnel = x.head.form === 'authority' && x.runtime.manager.upgrades.includes('connect')
  if (isTunnel && x.virtualHost !== undefined) endTunnelHere(x)
  else x.fail('noRoute', 'no route matches')
}

function redirect(x: Exchange, action: CompiledRedirect) {
  const location = redirectLocation(action, x.view)
  return { status: action.source.status, headers: [['location', location]] as const }
}

function forward(x: Exchange, action: CompiledForward): void {
  const { manager, clusters } = x.runtime
  const target = targetOfSession(x, action.targets) ?? pickTarget(action, x.deps.random)
  x.action = action
  x.target = target
  const cluster = clusters.get(target.cluster)
  if (cluster === undefined) {
    x.fail('noCluster', `no cluster is called ${target.cluster}`)
    return
  }
  if (!x.admit(cluster)) {
    x.fail('overflow', `too many requests are under way to ${target.cluster}`)
    return
  }
  const believed = !manager.useRemoteAddress && asksForTimeouts(x)
  const timeouts = timeoutsOf(action.source, x.view, manager.streamIdleTimeoutMs, believed)
  x.timers.requestMs = timeouts.requestMs
  x.timers.perTryMs = timeouts.perTryMs
  x.timers.idleMs = timeouts.idleMs
  const grpc = x.request.webContentType !== '' || isGrpc(x.view.requestHeader('content-type'))
  if (grpc) {
    x.request.messages = new GrpcMessages()
    x.request.messages.take(x.held.bytes, 0, x.held.length)
    takeGrpcDeadline(x, action.source.grpcTimeoutMaxMs)
  }
  if (action.source.hashPolicies.length > 0) x.hash = hashOf(x, action)
  if (x.head.form === 'authority') {
    openTunnel(x)
    return
  }
  x.upgrade = x.head.connectionUpgrade && isUpgrade(x, manager.upgrades)
  if (x.upgrade) {
    // A tunnel lives as long as its ends like; only its opening has a limit.
    x.timers.idleMs = 0
  }
  const streamMs = timeouts.streamMs ?? action.source.maxStreamDurationMs
  if (streamMs !== undefined && streamMs > 0) x.timers.limitStream(x.startedMs, streamMs)
  x.timers.arm(x.startedMs, x.request.done || x.grpcDeadline)
  askForBody(x)
  if (action.source.mirrors.length > 0) sendMirrors(x, action)
  if (
    x.head.at[FIELD['x-envoy-hedge-on-per-try-timeout']] !== 0 ||
    action.source.hedge !== undefined
  )
    startRace(x)
  startAttempt(x, false, 0)
}

/** The client's own deadline takes the place of the route's timeout, up to the route's maximum. */
function takeGrpcDeadline(x: Exchange, maxMs: number | undefined): void {
  if (maxMs === undefined) return
  const askedMs = parseGrpcTimeout(x.view.requestHeader('grpc-timeout'))
  if (askedMs === undefined) return
  x.timers.requestMs = maxMs === 0 ? askedMs : Math.min(askedMs, maxMs)
  x.grpcDeadline = true
}

function asksForTimeouts({ head }: Exchange): boolean {
  const { at } = head
  return (
    at[FIELD['x-envoy-upstream-rq-timeout-ms']] !== 0 ||
    at[FIELD['x-envoy-upstream-rq-per-try-timeout-ms']] !== 0 ||
    at[FIELD['x-envoy-expected-rq-timeout-ms']] !== 0 ||
    at[FIELD['x-envoy-upstream-stream-duration-ms']] !== 0
  )
}

/** Whether the request asks for a protocol that the listener lets through. */
function isUpgrade(x: Exchange, upgrades: readonly string[]): boolean {
  const { head, headBytes } = x
  const index = head.findKnown(FIELD.upgrade)
  if (index < 0 || upgrades.length === 0 || head.minor === 0) return false
  const at = index * SPAN
  const from = head.spans[at + 2] as number
  return upgrades.includes(lowerText(headBytes, from, head.spans[at + 3] as number))
}

function hashOf(x: Exchange, action: CompiledForward): number | undefined {
  const { hash, setCookies } = hashRequest(action.source.hashPolicies, {
    request: x.view,
    get sourceHost() {
      return x.view.client.host
    },
    createCookieValue: newCookieValue,
  })
  if (setCookies.length > 0) x.cookies = setCookies
  return hash
}
