/**
 * HTTP requests that are answered over RSocket: the broker's bridge for callers of the mesh, and
 * the agent's proxy for the calls of its application.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  CHUNK_BYTES,
  HttpClientCall,
  type HttpRequestEntry,
  type HttpResponseEntry,
  type RSocketPeer,
} from '@weft/wire'
import { forwardedFields, rawHeadersOf } from './fields.ts'
import { answerOfError } from './status-of-error.ts'

/** @param peer Whom to ask; undefined: nobody can be asked now. */
export function serveHttp(
  request: IncomingMessage,
  response: ServerResponse,
  peer: RSocketPeer | undefined,
): void {
  if (peer === undefined) {
    fail(response, 503, 'WEFT-503 no connection to a broker\n', true)
    return
  }
  const length = Number(request.headers['content-length'] ?? Number.NaN)
  const hasBody = request.headers['transfer-encoding'] !== undefined || length > 0
  if (!hasBody) begin(request, response, peer, EMPTY)
  else if (length <= CHUNK_BYTES) {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.once('end', () => begin(request, response, peer, Buffer.concat(chunks)))
    request.once('error', () => response.destroy())
  } else begin(request, response, peer, undefined)
}

const EMPTY = Buffer.alloc(0)

function begin(
  request: IncomingMessage,
  response: ServerResponse,
  peer: RSocketPeer,
  body: Buffer | undefined,
): void {
  const sink = new Answer(request, response)
  const call = new HttpClientCall(peer, headOf(request), body, sink)
  sink.call = call
  response.once('close', () => {
    if (!sink.isOver) call.abort()
  })
  if (body !== undefined) return
  request.on('data', (chunk: Buffer) => {
    if (!call.write(chunk)) request.pause()
  })
  request.once('end', () => call.end(forwardedFields(request.rawTrailers)))
  request.once('error', () => call.abort())
}

/** A proxy is asked for whole URLs; a server for paths on its host. */
function headOf(request: IncomingMessage): HttpRequestEntry {
  const { method = 'GET', url = '/', headers, rawHeaders } = request
  const absolute = /^http:\/\/([^/?#]+)([^#]*)/i.exec(url)
  const path = absolute?.[2] ?? url
  return {
    method,
    authority: absolute?.[1] ?? headers.host ?? '',
    path: path.startsWith('/') ? path : `/${path}`,
    fields: forwardedFields(rawHeaders).filter(([name]) => name !== 'host'),
  }
}

class Answer {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  call: HttpClientCall | undefined
  isOver = false

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request
    this.#response = response
    response.on('drain', () => this.call?.resume())
  }

  onHead({ status, fields }: HttpResponseEntry): void {
    this.#response.writeHead(status, rawHeadersOf(fields))
  }

  onBody(bytes: Uint8Array): boolean {
    return this.#response.write(bytes)
  }

  onEnd(trailers: HttpResponseEntry['fields']): void {
    this.isOver = true
    if (trailers.length > 0) this.#response.addTrailers(Object.fromEntries(trailers))
    this.#response.end()
  }

  onWritable(): void {
    this.#request.resume()
  }

  onFailure(code: number, message: string): void {
    this.isOver = true
    const { status, body, isRetrySafe } = answerOfError(code, message)
    if (this.#response.headersSent) this.#response.destroy()
    else fail(this.#response, status, body, isRetrySafe)
  }
}

function fail(response: ServerResponse, status: number, body: string, isRetrySafe: boolean): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...(isRetrySafe ? { 'x-weft-retry-safe': '1' } : {}),
  })
  response.end(body)
}
