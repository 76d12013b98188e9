/** The request head that an upstream gets. */
import { randomBytes } from 'node:crypto'
import type { ForwardClientCert } from '@weft/model'
import {
  ascii,
  equalsIgnoreCase,
  FIELD,
  type MessageHead,
  type OutBuffer,
  pieceOf,
  SPAN,
} from '@weft/wire'
import type { EncodedHeaders } from './encoded-headers.ts'
import type { ExchangeView } from './exchange-view.ts'
import { forwardedClientCert, keepsClientCert } from './forwarded-client-cert.ts'
import { renderGrpcTimeout } from './grpc.ts'
import type { RequestId } from './request-id.ts'
import { hasUnderscore } from './underscores.ts'
import {
  CRLF,
  copyKept,
  cutHopByHop,
  cutKnown,
  cutLine,
  cutNames,
  cuts,
  writeLines,
} from './write-message.ts'

/** Filled anew for each attempt; the object is reused. */
export interface RequestPlan {
  readonly head: MessageHead
  bytes: Buffer
  readonly view: ExchangeView
  /** What becomes of `x-forwarded-client-cert`; absent: it is taken away. */
  clientCert: ForwardClientCert | undefined
  /** Path with query when it differs from the target as sent. */
  path: string | undefined
  /** What the route has rewritten, with query; absent: nothing, or nobody is told. */
  originalPath: string | undefined
  /** Host when it differs from the Host line as sent. */
  authority: string | undefined
  /** Name of the protocol that is switched to: the Upgrade line goes on. */
  upgrade: boolean
  /** The upstream is an HTTP/2 stream. */
  multiplexed: boolean
  /** The proxy asked for the body: nobody behind it has to. */
  expectationMet: boolean
  /** What is left of a gRPC deadline; 0 leaves the client's as it is. */
  grpcTimeoutMs: number
  /** The body has no coding yet and needs one. */
  chunked: boolean
  /** Client and its headers come from outside the mesh. */
  edge: boolean
  /** How many proxies in front of us are believed. */
  trustedHops: number
  attempts: number
  /** Hops behind this one are told that it makes the repeats. */
  retryToken: boolean
  /** In milliseconds; 0 when there is no limit. */
  timeoutMs: number
  generateId: boolean
  /** Fields with an underscore in their name stay here. */
  dropUnderscores: boolean
  /** In place of the client's, which is none. */
  traceparent: string | undefined
  dropBaggage: boolean
  /** The route's operations; absent when there are none. */
  route: EncodedHeaders | undefined
  /** The listener's stamps; absent when there are none. */
  stamps: EncodedHeaders | undefined
  /** Of what was written, in bytes; 0: nothing was. */
  headLength: number
  /** Of these, the start line with its end. */
  lineLength: number
  /** Remembers the request id that is made here. */
  readonly id: RequestId
}

export function newRequestPlan(
  head: MessageHead,
  bytes: Buffer,
  view: ExchangeView,
  id: RequestId,
): RequestPlan {
  return {
    head,
    bytes,
    view,
    clientCert: undefined,
    path: undefined,
    originalPath: undefined,
    authority: undefined,
    upgrade: false,
    multiplexed: false,
    expectationMet: false,
    grpcTimeoutMs: 0,
    chunked: false,
    edge: false,
    trustedHops: 0,
    attempts: 1,
    retryToken: false,
    timeoutMs: 0,
    generateId: false,
    dropUnderscores: false,
    traceparent: undefined,
    dropBaggage: false,
    route: undefined,
    stamps: undefined,
    headLength: 0,
    lineLength: 0,
    id,
  }
}

const ORIGINAL_PATH = 'x-envoy-original-path'
const KEY_NAME = 'sec-websocket-key'
const CHUNKED = ascii('transfer-encoding: chunked\r\n')
const TE_TRAILERS = ascii('te: trailers\r\n')
const HTTP11 = pieceOf(ascii(' HTTP/1.1\r\n'))
const HOST = ascii('host: ')
const UPGRADE = ascii('connection: upgrade\r\n')
const FORWARDED_FOR = ascii('x-forwarded-for: ')
const COMMA_BLANK = ascii(', ')
const PROTO = ascii('x-forwarded-proto: http\r\n')
/** What nearly every request gets, in one piece. */
const PROTO_AND_ONE = pieceOf(ascii('x-forwarded-proto: http\r\nx-envoy-attempt-count: 1\r\n'))
const PROTO_HTTPS = ascii('x-forwarded-proto: https\r\n')
const ATTEMPT_ONE = ascii('x-envoy-attempt-count: 1\r\n')
const ATTEMPT = ascii('x-envoy-attempt-count: ')
/** Whoever finds it repeats nothing that an upstream may have seen (features.md, F8). */
const RETRY_TOKEN = ascii('x-weft-retry-token: held\r\n')
const EXPECTED_MS = pieceOf(ascii('x-envoy-expected-rq-timeout-ms: '))

