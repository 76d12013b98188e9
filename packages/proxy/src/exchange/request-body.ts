/**
 * How the body of a request flows: kept while there is no connection, sent as
 * it comes after that, and thrown away once the answer is settled. What was
 * sent stays for another attempt while it is little.
 */

import type { Exchange } from './exchange.ts'
import { mirrorComplete } from './mirror.ts'
import { out } from './shared-out.ts'
import { pauseRequest } from './slow-sides.ts'

/** Of a request's body that is kept for another attempt, or until there is a connection. */
const MAX_HELD_BYTES = 65_536
/** A body of more than this is worth a buffer of its own. */
const BULK_BYTES = 65_536

/** Told when the body is complete, or longer than what is wanted of it. */
export interface BodyWaiter {
  readonly maxBytes: number
  onBody(): void
}

/** @returns The offset just past what was taken of the body, or a problem. */
export function takeRequestBody(
  exchange: Exchange,
  bytes: Buffer,
  from: number,
  end: number,
): number {
  exchange.timers.quiet = 0
  const { request } = exchange
  let at: number
  if (exchange.discarding) at = request.relay(bytes, from, end, undefined)
  else if (!exchange.sending) at = holdBody(exchange, bytes, from, end)
  else at = sendBody(exchange, bytes, from, end)
  if (at < 0) return at
  if (bodyTooLong(exchange)) refuseBody(exchange)
  else if (request.undecodable && !exchange.discarding) refuseUndecodable(exchange)
  else if (request.done) requestDone(exchange)
  tellBodyWaiter(exchange)
  return at
}

/** Whether what a filter wants of the body is here. */
export function hasBodyFor({ request, held }: Exchange, maxBytes: number): boolean {
  return request.done || held.length > maxBytes
}

function tellBodyWaiter(exchange: Exchange): void {
  const { bodyWaiter } = exchange.filtered
  if (bodyWaiter === undefined || !hasBodyFor(exchange, bodyWaiter.maxBytes)) return
  exchange.filtered.bodyWaiter = undefined
  bodyWaiter.onBody()
}

export function bodyTooLong({ filtered, request, discarding }: Exchange): boolean {
  const { maxBodyBytes } = filtered
  return maxBodyBytes > 0 && request.bytes > maxBodyBytes && !discarding
}

/** The upstream does not get what is too much, nor an end: it cannot take the body for complete. */
export function refuseBody(exchange: Exchange): void {
  const detail = 'request_payload_too_large'
  if (exchange.answered) {
    exchange.fail('badRequest', detail)
    return
  }
  exchange.detail = detail
  exchange.reply({ status: 413, body: 'Payload Too Large' })
}

/** As Envoy answers base64 that is none; its connection ends, as the rest cannot be read. */
export function refuseUndecodable(exchange: Exchange): void {
  const detail = 'grpc_base_64_decode_failed'
  if (exchange.answered) {
    exchange.fail('badRequest', detail)
    return
  }
  exchange.detail = detail
  exchange.reply({ status: 400, body: 'Bad gRPC-web request, invalid base64 data.' })
}

function holdBody(exchange: Exchange, bytes: Buffer, from: number, end: number): number {
  const { request, held } = exchange
  const at = request.relay(bytes, from, end, held)
  askForLargeReads(exchange)
  const { bodyWaiter } = exchange.filtered
  const most = Math.max(MAX_HELD_BYTES, bodyWaiter?.maxBytes ?? 0)
  if (held.length > most && !request.done) pauseRequest(exchange, held.length)
  return at
}

function sendBody(exchange: Exchange, bytes: Buffer, from: number, end: number): number {
  const { request, connection, downstream } = exchange
  if (connection === undefined) return end
  if (exchange.replayable && exchange.held.length + end - from > MAX_HELD_BYTES) {
    exchange.replayable = false
    exchange.dropHeld()
  }
  const isBulk = bytes.length > BULK_BYTES && request.framing === 'fixed'
  if (isBulk && !exchange.replayable && request.decoder === undefined) {
    const to = Math.min(end, from + request.left)
    request.took(to - from)
    const taken = connection.sendBulk(bytes.subarray(from, to), request.done)
    if (!taken && !request.done) pauseRequest(exchange, to - from)
    if (request.done) downstream.bulkBody(false)
    return to
  }
  out.clear()
  const at = exchange.replayable
    ? keepAndFrame(exchange, bytes, from, end)
    : request.relay(bytes, from, end, out)
  if (at < 0 || bodyTooLong(exchange) || request.undecodable) return at
  const taken = connection.send(0, request.done, request.trailers)
  if (!taken && !request.done) pauseRequest(exchange, end - from)
  askForLargeReads(exchange)
  return at
}

/** From the next read on, if what is left is worth it. */
function askForLargeReads({ request, downstream }: Exchange): void {
  if (request.framing === 'fixed' && request.left > BULK_BYTES) downstream.bulkBody(true)
}

/** Keeps what is about to be sent for another attempt, while it is little. */
function keepAndFrame(exchange: Exchange, bytes: Buffer, from: number, end: number): number {
  const { held, request } = exchange
  const before = held.length
  const { chunkedOut } = request
  request.chunkedOut = false
  const at = request.relay(bytes, from, end, held)
  request.chunkedOut = chunkedOut
  if (at < 0) return at
  request.append(held.bytes, before, held.length, out)
  if (request.done) request.appendEnd(out)
  return at
}

function requestDone(exchange: Exchange): void {
  const { timers } = exchange
  exchange.bodyDoneMs = exchange.deps.clock.monotonicMs()
  if ((timers.requestMs > 0 || timers.limitsBody) && !exchange.answered) {
    timers.requestDone(exchange.bodyDoneMs)
  }
  mirrorComplete(exchange)
  if (exchange.discarding) exchange.finish()
}
