/**
 * HTTP requests that are answered over RSocket: the broker's bridge for callers of the mesh, and
 * the agent's proxy for the calls of its application.
 *
 * A request goes to another connection only when that does no harm: nobody has processed it (the
 * code REJECTED says so), or its connection, or that of the responder behind the broker, is lost
 * and its method is idempotent.
 */
import { IncomingMessage, ServerResponse } from 'node:http'
import {
  CHUNK_BYTES,
  HttpClientCall,
  type HttpRequestEntry,
  type HttpResponseEntry,
  RESPONDER_GONE,
  RSOCKET_ERROR,
  type RSocketPeer,
} from '@weft/wire'
import type { AnyRequest, AnyResponse } from './either-version.ts'
import { endToEnd, forwardedFields, isIdempotent, rawHeadersOf, saidLength } from './fields.ts'
import { answerOfError } from './status-of-error.ts'

/** Where requests go. */
export interface HttpPeers {
  /** A connection that was not tried; undefined: there is none. */
  pick(tried: readonly RSocketPeer[]): RSocketPeer | undefined
  /** Whether the mesh can bear one repeat more. Asked before each. */
  admitRetry(): boolean
}

/** Of one request, beyond the first try. */
const MAX_RETRIES = 2
const EMPTY = Buffer.alloc(0)

export function serveHttp(request: AnyRequest, response: AnyResponse, peers: HttpPeers): void {
  const length = Number(request.headers['content-length'] ?? Number.NaN)
  const hasBody =
    request instanceof IncomingMessage
      ? request.headers['transfer-encoding'] !== undefined || length > 0
      : !request.stream.endAfterHeaders
  const exchange = new HttpExchange(request, response, peers)
  if (!hasBody) exchange.begin(EMPTY)
  else if (length <= CHUNK_BYTES) {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.once('end', () => exchange.begin(Buffer.concat(chunks)))
    request.once('error', () => response.destroy())
  } else exchange.begin(undefined)
}