export function writeRequestHead(plan: RequestPlan, out: OutBuffer): void {
  const { head, bytes } = plan
  const from = out.length
  writeRequestLine(plan, out)
  plan.lineLength = out.length - from
  cutHopByHop(head, bytes)
  cutOurs(plan)
  if (plan.route !== undefined) cutNames(head, bytes, plan.route.cuts)
  if (plan.stamps !== undefined) cutNames(head, bytes, plan.stamps.cuts)
  copyKept(head, bytes, out)
  if (plan.authority !== undefined) {
    out.append(HOST)
    out.latin1(plan.authority)
    out.piece(CRLF)
  }
  if (plan.chunked) out.append(CHUNKED)
  if (plan.grpcTimeoutMs > 0)
    out.latin1(`grpc-timeout: ${renderGrpcTimeout(plan.grpcTimeoutMs)}\r\n`)
  if (plan.multiplexed && takesTrailers(plan)) out.append(TE_TRAILERS)
  if (plan.upgrade) {
    out.append(UPGRADE)
    // HTTP/2 has no use for the key (RFC 8441, section 5), HTTP/1.1 demands one. Ours goes on over
    // HTTP/2, because an Envoy there makes none of its own for the server behind it.
    if (!plan.multiplexed && plan.view.requestHeader(KEY_NAME) === undefined) {
      out.latin1(`${KEY_NAME}: ${randomBytes(16).toString('base64')}\r\n`)
    }
  }
  writeOurs(plan, out)
  if (plan.route !== undefined) writeLines(plan.route, plan.view, out)
  if (plan.stamps !== undefined) writeLines(plan.stamps, plan.view, out)
  out.piece(CRLF)
}

/** The one word of TE that travels (RFC 9113, section 8.2.2). */
function takesTrailers({ head, view }: RequestPlan): boolean {
  if (head.at[FIELD.te] === 0) return false
  return /(?:^|,)\s*trailers\s*(?:,|$)/i.test(view.requestHeader('te') ?? '')
}

function writeRequestLine({ head, bytes, path }: RequestPlan, out: OutBuffer): void {
  if (path === undefined && head.form !== 'absolute') out.copy(bytes, 0, head.targetEnd)
  else {
    out.copy(bytes, 0, head.targetStart)
    if (path !== undefined) out.latin1(path)
    else {
      // `http://host` and `http://host?query` mean the path `/`.
      if (bytes[head.pathStart] !== 0x2f) out.latin1('/')
      out.copy(bytes, head.pathStart, head.pathEnd)
    }
  }
  out.piece(HTTP11)
}

/** What the listener does not let through, or not as it is. */
function cutUnwanted({
  head,
  bytes,
  traceparent,
  dropBaggage,
  dropUnderscores,
}: RequestPlan): void {
  if (traceparent !== undefined) {
    cutKnown(head, FIELD.traceparent)
    cutLine(head, bytes, 'tracestate')
  }
  if (dropBaggage) cutLine(head, bytes, 'baggage')
  if (!dropUnderscores) return
  for (let i = 0; i < head.count; i++) if (hasUnderscore(bytes, head.spans, i)) cuts[i] = 1
}

/** Lines that we write ourselves, or that must not pass. */
function cutOurs(plan: RequestPlan): void {
  const { head } = plan
  if (plan.authority !== undefined) cutKnown(head, FIELD.host)
  if (plan.upgrade) {
    const upgrade = head.findKnown(FIELD.upgrade)
    if (upgrade >= 0) cuts[upgrade] = 0
  }
  // An expectation without a body to wait for would make an upstream wait.
  const hasBody = head.contentLength > 0 || head.chunked
  if (plan.expectationMet || (head.expectsContinue && !hasBody)) cutKnown(head, FIELD.expect)
  if (plan.grpcTimeoutMs > 0) cutLine(head, plan.bytes, 'grpc-timeout')
  if (plan.originalPath !== undefined) cutLine(head, plan.bytes, ORIGINAL_PATH)
  cutKnown(head, FIELD['x-envoy-attempt-count'])
  cutKnown(head, FIELD['x-envoy-expected-rq-timeout-ms'])
  // Wishes that were for this hop: the next one would add its repeats to ours.
  for (let i = 0; i < WISHES.length; i++) cutKnown(head, WISHES[i] as number)
  if (head.at[FIELD['x-forwarded-client-cert']] !== 0) {
    const isKept = keepsClientCert(plan.clientCert, plan.view.downstreamTls)
    if (!isKept) cutKnown(head, FIELD['x-forwarded-client-cert'])
  }
  cutUnwanted(plan)
  if (plan.edge) cutFromOutside(plan)
}

