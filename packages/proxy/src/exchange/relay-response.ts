/**
 * From the upstream's bytes to the client's: interim answers, the final head, the
 * body. Head and the body bytes that came with it leave in one write.
 */
import { createHash } from 'node:crypto'
import { unreachable } from '@weft/base'
import { type AttemptOutcome, NO_HEADER_OPS } from '@weft/traffic'
import { FIELD, parseResponseHead, problemText, SPAN } from '@weft/wire'
import { httpFilters } from '../filters/catalog.ts'
import type { StreamLoss } from '../upstream/upstream-user.ts'
import { type AnswerCoding, chooseCoding } from './answer-coding.ts'
import type { BodyFraming } from './body-relay.ts'
import { startUpgradeTunnel } from './connect-tunnel.ts'
import {
  type EncodedHeaders,
  encodeHeaderOps,
  encodeStamps,
  joinEncoded,
} from './encoded-headers.ts'
import type { Exchange } from './exchange.ts'
import { GrpcMessages } from './grpc.ts'
import { spellNames } from './header-case.ts'
import { keepAliveSeconds } from './keep-alive.ts'
import { attemptFailed, retryAnswer } from './retrying.ts'
import { out } from './shared-out.ts'
import { mayKeepAnswer, pauseAnswer } from './slow-sides.ts'
import { added, stampsOf } from './stamps.ts'
import { writeInterimHead, writeResponseHead } from './write-response.ts'

/** More interim answers than this are a flood (RFC 9110 sets no limit). */
const MAX_INTERIMS = 16
const HEAD_LIMIT_BYTES = 61_440
const BULK_BYTES = 65_536
const SWITCHING = 101
const EMPTY = encodeStamps([{ name: 'content-length', value: '0' }])

export function relayResponse(x: Exchange, bytes: Buffer, length: number): void {
  out.clear()
  let at = 0
  while (!x.responseHeadDone) {
    at = readHead(x, bytes, at, length)
    if (at < 0) return
    if (!x.responseHeadDone) {
      // Only interim answers so far, or half a head.
      x.downstream.send(0, false, undefined)
      return
    }
    if (x.response.status >= 200) break
    at = relayInterim(x, at)
    if (at < 0) return
    if (x.response.status === SWITCHING) {
      switchProtocols(x, bytes, at, length)
      return
    }
    x.response.reset()
    x.responseLength = 0
    x.responseHeadDone = false
    if (at === length) {
      x.downstream.send(0, false, undefined)
      return
    }
  }
  let headLength = 0
  if (!x.answered) {
    if (!beginAnswer(x, framingOf(x))) return
    headLength = out.length
  }
  relayBody(x, bytes, at, length, headLength)
}

/** An HTTP/2 upstream's head lies in `x.response`. `last`: nothing follows it. */
export function relayHead(x: Exchange, last: boolean): void {
  const { response } = x
  out.clear()
  x.responseHeadDone = true
  if (response.status < 200) {
    if (relayInterim(x, 0) < 0) return
    x.downstream.send(0, false, undefined)
    response.reset()
    x.responseLength = 0
    x.responseHeadDone = false
    return
  }
  if (x.upgrade && response.status < 300 && !last) {
    switchProtocols(x, x.responseBytes, 0, 0)
    return
  }
  if (!beginAnswer(x, last ? 'none' : 'stream')) return
  x.downstream.send(out.length, last, undefined)
  if (last) endAnswer(x, false)
}

/** A piece of an HTTP/2 upstream's body. */
export function relayStream(
  x: Exchange,
  bytes: Buffer,
  from: number,
  end: number,
  last: boolean,
): void {
  const { answer, connection, downstream } = x
  if (connection === undefined) return
  if (!mayKeepAnswer(x, end - from)) return
  answer.ending = last
  if (x.coding !== undefined) {
    codeBody(x, x.coding, bytes, from, end)
    return
  }
  out.clear()
  answer.relay(bytes, from, end, x.bodyless ? undefined : out)
  x.responseBodyBytes = x.bodyless ? 0 : answer.bytes
  if (last && x.head.minor === 0) x.mustClose = true
  if (!downstream.send(0, last, answer.trailers) && !last) pauseAnswer(x, connection, end - from)
  if (last) endAnswer(x, false)
}

/** The stream was given up by the upstream, or with its connection. */
export function upstreamReset(x: Exchange, loss: StreamLoss, detail: string): void {
  x.eventMs = 0
  const reused = x.connection?.reused === true
  x.dropConnection()
  if (x.answered) x.fail('upstreamCut', detail)
  else attemptFailed(x, outcomeOf(loss, reused), 'upstreamReset', detail)
}

