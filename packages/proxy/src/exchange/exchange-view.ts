/**
 * An exchange as decisions, header templates and observers read it. Strings are
 * made when somebody asks, and at most once.
 */
import type {
  Cluster,
  Endpoint,
  Listener,
  RequestView,
  Route,
  SocketAddress,
  VirtualHost,
} from '@weft/model'
import type { TlsFacts } from '@weft/net'
import type { HeaderContext } from '@weft/traffic'
import { ascii, hashName, knownId, latin1, type MessageHead } from '@weft/wire'
import { relayedOf } from '../listen/relayed.ts'
import { clientAddress } from './client-address.ts'
import type { ExchangeRecord } from './contract.ts'
import type { Exchange } from './exchange.ts'
import type { FilterMetadata } from './exchange-facts.ts'
import { failureDetails, failureFlag } from './failures.ts'
import { grpcStatusIn } from './grpc.ts'
import { sentLines } from './request-fields.ts'
import {
  downstreamBytes,
  requestFieldBytes,
  responseFieldBytes,
  trailerBytes,
  upstreamBytes,
  type WireBytes,
} from './wire-bytes.ts'

/** `POST` as a number. */
const POST = 0x504f5354

export class ExchangeView implements RequestView, HeaderContext, ExchangeRecord {
  readonly #x: Exchange
  #method = ''
  #path: string | undefined

  constructor(exchange: Exchange) {
    this.#x = exchange
  }

  reset(): void {
    this.#method = ''
    this.#path = undefined
  }

  /** The exchange has a canonical path now. */
  forgetPath(): void {
    this.#path = undefined
  }

  get method(): string {
    if (this.#method === '') {
      const { headBytes, head } = this.#x
      // The methods that most requests have need no new string.
      if (isGet(headBytes, head)) this.#method = 'GET'
      else if (isPost(headBytes, head)) this.#method = 'POST'
      else this.#method = headBytes.toString('latin1', 0, head.methodEnd)
    }
    return this.#method
  }

  get scheme(): 'http' | 'https' {
    return this.#x.head.secure ? 'https' : 'http'
  }

  get authority(): string {
    return this.#x.authority
  }

  /** In its canonical form if the listener asks for it, else as sent. */
  get path(): string {
    this.#path ??= this.#x.canonicalPath ?? this.#readPath()
    return this.#path
  }

