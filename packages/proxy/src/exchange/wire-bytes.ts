/**
 * How many bytes of an exchange were on the wire, for its log line. Of HTTP/1.1 it is computed when
 * a log asks: the data path only notes the length of the heads that it writes. HTTP/2 counts the
 * frames of each stream.
 */
import { type MessageHead, SPAN, type StreamBytes } from '@weft/wire'
import type { Exchange } from './exchange.ts'
import type { RequestPlan } from './write-request.ts'

export interface WireBytes {
  /** Absent: not known; 0: there was none. */
  readonly received: number | undefined
  readonly sent: number | undefined
  /** Of these the fields: without the start line, as Envoy counts them. */
  readonly headerReceived: number | undefined
  readonly headerSent: number | undefined
}

const NOTHING: WireBytes = { received: 0, sent: 0, headerReceived: 0, headerSent: 0 }

const FRAME_HEADER_BYTES = 9
/** What RFC 9113 begins with, and ours never exceed. */
const FRAME_BYTES = 16_384

/** The end of an answer may wait for its client: it is counted in the frames that it needs at least. */
function framesOf(stream: StreamBytes | undefined): WireBytes {
  if (stream === undefined) return NOTHING
  const { queuedBytes } = stream
  const waiting = queuedBytes + FRAME_HEADER_BYTES * Math.ceil(queuedBytes / FRAME_BYTES)
  return {
    received: stream.receivedBytes,
    sent: stream.sentBytes + waiting,
    headerReceived: stream.receivedHeadBytes,
    headerSent: stream.sentHeadBytes,
  }
}

export function downstreamBytes(x: Exchange): WireBytes {
  const { downstream, head, request, answer, answerPlan, responseBodyBytes } = x
  if (downstream.multiplexed) return framesOf(downstream.wire)
  // Before that the lengths are another exchange's.
  const headLength = x.answered ? answerPlan.headLength : 0
  return {
    received: head.end + request.bytes + request.framingIn,
    sent: x.answered ? headLength + responseBodyBytes + answer.framingOut : 0,
    headerReceived: receivedFields(head),
    headerSent: x.answered ? sentFields(answerPlan) : 0,
  }
}

/** Of the try that gave the answer, or was the last. */
export function upstreamBytes(x: Exchange): WireBytes {
  const { sentBy, request, response, answer, responseHeadDone, plan } = x
  if (sentBy === undefined) return NOTHING
  if (sentBy.multiplexed) return framesOf(sentBy.wire)
  const received = responseHeadDone ? response.end + answer.bytes + answer.framingIn : 0
  return {
    received,
    // In another coding than it came in, its length is not noted.
    sent:
      request.decoder === undefined
        ? plan.headLength + request.bytes + request.framingOut
        : undefined,
    headerReceived: responseHeadDone ? receivedFields(response) : 0,
    headerSent: sentFields(plan),
  }
}

const LINE_END = 2

/** Lines without their ends, and the empty line. */
function receivedFields({ end, fieldsStart, count }: MessageHead): number {
  return end - fieldsStart - LINE_END * count
}

/** Lines with their ends, without the empty line. */
function sentFields({ headLength, lineLength }: Pick<RequestPlan, 'headLength' | 'lineLength'>) {
  return headLength - lineLength - LINE_END
}

/** Names and values of a request, as HTTP/2 would name its start line. */
export function requestFieldBytes({ head, headBytes, view }: Exchange): number {
  const { method, path, authority, scheme } = view
  const line = [':method', method, ':path', path, ':scheme', scheme].join('').length
  const host = authority === '' ? 0 : ':authority'.length + authority.length
  return line + host + fieldBytes(head, headBytes, 'host')
}

export function responseFieldBytes({
  response,
  responseBytes,
  responseHeadDone,
}: Exchange): number {
  return responseHeadDone ? ':status200'.length + fieldBytes(response, responseBytes) : 0
}

export function trailerBytes({ answer, responseHeadDone }: Exchange): number {
  const { trailers } = answer
  if (!responseHeadDone || trailers === undefined) return 0
  const lines = trailers.bytes.toString('latin1', 0, trailers.length).split('\r\n')
  return lines.reduce((sum, line) => sum + line.replace(/:\s*/, '').length, 0)
}

/** @param except A lower-case name that counts elsewhere. */
function fieldBytes({ spans, count }: MessageHead, bytes: Buffer, except?: string): number {
  let sum = 0
  for (let i = 0; i < count; i++) {
    const [from = 0, to = 0, valueFrom = 0, valueTo = 0] = spans.subarray(i * SPAN, i * SPAN + 4)
    const isExcepted =
      except?.length === to - from && bytes.toString('latin1', from, to).toLowerCase() === except
    if (!isExcepted) sum += to - from + valueTo - valueFrom
  }
  return sum
}
