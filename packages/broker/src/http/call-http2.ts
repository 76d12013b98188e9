/**
 * As `call-http.ts`, for applications that speak HTTP/2 in the clear with prior knowledge (h2c), as
 * gRPC servers do: one session, a stream for each request, trailers both ways.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { connect } from 'node:net'
import { PEER_HEADER } from '@weft/telemetry'
import { type HttpRequestEntry, type HttpServerCall, RSOCKET_ERROR } from '@weft/wire'
import type { ApplicationAddress } from './application-address.ts'
import { endToEnd } from './fields.ts'

/** Flow control of a session; the streams' own windows hold whoever is slow. */
const WINDOW_BYTES = 1_048_576

/** The session to one application, opened when it is needed. */
export class Http2Application {
  readonly #address: ApplicationAddress
  #session: ClientHttp2Session | undefined

  constructor(address: ApplicationAddress) {
    this.#address = address
  }

  request(headers: OutgoingHttpHeaders, endStream: boolean): ClientHttp2Stream {
    return this.#open().request(headers, { endStream })
  }

  #open(): ClientHttp2Session {
    const known = this.#session
    if (known !== undefined && !known.closed && !known.destroyed) return known
    const at = this.#address
    const session = connectHttp2('http://application', {
      createConnection: () => connect('path' in at ? { path: at.path } : at),
      settings: { enablePush: false },
    })
    this.#session = session
    session.on('connect', () => {
      if (!session.destroyed) session.setLocalWindowSize(WINDOW_BYTES)
    })
    // Each stream tells of it by itself.
    session.on('error', () => {})
    // It takes no new streams; what is open ends there.
    session.on('goaway', () => {
      if (this.#session === session) this.#session = undefined
      session.close()
    })
    session.once('close', () => {
      if (this.#session === session) this.#session = undefined
    })
    return session
  }

  close(): void {
    this.#session?.destroy()
  }
}

/**
 * @param body The whole body; undefined: it comes in pieces.
 * @param onEnd The application has nothing to do with the request any more.
 */
export function relayHttp2(
  { head, call }: { readonly head: HttpRequestEntry; readonly call: HttpServerCall },
  body: Uint8Array | undefined,
  application: Http2Application,
  onEnd: (() => void) | undefined,
): void {
  const stream = application.request(headersOf(head), body?.length === 0)
  let isOver = false
  let trailers: [string, string][] = []
  stream.once('response', (headers) => {
    call.head({ status: headers[':status'] ?? 502, fields: fieldsOf(headers) })
  })
  stream.on('trailers', (headers: IncomingHttpHeaders) => {
    trailers = fieldsOf(headers)
  })
  stream.on('data', (chunk: Buffer) => {
    if (!call.write(chunk)) stream.pause()
  })
  stream.once('end', () => {
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) return
    isOver = true
    call.end(trailers)
  })
  stream.on('drain', () => call.resume())
  // What is wrong is told at the end.
  stream.on('error', () => {})
  stream.once('close', () => {
    onEnd?.()
    if (isOver) return
    isOver = true
    const { code, message } = whyOf(stream)
    call.fail(code, message)
  })
  call.receive({
    onBody: (bytes) => stream.write(bytes),
    // Trailers of requests are let go, as RFC 9110, section 6.5.1, allows.
    onEnd: () => void stream.end(),
    onWritable: () => void stream.resume(),
    onAbort() {
      isOver = true
      stream.close(constants.NGHTTP2_CANCEL)
    },
  })
}

function whyOf(stream: ClientHttp2Stream): { readonly code: number; readonly message: string } {
  const { rstCode, sentHeaders, id } = stream
  const wasSent = sentHeaders !== undefined && id !== undefined
  if (!wasSent || rstCode === constants.NGHTTP2_REFUSED_STREAM) {
    return { code: RSOCKET_ERROR.rejected, message: 'WEFT-503 the application takes no requests' }
  }
  return {
    code: RSOCKET_ERROR.canceled,
    message: `WEFT-502 the application ended the stream (HTTP/2 error ${rstCode})`,
  }
}

function headersOf({ method, path, authority, fields }: HttpRequestEntry): OutgoingHttpHeaders {
  const headers: Record<string, string | string[]> = {
    ...{ ':method': method, ':path': path, ':scheme': 'http', ':authority': authority },
  }
  let isGrpc = false
  for (const [name, value] of endToEnd(fields)) {
    if (name === PEER_HEADER) continue
    if (name === 'content-type' && value.startsWith('application/grpc')) isGrpc = true
    const known = headers[name]
    headers[name] = known === undefined ? value : [known, value].flat()
  }
  // gRPC wants to know that trailers come through, which is said hop by hop.
  return isGrpc ? { ...headers, te: 'trailers' } : headers
}

function fieldsOf(headers: IncomingHttpHeaders): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) => {
    if (name.startsWith(':') || value === undefined) return []
    return [value].flat().map((each): [string, string] => [name, each])
  })
}
