/**
 * RSocket requests that an HTTP application answers: what carries an HTTP message is that message,
 * anything else is `POST /<service>/<method>` with the data as the body.
 */
import { type Agent, request as askHttp, type ClientRequest, type IncomingMessage } from 'node:http'
import { PEER_HEADER } from '@weft/telemetry'
import { canonicalPath } from '@weft/traffic'
import {
  CompositeReader,
  type HttpRequestEntry,
  type HttpServerCall,
  METADATA_ID,
  openHttpServerCall,
  parseGsv,
  RSOCKET_ERROR,
  type RSocketPayload,
  type RSocketStream,
  readRoutingTags,
} from '@weft/wire'
import type { ApplicationAddress } from './application-address.ts'
import { type Http2Application, relayHttp2 } from './call-http2.ts'
import { endToEnd, forwardedFields, isIdempotent, rawHeadersOf, saidLength } from './fields.ts'
import { relayUpgrade } from './relay-upgrade.ts'
import { asksForWebSocket } from './upgrade.ts'

export interface CallHttpOptions {
  readonly application: ApplicationAddress
  /** Keeps connections to the application. */
  readonly agent: Agent
  /** It speaks HTTP/2; what carries no HTTP message is asked in HTTP/1.1 all the same. */
  readonly http2?: Http2Application | undefined
  /** The application has nothing to do with the request any more. */
  onEnd?(): void
}

export function callHttp(
  stream: RSocketStream,
  payload: RSocketPayload,
  options: CallHttpOptions,
): void {
  try {
    begin(stream, payload, options)
  } catch (error) {
    // Node has the last word about what HTTP can carry.
    const why = error instanceof Error ? error.message : String(error)
    stream.fail(RSOCKET_ERROR.invalid, `WEFT-400 the request has no form in HTTP: ${why}`)
    options.onEnd?.()
  }
}

function begin(stream: RSocketStream, payload: RSocketPayload, options: CallHttpOptions): void {
  const opened = openHttpServerCall(stream, payload)
  if (opened === undefined) callPlain(stream, payload, options)
  else {
    const body = stream.interaction === 'channel' ? undefined : payload.data
    const { http2, onEnd } = options
    if (http2 === undefined && asksForWebSocket(opened.head)) {
      relayUpgrade(send(opened.head, options, UPGRADE), opened.call, onEnd)
    } else if (http2 === undefined) new HttpRelay(opened.head, opened.call, body, options).open()
    else relayHttp2(opened, body, http2, onEnd)
  }
}

const UPGRADE = ['connection', 'Upgrade', 'upgrade', 'websocket'] as const

/** @param more Of this hop: how the body is framed, or that there is none. */
function send(
  head: HttpRequestEntry,
  { application, agent }: CallHttpOptions,
  more: readonly string[],
): ClientRequest {
  const at =
    'path' in application
      ? { socketPath: application.path }
      : { host: application.host, port: application.port }
  return askHttp({
    ...{ ...at, agent, method: head.method, path: head.path, setHost: false },
    headers: [
      ...['host', head.authority],
      ...rawHeadersOf(endToEnd(head.fields).filter(isOfCaller)),
      ...more,
    ],
  })
}

/** The application gets what its caller sent, not what proxies tell each other or we say ourselves. */
function isOfCaller([name]: readonly [string, string]): boolean {
  return name !== PEER_HEADER && name !== 'content-length'
}

/**
 * How the body is framed is said by whoever sends it. Left to Node, the body of a GET would be sent
 * without a frame, and the application would take it for its next request.
 *
 * @param body Undefined: it comes in pieces.
 */
function framing(said: number | undefined, body: Uint8Array | undefined): readonly string[] {
  if (body === undefined) {
    return said === undefined ? ['transfer-encoding', 'chunked'] : ['content-length', String(said)]
  }
  if (said === undefined && body.length === 0) return []
  return ['content-length', String(body.length)]
}

class HttpRelay {
  readonly #head: HttpRequestEntry
  readonly #call: HttpServerCall
  /** Absent: it comes in pieces. */
  readonly #body: Uint8Array | undefined
  readonly #options: CallHttpOptions
  /** Bytes of the body that are still to come; undefined: nobody has said how many. */
  #left: number | undefined
  readonly #said: number | undefined
  #request: ClientRequest
  #answer: IncomingMessage | undefined
  #isOver = false
  #wasRepeated = false

