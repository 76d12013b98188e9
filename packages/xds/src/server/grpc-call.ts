/** A gRPC call on bare `node:http2`, for the small services beside ADS. */
import type { ServerHttp2Stream } from 'node:http2'
import type { Clock } from '@weft/base'
import { FrameError, FrameReader, frame } from '../wire/grpc-frames.ts'

export const GRPC_STATUS = {
  ok: 0,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const

export interface GrpcCall {
  send(message: Uint8Array): void
  /** Ends the call; what comes after is ignored. */
  end(status: number, text?: string): void
  /** The client's end does not end the call before this is done; what fails ends it with `INTERNAL`. */
  answerLater(answer: () => Promise<void>): void
}

/**
 * Answers `stream`. `receive` gets every message; what it throws ends the call with
 * `INVALID_ARGUMENT`. When the client has nothing more to say, neither have we.
 */
export function serveCall(
  stream: ServerHttp2Stream,
  maxMessageBytes: number,
  receive: (message: Buffer, call: GrpcCall) => void,
): void {
  const reader = new FrameReader(maxMessageBytes)
  let status: number = GRPC_STATUS.ok
  let statusText = ''
  let isOver = false
  let answering = 0
  let isAsked = false
  const call: GrpcCall = {
    send(message) {
      if (!isOver) stream.write(frame([message]))
    },
    end(code, text = '') {
      if (isOver) return
      isOver = true
      status = code
      statusText = text
      stream.end()
    },
    answerLater(answer) {
      answering++
      answer()
        .catch(() => call.end(GRPC_STATUS.internal, 'the call failed'))
        .finally(() => {
          answering--
          if (isAsked && answering === 0) call.end(GRPC_STATUS.ok)
        })
    },
  }
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => {
    stream.sendTrailers({
      'grpc-status': String(status),
      ...(statusText !== '' && { 'grpc-message': encodeURI(statusText) }),
    })
  })
  stream.on('data', (chunk: Buffer) => {
    if (isOver) return
    try {
      for (const message of reader.read(chunk)) if (!isOver) receive(message, call)
    } catch (error) {
      const code = error instanceof FrameError ? error.status : GRPC_STATUS.invalidArgument
      call.end(code, error instanceof Error ? error.message : String(error))
    }
  })
  stream.on('end', () => {
    isAsked = true
    if (answering === 0) call.end(GRPC_STATUS.ok)
  })
  // Resets and lost connections are ordinary; there is nothing to clean up.
  stream.on('error', () => {})
}

export type UnaryAnswer =
  | { readonly ok: true; readonly message: Uint8Array }
  | { readonly ok: false; readonly code: keyof typeof GRPC_STATUS; readonly problem: string }

export interface UnaryLimits {
  readonly clock: Clock
  readonly maxMessageBytes: number
  /** How long the request may take to arrive. */
  readonly requestTimeoutMs: number
}

/** One request, one answer, which may take its time. */
export function serveUnary(
  stream: ServerHttp2Stream,
  { clock, maxMessageBytes, requestTimeoutMs }: UnaryLimits,
  answer: (message: Buffer) => Promise<UnaryAnswer>,
): void {
  const reader = new FrameReader(maxMessageBytes)
  let isAsked = false
  const reply = (answered: UnaryAnswer) => {
    cancel()
    isAsked = true
    if (stream.destroyed || stream.headersSent) return
    if (answered.ok) endWith(stream, answered.message)
    else refuseCall(stream, GRPC_STATUS[answered.code], answered.problem)
  }
  const refuse = (code: keyof typeof GRPC_STATUS, problem: string) =>
    reply({ ok: false, code, problem })
  const cancel = clock.after(requestTimeoutMs, () =>
    refuse('deadlineExceeded', 'the request did not come'),
  )
  stream.on('data', (chunk: Buffer) => {
    if (isAsked) return
    try {
      const [message] = reader.read(chunk)
      if (message === undefined) return
      isAsked = true
      cancel()
      answer(message).then(reply, () => refuse('internal', 'the call failed'))
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      refuse(
        error.status === GRPC_STATUS.unimplemented ? 'unimplemented' : 'resourceExhausted',
        error.message,
      )
    }
  })
  stream.on('end', () => {
    if (!isAsked) refuse('invalidArgument', 'there is no request')
  })
  stream.on('error', () => {})
  stream.on('close', cancel)
}

function endWith(stream: ServerHttp2Stream, message: Uint8Array): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.end(frame([message]))
}

/** A response that is nothing but trailers. */
export function refuseCall(stream: ServerHttp2Stream, status: number, text: string): void {
  stream.on('error', () => {})
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': String(status),
      'grpc-message': encodeURI(text),
    },
    { endStream: true },
  )
}
