/** The response heads that a client gets: an upstream's, or one of our own. */
import { ascii, FIELD, type MessageHead, type OutBuffer, pieceOf } from '@weft/wire'
import type { EncodedHeaders } from './encoded-headers.ts'
import type { ExchangeView } from './exchange-view.ts'
import {
  CRLF,
  copyKept,
  cutHopByHop,
  cutKnown,
  cutLine,
  cutNames,
  cuts,
  reasonOf,
  writeLines,
} from './write-message.ts'

const HTTP11 = pieceOf(ascii('HTTP/1.1 '))
/** Where the reason stands in `HTTP/1.1 200 OK`. */
const AFTER_STATUS = 13
const SWITCHING_LINES = ascii('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n')
const ACCEPT_NAME = 'sec-websocket-accept'
const BLANK = ascii(' ')
const CLOSE = ascii('connection: close\r\n')
const UPGRADE = ascii('connection: upgrade\r\n')
const CHUNKED = ascii('transfer-encoding: chunked\r\n')
const SERVICE_TIME = pieceOf(ascii('x-envoy-upstream-service-time: '))

/** Filled anew for each answer; the object is reused. */
export interface ResponsePlan {
  head: MessageHead
  bytes: Buffer
  readonly view: ExchangeView
  close: boolean
  chunked: boolean
  /** Content-Length does not go on: the status has no body, or the coding frames it. */
  dropLength: boolean
  /** 101: the connection changes its protocol. */
  upgrade: boolean
  /**
   * The proof of a WebSocket's key that this client gets in place of the upstream's, when one of
   * both speaks HTTP/2: that of its own key, empty when it sent none.
   */
  accept: string | undefined
  /** In whole milliseconds; negative to say nothing. */
  serviceTimeMs: number
  route: EncodedHeaders | undefined
  stamps: EncodedHeaders | undefined
  filters: EncodedHeaders | undefined
  /** Of what was written, in bytes. */
  headLength: number
  /** Of these, the status line with its end. */
  lineLength: number
}

export function newResponsePlan(
  head: MessageHead,
  bytes: Buffer,
  view: ExchangeView,
): ResponsePlan {
  return {
    head,
    bytes,
    view,
    close: false,
    chunked: false,
    dropLength: false,
    upgrade: false,
    accept: undefined,
    serviceTimeMs: 0,
    route: undefined,
    stamps: undefined,
    filters: undefined,
    headLength: 0,
    lineLength: 0,
  }
}

export function writeResponseHead(plan: ResponsePlan, out: OutBuffer): void {
  const { head, bytes } = plan
  const from = out.length
  // An HTTP/2 upstream says 200 for what HTTP/1.1 calls 101.
  if (plan.accept === undefined || head.status === 101) writeStatusLine(head, bytes, out)
  else out.append(SWITCHING_LINES)
  plan.lineLength = out.length - from
  cutHopByHop(head, bytes)
  cutKnown(head, FIELD['transfer-encoding'])
  if (plan.accept !== undefined) replaceProof(plan, plan.accept, out)
  if (plan.dropLength) cutKnown(head, FIELD['content-length'])
  if (plan.upgrade) {
    const upgrade = head.findKnown(FIELD.upgrade)
    if (upgrade >= 0) cuts[upgrade] = 0
  }
  if (plan.serviceTimeMs >= 0) cutKnown(head, FIELD['x-envoy-upstream-service-time'])
  if (plan.route !== undefined) cutNames(head, bytes, plan.route.cuts)
  if (plan.stamps !== undefined) cutNames(head, bytes, plan.stamps.cuts)
  if (plan.filters !== undefined) cutNames(head, bytes, plan.filters.cuts)
  copyKept(head, bytes, out)
  if (plan.chunked) out.append(CHUNKED)
  if (plan.upgrade) out.append(UPGRADE)
  else if (plan.close) out.append(CLOSE)
  if (plan.serviceTimeMs >= 0) {
    out.piece(SERVICE_TIME)
    out.decimal(plan.serviceTimeMs)
    out.piece(CRLF)
  }
  if (plan.route !== undefined) writeLines(plan.route, plan.view, out)
  if (plan.stamps !== undefined) writeLines(plan.stamps, plan.view, out)
  if (plan.filters !== undefined) writeLines(plan.filters, plan.view, out)
  out.piece(CRLF)
  plan.headLength = out.length - from
}

function replaceProof({ head, bytes }: ResponsePlan, accept: string, out: OutBuffer): void {
  cutLine(head, bytes, ACCEPT_NAME)
  if (accept !== '') out.latin1(`${ACCEPT_NAME}: ${accept}\r\n`)
}

/** An interim answer (1xx): nothing in it frames or closes anything. */
export function writeInterimHead(head: MessageHead, bytes: Buffer, out: OutBuffer): void {
  writeStatusLine(head, bytes, out)
  cutHopByHop(head, bytes)
  cutKnown(head, FIELD['transfer-encoding'])
  cutKnown(head, FIELD['content-length'])
  copyKept(head, bytes, out)
  out.piece(CRLF)
}

/** Ours is HTTP/1.1 whatever the upstream speaks (RFC 9110, section 6.2). */
function writeStatusLine(head: MessageHead, bytes: Buffer, out: OutBuffer): void {
  out.piece(HTTP11)
  if (head.reasonStart === AFTER_STATUS) {
    out.copy(bytes, 9, head.fieldsStart)
    return
  }
  out.copy(bytes, 9, 12)
  out.append(BLANK)
  out.copy(bytes, head.reasonStart, head.reasonEnd)
  out.piece(CRLF)
}

/** An answer that the proxy makes by itself. */
export interface LocalReply {
  readonly status: number
  readonly body?: string
  readonly headers?: readonly (readonly [name: string, value: string])[]
}

export function writeLocalReply(
  reply: LocalReply,
  options: {
    readonly close: boolean
    readonly withBody: boolean
    readonly date: string
    /** Absent: it does not say who answers. */
    readonly server: string | undefined
    readonly ops: EncodedHeaders | undefined
    readonly stamps: EncodedHeaders | undefined
    readonly view: ExchangeView | undefined
  },
  out: OutBuffer,
): number {
  const body = Buffer.from(reply.body ?? '', 'utf8')
  const { status } = reply
  out.latin1(`HTTP/1.1 ${status} ${reasonOf(status)}\r\n`)
  if (status !== 204 && status !== 304) out.latin1(`content-length: ${body.length}\r\n`)
  const own = reply.headers ?? []
  if (body.length > 0 && !own.some(([name]) => name === 'content-type')) {
    out.latin1('content-type: text/plain\r\n')
  }
  for (const [name, value] of own) out.append(Buffer.from(`${name}: ${value}\r\n`, 'utf8'))
  out.latin1(`date: ${options.date}\r\n`)
  if (options.server !== undefined) out.latin1(`server: ${options.server}\r\n`)
  if (options.close) out.append(CLOSE)
  if (options.view !== undefined) {
    if (options.ops !== undefined) writeLines(options.ops, options.view, out)
    if (options.stamps !== undefined) writeLines(options.stamps, options.view, out)
  }
  out.piece(CRLF)
  const hasBody = options.withBody && status !== 204 && status !== 304
  if (hasBody) out.append(body)
  return hasBody ? body.length : 0
}