const WISHES = [
  FIELD['x-envoy-max-retries'],
  FIELD['x-envoy-retry-on'],
  FIELD['x-envoy-retry-grpc-on'],
  FIELD['x-envoy-upstream-rq-timeout-ms'],
  FIELD['x-envoy-upstream-rq-per-try-timeout-ms'],
  FIELD['x-envoy-hedge-on-per-try-timeout'],
  FIELD['x-envoy-upstream-stream-duration-ms'],
  FIELD['x-envoy-upstream-rq-timeout-alt-response'],
]
const ENVOY_PREFIX = ascii('x-envoy-')
const WEFT_PREFIX = ascii('x-weft-')
/** The same claims as `x-forwarded-…` under other names; nobody behind us may read them as ours. */
const FORWARDED = ascii('forwarded')
const REAL_IP = ascii('x-real-ip')

/** What only the mesh may say, and forwarding facts of hops that are not trusted. */
function cutFromOutside(plan: RequestPlan): void {
  const { head, bytes } = plan
  cutKnown(head, FIELD['x-forwarded-for'])
  if (plan.trustedHops === 0) {
    cutKnown(head, FIELD['x-forwarded-proto'])
    cutKnown(head, FIELD['x-forwarded-host'])
    cutKnown(head, FIELD['x-forwarded-port'])
    cutKnown(head, FIELD['x-request-id'])
  }
  for (let i = 0; i < head.count; i++) {
    const start = head.spans[i * SPAN] as number
    const nameEnd = head.spans[i * SPAN + 1] as number
    const first = (bytes[start] as number) | 0x20
    if (first === 0x66) {
      if (plan.trustedHops === 0 && equalsIgnoreCase(bytes, start, nameEnd, FORWARDED)) cuts[i] = 1
      continue
    }
    if (first !== 0x78) continue
    if (plan.trustedHops === 0 && equalsIgnoreCase(bytes, start, nameEnd, REAL_IP)) cuts[i] = 1
    const envoy = equalsIgnoreCase(bytes, start, start + ENVOY_PREFIX.length, ENVOY_PREFIX)
    if (envoy || equalsIgnoreCase(bytes, start, start + WEFT_PREFIX.length, WEFT_PREFIX)) {
      cuts[i] = 1
    }
  }
}

function writeOurs(plan: RequestPlan, out: OutBuffer): void {
  const { head } = plan
  const believed = !plan.edge || plan.trustedHops > 0
  if (plan.generateId && (!believed || head.at[FIELD['x-request-id']] === 0)) {
    plan.id.writeTo(out)
  }
  if (plan.edge) writeForwardedFor(plan, out)
  if (plan.clientCert !== undefined) {
    const told = forwardedClientCert(plan.clientCert, plan.view.downstreamTls)
    if (told !== undefined) out.append(told)
  }
  const needsProto = !believed || head.at[FIELD['x-forwarded-proto']] === 0
  if (needsProto && plan.attempts === 1 && !head.secure) out.piece(PROTO_AND_ONE)
  else writeProtoAndAttempt(plan, needsProto, out)
  if (plan.retryToken) out.append(RETRY_TOKEN)
  if (plan.originalPath !== undefined) {
    out.latin1(`${ORIGINAL_PATH}: ${plan.originalPath}\r\n`)
  }
  if (plan.traceparent !== undefined) out.latin1(`traceparent: ${plan.traceparent}\r\n`)
  if (plan.timeoutMs > 0) {
    out.piece(EXPECTED_MS)
    out.decimal(plan.timeoutMs)
    out.piece(CRLF)
  }
}

function writeProtoAndAttempt(plan: RequestPlan, needsProto: boolean, out: OutBuffer): void {
  if (needsProto) out.append(plan.head.secure ? PROTO_HTTPS : PROTO)
  if (plan.attempts === 1) out.append(ATTEMPT_ONE)
  else {
    out.append(ATTEMPT)
    out.decimal(plan.attempts)
    out.piece(CRLF)
  }
}

function writeForwardedFor(plan: RequestPlan, out: OutBuffer): void {
  const { head, bytes } = plan
  out.append(FORWARDED_FOR)
  if (plan.trustedHops > 0) {
    for (let i = head.findKnown(FIELD['x-forwarded-for']); i >= 0; ) {
      out.copy(bytes, head.spans[i * SPAN + 2] as number, head.spans[i * SPAN + 3] as number)
      out.append(COMMA_BLANK)
      i = head.findKnown(FIELD['x-forwarded-for'], i + 1)
    }
  }
  out.latin1(plan.view.downstreamRemote.host)
  out.piece(CRLF)
}