  #readPath(): string {
    const { headBytes, head } = this.#x
    if (head.form === 'asterisk') return '*'
    const path = latin1(headBytes, head.pathStart, head.pathEnd)
    return head.form === 'absolute' && !path.startsWith('/') ? `/${path}` : path
  }

  header(name: string): string | undefined {
    return this.requestHeader(name)
  }

  requestHeader(name: string): string | undefined {
    const changed = this.#x.filtered.changes?.lines(name)
    if (changed !== undefined) return changed.length === 0 ? undefined : changed.join(',')
    return lookUp(this.#x.head, this.#x.headBytes, name)
  }

  responseHeader(name: string): string | undefined {
    if (!this.#x.responseHeadDone) return undefined
    return lookUp(this.#x.response, this.#x.responseBytes, name)
  }

  claimTexts(path: readonly string[]): readonly string[] {
    return this.#x.filtered.facts?.claimTexts(path) ?? []
  }

  metadata(filter: string): FilterMetadata | undefined {
    const { filtered, downstream } = this.#x
    const left = filtered.facts?.metadata(filter)
    return left ?? relayedOf(downstream.remoteAddress)?.metadata.get(filter)
  }

  // What header templates ask for.

  get request(): RequestView {
    return this
  }

  get downstreamRemoteHost(): string {
    return this.client.host
  }
  get downstreamRemotePort(): number {
    return this.client.port
  }
  get downstreamDirectRemoteHost(): string {
    return this.downstreamDirect.host
  }
  get downstreamDirectRemotePort(): number {
    return this.downstreamDirect.port
  }
  get downstreamLocalHost(): string {
    return this.downstreamLocal.host
  }
  get downstreamLocalPort(): number {
    return this.downstreamLocal.port
  }
  get startTimeMs(): number {
    const { clock } = this.#x.deps
    return clock.nowMs() - (clock.monotonicMs() - this.#x.startedMs)
  }
  get routeName(): string {
    return this.route?.name ?? ''
  }
  get clusterName(): string {
    return this.cluster?.name ?? ''
  }
  get upstreamRemoteHost(): string | undefined {
    return this.upstreamAddress?.host
  }
  get upstreamRemotePort(): number | undefined {
    return this.upstreamAddress?.port
  }
  get downstreamPeerUriSan(): string | undefined {
    return this.#x.downstream.tls?.peer?.uriSans[0]
  }
  get downstreamTls(): TlsFacts | undefined {
    return this.#x.downstream.tls
  }
  get requestedServerName(): string | undefined {
    return this.#x.downstream.tls?.serverName
  }
  get responseCode(): number | undefined {
    return this.#x.status === 0 ? undefined : this.#x.status
  }

  // What observers ask for.

  get direction(): Listener['direction'] {
    return this.#x.runtime.direction
  }
  get listener(): string {
    return this.#x.runtime.listener
  }
  get protocol(): ExchangeRecord['protocol'] {
    if (this.#x.downstream.multiplexed) return 'HTTP/2'
    return this.#x.head.minor === 0 ? 'HTTP/1.0' : 'HTTP/1.1'
  }
  get logType(): ExchangeRecord['logType'] {
    return this.#x.logFlush?.logType
  }
  get status(): number {
    return this.#x.status
  }
  get responseFlags(): string {
    const { failure, delayed, retryEnd } = this.#x
    if (failure === undefined && !delayed && retryEnd === undefined) return '-'
    const flags: string[] = []
    if (delayed) flags.push('DI')
    if (failure !== undefined) flags.push(failureFlag(failure))
    if (retryEnd === 'limitExceeded') flags.push('URX')
    else if (retryEnd === 'overflow' && failure !== 'overflow') flags.push('UO')
    return flags.join(',')
  }
  get responseCodeDetails(): string {
    const { failure, responseHeadDone, detail } = this.#x
    if (failure !== undefined) return failureDetails(failure)
    return responseHeadDone ? 'via_upstream' : detail === '' ? 'direct_response' : detail
  }
  get grpcStatus(): string | undefined {
    const { answer, localGrpcStatus, responseHeadDone } = this.#x
    if (localGrpcStatus !== undefined) return localGrpcStatus
    // Without a head of an answer, `answer` is still the last exchange's.
    if (!responseHeadDone) return undefined
    const lines = answer.trailers
    const inTrailers = lines === undefined ? undefined : grpcStatusIn(lines.bytes, lines.length)
    return inTrailers ?? this.responseHeader('grpc-status')
  }
  responseTrailer(name: string): string | undefined {
    const { answer, responseHeadDone } = this.#x
    // Without a head of an answer, `answer` is still the last exchange's.
    const lines = responseHeadDone ? answer.trailers : undefined
    if (lines === undefined) return undefined
    for (const line of lines.bytes.toString('latin1', 0, lines.length).split('\r\n')) {
      const colon = line.indexOf(':')
      if (line.slice(0, colon).toLowerCase() === name) return line.slice(colon + 1).trim()
    }
    return undefined
  }
  get requestMessages(): number | undefined {
    const { request, localGrpcStatus } = this.#x
    // A gRPC call that was answered before it had a route was not counted.
    return request.messages?.count ?? (localGrpcStatus === undefined ? undefined : 0)
  }
  get responseMessages(): number | undefined {
    if (this.requestMessages === undefined) return undefined
    const { answer, responseHeadDone } = this.#x
    return responseHeadDone ? (answer.messages?.count ?? 0) : 0
  }
  get failureDetail(): string {
    return this.#x.failure === undefined ? '' : this.#x.detail
  }
  get requestBytes(): number {
    return this.#x.request.bytes
  }
  get responseBytes(): number {
    return this.#x.responseBodyBytes
  }
  /** Read when the exchange has just ended. */
  get startedAtMs(): number {
    return this.#x.deps.clock.nowMs() - this.durationMs
  }
  get durationMs(): number {
    return this.#x.endedMs - this.#x.startedMs
  }
  get upstreamMs(): number {
    const { firstByteMs, sentMs } = this.#x
    return firstByteMs < 0 ? -1 : firstByteMs - sentMs
  }
  get attempts(): number {
    return this.#x.attempts
  }
  get requestMs(): number | undefined {
    const { request, bodyDoneMs, startedMs } = this.#x
    if (!request.done) return undefined
    return bodyDoneMs === 0 ? 0 : bodyDoneMs - startedMs
  }
  get requestSentMs(): number | undefined {
    const { sentBy, sentMs, startedMs } = this.#x
    const { requestMs } = this
    if (sentBy === undefined || requestMs === undefined) return undefined
    return Math.max(requestMs, sentMs - startedMs)
  }
  get downstreamWire(): WireBytes {
    return downstreamBytes(this.#x)
  }
  get upstreamWire(): WireBytes {
    return upstreamBytes(this.#x)
  }
  get requestFieldBytes(): number {
    return requestFieldBytes(this.#x)
  }
  get responseFieldBytes(): number {
    return responseFieldBytes(this.#x)
  }
  get responseTrailerBytes(): number {
    return trailerBytes(this.#x)
  }
  get firstByteMs(): number | undefined {
    const { firstByteMs, startedMs } = this.#x
    return firstByteMs < 0 ? undefined : firstByteMs - startedMs
  }
  get retryEnd(): ExchangeRecord['retryEnd'] {
    return this.#x.retryEnd
  }
  get backoff(): ExchangeRecord['backoff'] {
    return this.#x.backoff
  }
  get hedges(): ExchangeRecord['hedges'] {
    return this.#x.race
  }
  get virtualHost(): VirtualHost | undefined {
    return this.#x.virtualHost
  }
  get route(): Route | undefined {
    return this.#x.route?.source
  }
  get cluster(): Cluster | undefined {
    return this.#x.cluster?.model
  }
  get endpoint(): Endpoint | undefined {
    return this.#x.host?.endpoint
  }
  get upstreamTls(): TlsFacts | undefined {
    return this.#x.sentBy?.socket.tls
  }
  get upstreamLocal(): SocketAddress | undefined {
    return this.#x.sentBy?.socket.localAddress
  }
  get upstreamProtocol(): ExchangeRecord['upstreamProtocol'] {
    const { sentBy } = this.#x
    return sentBy === undefined ? undefined : sentBy.multiplexed ? 'HTTP/2' : 'HTTP/1.1'
  }
  get upstreamAddress(): SocketAddress | undefined {
    return this.#x.host?.endpoint.address
  }
  get downstreamRemote(): SocketAddress {
    return this.#x.downstream.remoteAddress
  }
  get downstreamDirect(): SocketAddress {
    const { downstream } = this.#x
    return downstream.directAddress ?? downstream.remoteAddress
  }
  get client(): SocketAddress {
    const { runtime, downstream } = this.#x
    const { remoteAddress } = downstream
    const lines = () => sentLines(this.#x, 'x-forwarded-for')
    const host = clientAddress(runtime.manager, remoteAddress.host, lines)
    // Who is named by a header has no port that anybody knows.
    return host === remoteAddress.host ? remoteAddress : { host, port: 0 }
  }
  get downstreamLocal(): SocketAddress {
    return this.#x.downstream.localAddress
  }
  get requestId(): string {
    return this.#x.madeRequestId() ?? this.requestHeader('x-request-id') ?? ''
  }
}

function isPost(bytes: Buffer, head: MessageHead): boolean {
  return head.methodEnd === 4 && bytes.readInt32BE(0) === POST
}

function isGet(bytes: Buffer, head: MessageHead): boolean {
  return head.methodEnd === 3 && bytes[0] === 0x47 && bytes[1] === 0x45 && bytes[2] === 0x54
}

interface LookedUpName {
  readonly lower: Uint8Array
  readonly hash: number
  readonly known: number
}

const encodedNames = new Map<string, LookedUpName>()
const MAX_ENCODED_NAMES = 1_024

/** Names come from configuration, so there are few; the bound is for the day that they do not. */
function encodedName(name: string): LookedUpName {
  const known = encodedNames.get(name)
  if (known !== undefined) return known
  if (encodedNames.size >= MAX_ENCODED_NAMES) encodedNames.clear()
  const encoded = { lower: ascii(name), hash: hashName(name), known: knownId(name) }
  encodedNames.set(name, encoded)
  return encoded
}

/** All values of a field, joined as Envoy joins them. */
function lookUp(head: MessageHead, bytes: Buffer, name: string): string | undefined {
  const { lower, hash, known } = encodedName(name)
  if (known !== 0 && head.at[known] === 0) return undefined
  let index = head.find(bytes, 0, hash, lower)
  if (index < 0) return undefined
  let value = head.valueOf(bytes, 0, index)
  for (;;) {
    index = head.find(bytes, 0, hash, lower, index + 1)
    if (index < 0) return value
    value = `${value},${head.valueOf(bytes, 0, index)}`
  }
}