function outcomeOf(loss: StreamLoss, reused: boolean): AttemptOutcome {
  switch (loss) {
    case 'refused':
      return { kind: 'refusedStream' }
    case 'unprocessed':
      return { kind: 'reset', sentBytes: 0, reused: true }
    case 'reset':
      return { kind: 'reset', sentBytes: 1, reused: false }
    case 'lost':
      return { kind: 'reset', sentBytes: 1, reused }
    default:
      return unreachable(loss)
  }
}

/** @returns The offset past the head, anything when more is needed, -1 when the attempt is over. */
function readHead(x: Exchange, bytes: Buffer, from: number, end: number): number {
  const { response } = x
  const before = x.responseLength
  if (before === 0) {
    const result = parseResponseHead(response, bytes, from, end, HEAD_LIMIT_BYTES)
    if (result < 0) return refuse(x, problemText(result))
    x.appendResponse(bytes, from, result === 0 ? end : result)
    x.responseHeadDone = result > 0
    return result
  }
  x.appendResponse(bytes, from, end)
  const result = parseResponseHead(response, x.responseBytes, 0, x.responseLength, HEAD_LIMIT_BYTES)
  if (result < 0) return refuse(x, problemText(result))
  x.responseHeadDone = result > 0
  return result === 0 ? 0 : from + result - before
}

function refuse(x: Exchange, problem: string): -1 {
  x.dropConnection()
  x.fail('upstreamProtocol', problem)
  return -1
}

/** @returns The offset, or -1 when the attempt is over. */
function relayInterim(x: Exchange, at: number): number {
  const { status } = x.response
  if (++x.interims > MAX_INTERIMS) return refuse(x, 'too many interim answers')
  if (status === SWITCHING)
    return x.upgrade ? at : refuse(x, 'switches protocols without having been asked')
  // HTTP/1.0 knows no interim answers (RFC 9110, section 15.2).
  if (x.head.minor > 0) {
    const from = out.length
    writeInterimHead(x.response, x.responseBytes, out)
    x.downstream.sendInterim(from)
  }
  return at
}

function switchProtocols(x: Exchange, bytes: Buffer, at: number, length: number): void {
  x.status = SWITCHING
  x.answered = true
  x.firstByteMs = x.deps.clock.monotonicMs()
  if (x.connection?.multiplexed === true || x.downstream.multiplexed) {
    x.answerPlan.accept = acceptOf(x)
  }
  writeHead(x, false, true)
  x.answerPlan.accept = undefined
  x.downstream.send(out.length, false, undefined)
  startUpgradeTunnel(x, Buffer.from(bytes.subarray(at, length)))
}