  constructor(
    head: HttpRequestEntry,
    call: HttpServerCall,
    body: Uint8Array | undefined,
    options: CallHttpOptions,
  ) {
    this.#head = head
    this.#call = call
    this.#body = body
    this.#options = options
    this.#said = saidLength(head.fields)
    if (Number.isNaN(this.#said)) throw new Error('its lengths are no length')
    this.#left = body === undefined ? this.#said : undefined
    this.#request = this.#send()
  }

  open(): void {
    this.#call.receive({
      onBody: (bytes) => {
        if (this.#left !== undefined) this.#left -= bytes.length
        if (this.#left === undefined || this.#left >= 0) return this.#request.write(bytes)
        this.#breakOff()
        return true
      },
      onEnd: (trailers) => {
        if (this.#left !== undefined && this.#left !== 0) {
          this.#breakOff()
          return
        }
        if (trailers.length > 0) this.#request.addTrailers(Object.fromEntries(trailers))
        this.#request.end()
      },
      onWritable: () => void this.#answer?.resume(),
      onAbort: () => {
        this.#isOver = true
        this.#request.destroy()
      },
    })
  }

  /** The body is longer or shorter than its head says. */
  #breakOff(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#request.destroy()
    this.#call.fail(RSOCKET_ERROR.invalid, `WEFT-400 the body is not of ${this.#said} bytes`)
  }

  #send(): ClientRequest {
    const request = send(this.#head, this.#options, framing(this.#said, this.#body))
    request.once('close', () => {
      if (this.#request === request) this.#options.onEnd?.()
    })
    request.once('response', (response) => this.#onAnswer(response))
    request.once('error', (error: NodeJS.ErrnoException) => this.#onError(error))
    request.on('drain', () => this.#call.resume())
    return request
  }

  #onAnswer(response: IncomingMessage): void {
    const call = this.#call
    this.#answer = response
    call.head({ status: response.statusCode ?? 502, fields: forwardedFields(response.rawHeaders) })
    response.on('data', (chunk: Buffer) => {
      if (!call.write(chunk)) response.pause()
    })
    response.once('end', () => {
      this.#isOver = true
      call.end(forwardedFields(response.rawTrailers))
    })
    response.once('error', () => {
      if (!this.#isOver) call.fail(RSOCKET_ERROR.canceled, 'WEFT-502 the answer was cut')
    })
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#isOver || this.#answer !== undefined) return
    if (this.#isStale(error)) {
      this.#wasRepeated = true
      this.#request = this.#send()
      this.#request.end(this.#body)
      return
    }
    this.#isOver = true
    if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') {
      // Nobody listens: then nothing was processed.
      this.#call.fail(RSOCKET_ERROR.rejected, 'WEFT-503 the application does not listen')
    } else
      this.#call.fail(
        RSOCKET_ERROR.canceled,
        `WEFT-502 the application went away (${error.code ?? error.message})`,
      )
  }

  /** The application closed a kept connection while the request was on its way to it. */
  #isStale({ code }: NodeJS.ErrnoException): boolean {
    if (!this.#request.reusedSocket || this.#wasRepeated || this.#body === undefined) return false
    const isReset = code === 'ECONNRESET' || code === 'EPIPE'
    const key = this.#head.fields.find(([name]) => name === 'idempotency-key')
    return isReset && isIdempotent(this.#head.method, key)
  }
}

function callPlain(stream: RSocketStream, payload: RSocketPayload, options: CallHttpOptions): void {
  const key = routeOf(payload.metadata)
  if (key === undefined || stream.interaction === 'channel') {
    stream.fail(
      RSOCKET_ERROR.invalid,
      'an HTTP application takes requests with a route and no channels',
    )
    options.onEnd?.()
    return
  }
  const { service, method } = parseGsv(key)
  const path = `/${service}/${method}`
  if (canonicalPath(path, PATH_RULES) !== path) throw new Error(`${path} is no path`)
  const head: HttpRequestEntry = {
    method: 'POST',
    path,
    authority: service.toLowerCase(),
    fields: [],
  }
  const request = send(head, options, ['content-length', String(payload.data.length)])
  request.once('response', (response) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.once('end', () => {
      const body = Buffer.concat(chunks)
      const status = response.statusCode ?? 502
      if (status >= 400)
        stream.fail(
          RSOCKET_ERROR.applicationError,
          `HTTP ${status} ${body.toString('utf8', 0, 1024)}`,
        )
      else if (stream.maySend && stream.credit > 0) stream.next({ data: body }, true)
    })
  })
  request.once('close', () => options.onEnd?.())
  request.once('error', (error) => stream.fail(RSOCKET_ERROR.canceled, `WEFT-502 ${error.message}`))
  request.end(payload.data)
}

/** What applications take for another path was not judged as that one. */
const PATH_RULES = { normalizePath: true, mergeSlashes: false, escapedSlashes: 'reject' } as const

function routeOf(metadata: Uint8Array | undefined): string | undefined {
  if (metadata === undefined) return undefined
  const reader = new CompositeReader().start(metadata, 0, metadata.length)
  return reader.find(METADATA_ID.routing) ? readRoutingTags(reader.content)?.[0] : undefined
}
