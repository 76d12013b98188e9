/**
 * gRPC for browsers, which cannot read trailers (`PROTOCOL-WEB.md` of gRPC, Envoy's grpc_web
 * filter): upstream it is plain gRPC, downstream the trailers are the body's last frame.
 *
 *     application/grpc-web[+proto]        as bytes
 *     application/grpc-web-text[+proto]   as base64
 */
import { PassThrough, Transform } from 'node:stream'
import type { AnswerEncoder, AnswerFacts } from '../exchange/answer-coding.ts'
import { encodeStamps } from '../exchange/encoded-headers.ts'
import { grpcStatusOfHttp, isGrpc } from '../exchange/grpc.ts'
import { Base64Decoder } from './grpc-web/base64-decoder.ts'
import { WebFrames } from './grpc-web/web-frames.ts'
import type { BindFilter, FilterVerdict } from './http-filter.ts'

const WEB = /^application\/grpc-web(-text)?(?:\+([\w.-]+))?\s*(?:;|$)/i

export const grpcWeb: BindFilter<'grpcWeb'> = () => ({
  onRequest({ request }): FilterVerdict {
    const found = WEB.exec(request.header('content-type') ?? '')
    if (found === null) return undefined
    const isText = found[1] !== undefined
    const format = found[2] ?? 'proto'
    const text = wantsText(request.header('accept'), isText)
    const contentType = `application/grpc-web${text ? '-text' : ''}+${format}`
    const stamps = [
      { name: 'content-type', value: `application/grpc+${format}` },
      { name: 'te', value: 'trailers' },
    ]
    return {
      kind: 'translate',
      requestHeaders: encodeStamps(stamps, isText ? ['content-length'] : []),
      decoder: isText ? new Base64Decoder() : undefined,
      encoder: encoderOf(contentType, text),
      contentType,
    }
  },
})

/** Who does not say what it accepts gets what it sends. */
function wantsText(accept: string | undefined, isText: boolean): boolean {
  if (accept === undefined) return isText
  const found = /application\/grpc-web(-text)?/i.exec(accept)
  return found === null ? isText : found[1] !== undefined
}

function encoderOf(contentType: string, text: boolean): AnswerEncoder {
  return {
    needsNoBody: true,
    choose(facts) {
      if (isGrpc(facts.response('content-type'))) {
        const trailersOnly = facts.response('grpc-status') !== undefined
        return {
          headers: encodeStamps([{ name: 'content-type', value: contentType }]),
          create: (trailers) => ({
            stream: trailersOnly ? new PassThrough() : new WebFrames({ text, trailers }),
            bodyHasTrailers: true,
          }),
        }
      }
      return { headers: encodeStamps(failureOf(facts, contentType)), create: swallow }
    },
  }
}

/** What is no gRPC cannot be read by the client: its status says what it was. */
function failureOf({ status, response }: AnswerFacts, contentType: string) {
  const message = response('grpc-message') ?? `upstream answered HTTP ${status} without gRPC`
  return [
    { name: 'content-type', value: contentType },
    { name: 'grpc-status', value: response('grpc-status') ?? String(grpcStatusOfHttp(status)) },
    { name: 'grpc-message', value: message },
  ]
}

function swallow() {
  const stream = new Transform({ transform: (_piece, _encoding, done) => done() })
  return { stream, bodyHasTrailers: true }
}