/** A proxy is asked for whole URLs; a server for paths on its host. */
export function headOf(request: AnyRequest): HttpRequestEntry {
  const { method = 'GET', url = '/', headers, rawHeaders } = request
  const absolute = /^http:\/\/([^/?#]+)([^#]*)/i.exec(url)
  const path = absolute?.[2] ?? url
  return {
    method,
    authority: absolute?.[1] ?? headers[':authority']?.toString() ?? headers.host ?? '',
    path: path.startsWith('/') ? path : `/${path}`,
    fields: forwardedFields(rawHeaders).filter(([name]) => name !== 'host' && name[0] !== ':'),
  }
}

class HttpExchange {
  readonly #request: AnyRequest
  readonly #response: AnyResponse
  readonly #peers: HttpPeers
  readonly #tried: RSocketPeer[] = []
  #body: Buffer | undefined
  #call: HttpClientCall | undefined
  #isOver = false
  /** Bytes of the answer's body that are still to come; undefined: it does not say how many. */
  #left: number | undefined

  constructor(request: AnyRequest, response: AnyResponse, peers: HttpPeers) {
    this.#request = request
    this.#response = response
    this.#peers = peers
  }

  /** @param body The whole body; undefined: it is read as the other side takes it. */
  begin(body: Buffer | undefined): void {
    this.#body = body
    const peer = this.#peers.pick(this.#tried)
    if (peer === undefined) {
      fail(this.#response, 503, 'WEFT-503 no connection to a broker\n', true)
      return
    }
    this.#ask(peer)
    const response = this.#response
    response.on('drain', () => this.#call?.resume())
    response.once('close', () => {
      if (!this.#isOver) this.#call?.abort()
    })
    if (body !== undefined) return
    const request = this.#request
    request.on('data', (chunk: Buffer) => {
      if (this.#call?.write(chunk) === false) request.pause()
    })
    request.once('end', () => this.#call?.end(forwardedFields(request.rawTrailers)))
    request.once('error', () => this.#call?.abort())
  }

  #ask(peer: RSocketPeer): void {
    this.#tried.push(peer)
    this.#call = new HttpClientCall(peer, headOf(this.#request), this.#body, this)
  }

  onHead({ status, fields }: HttpResponseEntry): void {
    const said = saidLength(fields)
    // What is no final answer would be taken for one, and a length that lies for the next answer's head.
    if (status < 200 || Number.isNaN(said)) {
      this.#call?.abort()
      this.onFailure(
        RSOCKET_ERROR.canceled,
        'WEFT-502 the answer has no head that HTTP could carry',
      )
      return
    }
    const isBare = this.#request.method === 'HEAD' || status === 204 || status === 304
    this.#left = isBare ? undefined : said
    writeHead(this.#response, status, endToEnd(fields))
  }

  onBody(bytes: Uint8Array): boolean {
    if (this.#isOver) return true
    const response = this.#response
    if (this.#left !== undefined) {
      this.#left -= bytes.length
      if (this.#left < 0) {
        this.#cut()
        return true
      }
    }
    return response instanceof ServerResponse ? response.write(bytes) : response.write(bytes)
  }

  /** Who reads on would take what follows for another answer. */
  #cut(): void {
    this.#isOver = true
    this.#call?.abort()
    this.#response.destroy()
  }

  onEnd(trailers: HttpResponseEntry['fields']): void {
    if (this.#isOver) return
    if (this.#left !== undefined && this.#left !== 0) {
      this.#cut()
      return
    }
    this.#isOver = true
    const response = this.#response
    if (trailers.length > 0) {
      const isLate = !response.headersSent && !(response instanceof ServerResponse)
      if (isLate) response.writeHead(response.statusCode)
      response.addTrailers(Object.fromEntries(trailers))
    }
    response.end()
  }

  onWritable(): void {
    this.#request.resume()
  }

  onFailure(code: number, message: string): void {
    if (this.#isOver) return
    if (this.#response.headersSent) {
      this.#isOver = true
      this.#response.destroy()
      return
    }
    const isGone = code === RSOCKET_ERROR.canceled && message === RESPONDER_GONE
    const next = this.#mayRepeat(code, isGone) ? this.#next(isGone) : undefined
    if (next !== undefined && this.#peers.admitRetry()) {
      this.#ask(next)
      return
    }
    this.#isOver = true
    const { status, body, isRetrySafe } = answerOfError(code, message)
    fail(this.#response, status, body, isRetrySafe)
  }

  /** @param isGone The broker has lost the responder; it may have another one. */
  #next(isGone: boolean): RSocketPeer | undefined {
    return this.#peers.pick(this.#tried) ?? (isGone ? this.#tried.at(-1) : undefined)
  }

  #mayRepeat(code: number, isGone: boolean): boolean {
    if (this.#body === undefined || this.#tried.length > MAX_RETRIES) return false
    if (this.#response.destroyed) return false
    if (code === RSOCKET_ERROR.rejected) return true
    const isLost = isGone || this.#tried.at(-1)?.closed === true
    return isLost && isIdempotent(this.#request.method, this.#request.headers['idempotency-key'])
  }
}

/**
 * Names that repeat stay apart; those of HTTP/2 are given once, with all their values. There the
 * head waits for the body: an answer that ends with its head must say so in it (gRPC's
 * Trailers-Only).
 */
function writeHead(
  response: AnyResponse,
  status: number,
  fields: HttpResponseEntry['fields'],
): void {
  if (response instanceof ServerResponse) {
    response.writeHead(status, rawHeadersOf(fields))
    return
  }
  response.statusCode = status
  for (const [name, all] of Map.groupBy(fields, ([each]) => each)) {
    const values = all.map(([, value]) => value)
    response.setHeader(name, values.length === 1 ? (values[0] ?? '') : values)
  }
}

function fail(response: AnyResponse, status: number, body: string, isRetrySafe: boolean): void {
  if (response.destroyed) return
  writeHead(response, status, [
    ['content-type', 'text/plain; charset=utf-8'],
    ['content-length', String(Buffer.byteLength(body))],
    ...(isRetrySafe ? ([['x-weft-retry-safe', '1']] as const) : []),
  ])
  response.end(body)
}
