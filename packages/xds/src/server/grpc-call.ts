/** A gRPC call on bare `node:http2`, for the small services beside ADS. */
import type { ServerHttp2Stream } from 'node:http2'
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
} as const

export interface GrpcCall {
  send(message: Uint8Array): void
  /** Ends the call; what comes after is ignored. */
  end(status: number, text?: string): void
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
  stream.on('end', () => call.end(GRPC_STATUS.ok))
  // Resets and lost connections are ordinary; there is nothing to clean up.
  stream.on('error', () => {})
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