/** RFC 6455, section 4.2.2; empty for a client that sent no key, as those of HTTP/2 do not. */
function acceptOf(x: Exchange): string {
  const key = x.view.requestHeader('sec-websocket-key')
  if (key === undefined) return ''
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

/** The final head is there: retries it or writes it. False when the attempt is over. */
function beginAnswer(x: Exchange, framing: BodyFraming): boolean {
  const { response, cluster, host, deps } = x
  const { status } = response
  const nowMs = deps.clock.monotonicMs()
  x.eventMs = nowMs
  if (x.firstByteMs < 0) x.firstByteMs = nowMs
  if (cluster !== undefined && host !== undefined) {
    cluster.noteDone(host, { status, latencyMs: nowMs - x.sentMs }, nowMs)
  }
  if (mayBeRepeated(x) && isLookedAt(x, status) && retryAnswer(x, nowMs)) {
    return false
  }
  x.race?.cancel()
  x.releaseRetries()
  x.bodyless = isBodyless(x)
  if (framing === 'none') tellEmpty(x)
  const lengthKnown = framing === 'stream' && response.contentLength >= 0
  const open = framing === 'chunked' || framing === 'untilClose' || framing === 'stream'
  const codable = x.head.minor > 0 && !x.downstream.multiplexed
  const hasBody = !x.bodyless && framing !== 'none' && response.contentLength !== 0
  if (x.encoders.length > 0) x.coding = chooseCoding(x, codable, hasBody)
  const { coding } = x
  const chunked = coding?.chunked ?? (open && !lengthKnown && !x.bodyless && codable)
  x.answer.start(framing, response.contentLength, chunked && coding === undefined)
  if (x.request.messages !== undefined) x.answer.messages = new GrpcMessages()
  x.status = status
  x.mustClose = x.closesAfterwards() || !x.request.done
  x.answered = true
  writeHead(x, chunked, false)
  if (coding !== undefined) {
    x.downstream.send(out.length, false, undefined)
    return true
  }
  if (framing === 'fixed' && x.answer.left > BULK_BYTES) x.connection?.bulkBody(true)
  return true
}

/** HTTP/2 ended the answer with its head; HTTP/1.1 has to say so. */
function tellEmpty(x: Exchange): void {
  if (x.bodyless || x.response.contentLength >= 0 || x.downstream.multiplexed) return
  x.filterHeaders = joinEncoded(x.filterHeaders, EMPTY)
}

function isBodyless({ view, response: { status } }: Exchange): boolean {
  return view.method === 'HEAD' || status === 204 || status === 304
}

/** How an HTTP/1.1 answer tells its end. */
function framingOf(x: Exchange): BodyFraming {
  const { response } = x
  if (isBodyless(x)) return 'none'
  if (response.chunked) return 'chunked'
  return response.contentLength >= 0 ? 'fixed' : 'untilClose'
}

/** Somebody asks for repeats: the route, or the request itself. */
function mayBeRepeated({ action, head, race }: Exchange): boolean {
  if (action?.source.retry !== undefined || race !== undefined) return true
  const { at } = head
  return at[FIELD['x-envoy-retry-on']] !== 0 || at[FIELD['x-envoy-retry-grpc-on']] !== 0
}

/** Cheap, and never false for an answer that a policy repeats. */
function isLookedAt(x: Exchange, status: number): boolean {
  if (status >= 400 || x.head.at[FIELD['x-envoy-retry-on']] !== 0) return true
  const policy = x.action?.source.retry
  if (policy?.answerHeaders !== undefined || policy?.statusCodes.includes(status) === true) {
    return true
  }
  return hasGrpcStatus(x)
}

function hasGrpcStatus(x: Exchange): boolean {
  return x.view.responseHeader('grpc-status') !== undefined
}

function writeHead(x: Exchange, chunked: boolean, upgrade: boolean): void {
  const { target, response, responseBytes, runtime } = x
  const ops = target?.responseHeaders ?? NO_HEADER_OPS
  if (x.cookies.length > 0 || x.route?.source.cors !== undefined) x.filterHeaders = filterHeaders(x)
  const { answerPlan: plan } = x
  plan.bytes = responseBytes
  plan.close = x.mustClose
  plan.chunked = chunked
  plan.dropLength =
    chunked || upgrade || x.coding !== undefined || response.status === 204 || response.status < 200
  plan.upgrade = upgrade
  const isTold = x.runtime.manager.suppressEnvoyHeaders !== true
  plan.serviceTimeMs = isTold ? Math.round(x.firstByteMs - x.sentMs) : -1
  plan.route = ops.length === 0 ? undefined : encodeHeaderOps(ops)
  plan.stamps = stampsOf(runtime).response
  const { serverHeader, headerCase } = runtime.manager
  if (serverHeader?.kind === 'ifAbsent' && x.view.responseHeader('server') === undefined) {
    x.filterHeaders = joinEncoded(x.filterHeaders, added('server', serverHeader.value))
  }
  plan.filters = x.filterHeaders
  const from = out.length
  writeResponseHead(plan, out)
  if (headerCase !== undefined && !x.downstream.multiplexed) {
    spellNames(out.bytes, from, out.length, headerCase)
  }
}

/** What filters and hash policies add to the answer. */
export function filterHeaders(x: Exchange): EncodedHeaders | undefined {
  const route = x.route?.source
  if (route === undefined) return undefined
  let all = joinEncoded(x.filterHeaders, cookieHeaders(x))
  for (const { kind } of x.runtime.manager.filters) {
    all = joinEncoded(all, httpFilters[kind]?.onResponse?.(route, x.view))
  }
  return all
}

function cookieHeaders(x: Exchange): EncodedHeaders | undefined {
  if (x.cookies.length === 0) return undefined
  const lines = x.cookies.map((value) => ({ name: 'set-cookie', value }))
  return { cuts: [], lines: encodeStamps(lines).lines }
}

function relayBody(
  x: Exchange,
  bytes: Buffer,
  from: number,
  end: number,
  headLength: number,
): void {
  const { answer, connection, downstream } = x
  if (connection === undefined) return
  if (!mayKeepAnswer(x, end - from)) {
    out.clear()
    return
  }
  if (x.coding !== undefined) {
    codeBody(x, x.coding, bytes, from, end)
    return
  }
  let at = from
  if (bytes.length > BULK_BYTES && answer.framing === 'fixed' && out.length === 0 && from < end) {
    // A buffer of its own: sent without a copy, and not read into again before it is taken.
    at = Math.min(end, from + answer.left)
    answer.took(at - from)
    const taken = downstream.sendBulk(bytes.subarray(from, at), answer.done)
    if (!taken && !answer.done) pauseAnswer(x, connection, at - from)
  } else {
    if (from < end && !answer.done) at = answer.relay(bytes, from, end, out)
    if (at < 0) {
      out.clear()
      x.dropConnection()
      x.fail('upstreamCut', problemText(at))
      return
    }
    if (!downstream.send(headLength, answer.done, answer.trailers) && !answer.done) {
      pauseAnswer(x, connection, end - from)
    }
  }
  x.responseBodyBytes = answer.bytes
  if (answer.done) endAnswer(x, at < end)
}

/** Into the coding; the exchange ends when that is through. */
function codeBody(
  x: Exchange,
  coding: AnswerCoding,
  bytes: Buffer,
  from: number,
  end: number,
): void {
  const { answer, connection } = x
  if (connection === undefined) return
  const at = answer.done ? from : answer.relay(bytes, from, end, coding.plain)
  if (at < 0) {
    x.dropConnection()
    x.fail('upstreamCut', problemText(at))
    return
  }
  if (!coding.take(answer.done) && !answer.done) connection.pauseBody()
  if (answer.done) releaseUpstream(x, at < end)
}

/** @param surplus The upstream sent more than its answer: whose that is nobody knows. */
function endAnswer(x: Exchange, surplus: boolean): void {
  releaseUpstream(x, surplus)
  x.finish()
}

function releaseUpstream(x: Exchange, surplus: boolean): void {
  const { connection, response, request } = x
  x.connection = undefined
  if (connection !== undefined) {
    if (response.at[FIELD['keep-alive']] !== 0) noteKeepAlive(x)
    connection.bulkBody(false)
    const reusable =
      !surplus &&
      request.done &&
      !response.connectionClose &&
      (response.minor > 0 || response.connectionKeepAlive) &&
      x.answer.framing !== 'untilClose'
    if (reusable) connection.release(x.eventMs !== 0 ? x.eventMs : x.deps.clock.monotonicMs())
    else connection.discard()
  }
  if (!request.done) x.mustClose = true
}

/** `Keep-Alive: timeout=5` says when the upstream will close an idle connection. */
function noteKeepAlive(x: Exchange): void {
  const { response, responseBytes, host, cluster } = x
  const at = response.findKnown(FIELD['keep-alive']) * SPAN
  const from = response.spans[at + 2] as number
  const seconds = keepAliveSeconds(responseBytes, from, response.spans[at + 3] as number)
  if (seconds >= 0 && host !== undefined) cluster?.poolOf(host).noteKeepAlive(seconds * 1_000)
}

/** The upstream ended or lost the connection. `error` is absent after an orderly end. */
export function upstreamEnded(x: Exchange, error: Error | undefined): void {
  x.eventMs = 0
  const { answer, connection } = x
  if (!x.answered) {
    const reused = connection?.reused ?? false
    const partial = x.responseLength > 0
    const { sending, request } = x
    x.dropConnection()
    const why = error?.message ?? 'end of stream'
    if (partial) {
      x.fail('upstreamProtocol', `incomplete head: ${why}`)
      return
    }
    const bodyWithheld = !request.done && request.bytes === 0
    const outcome = { kind: 'reset', sentBytes: sending ? 1 : 0, reused, bodyWithheld } as const
    attemptFailed(x, outcome, 'upstreamReset', `${reused ? 'reused connection: ' : ''}${why}`)
    return
  }
  if (answer.framing === 'untilClose' && error === undefined) {
    if (x.coding !== undefined) {
      answer.finish(undefined)
      x.coding.take(true)
      releaseUpstream(x, false)
      return
    }
    out.clear()
    answer.finish(out)
    x.downstream.send(0, true, undefined)
    // An HTTP/1.0 client learns of the end by ours.
    if (x.head.minor === 0) x.mustClose = true
    endAnswer(x, false)
    return
  }
  x.dropConnection()
  x.fail('upstreamCut', error?.message ?? 'end of stream inside the answer')
}
