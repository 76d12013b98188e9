/**
 * Requests in RSocket's own form that a service of HTTP answers: `POST /<service>/<method>` with the
 * data as the body. The answer is an item; of `text/event-stream` each event is one, held back while
 * nobody asks for more. A status from 400 on is an error.
 */
import { type Agent, request as askHttp, type ClientRequest, type IncomingMessage } from 'node:http'
import {
  CompositeReader,
  HTTP_ENTRY_MIME,
  type HttpRequestEntry,
  METADATA_ID,
  RSOCKET_ERROR,
  type RSocketPayload,
  type RSocketStream,
  readHttpRequest,
  renderComposite,
  renderMimes,
} from '@weft/wire'
import type { ApplicationAddress } from './application-address.ts'
import { EventReader } from './event-reader.ts'
import { endToEnd, rawHeadersOf } from './fields.ts'

export interface CallAsHttpOptions {
  readonly application: ApplicationAddress
  /** Keeps connections to it. */
  readonly agent: Agent
}

/** A frame has room for this and its metadata. */
const MAX_BODY_BYTES = 0xff_ff_ff - 0x1_00_00
const MAX_MESSAGE_BYTES = 1_024
const EVENT_STREAM = /^text\/event-stream\b/i

/** @param payload Its metadata has the head of the request, as an entry of HTTP. */
export function callAsHttp(
  stream: RSocketStream,
  payload: RSocketPayload,
  options: CallAsHttpOptions,
): void {
  const head = headIn(payload.metadata)
  if (head === undefined || stream.interaction === 'channel') {
    stream.fail(RSOCKET_ERROR.invalid, 'WEFT-400 a service of HTTP takes no channels')
    return
  }
  try {
    const request = send(head, payload.data, stream.interaction === 'stream', options)
    new Answer(stream, request).await()
  } catch (error) {
    // Node has the last word about what HTTP can carry.
    const why = error instanceof Error ? error.message : String(error)
    stream.fail(RSOCKET_ERROR.invalid, `WEFT-400 the request has no form in HTTP: ${why}`)
  }
}

function headIn(metadata: Uint8Array | undefined): HttpRequestEntry | undefined {
  if (metadata === undefined) return undefined
  const reader = new CompositeReader().start(metadata, 0, metadata.length)
  while (reader.next()) if (reader.mime === HTTP_ENTRY_MIME) return readHttpRequest(reader.content)
  return undefined
}

function send(
  head: HttpRequestEntry,
  data: Uint8Array,
  isStream: boolean,
  { application, agent }: CallAsHttpOptions,
): ClientRequest {
  const at =
    'path' in application
      ? { socketPath: application.path }
      : { host: application.host, port: application.port }
  const request = askHttp({
    ...{ ...at, agent, method: head.method, path: head.path, setHost: false },
    headers: [
      ...['host', head.authority],
      ...rawHeadersOf(endToEnd(head.fields)),
      ...(isStream ? ['accept', 'text/event-stream, */*;q=0.5'] : []),
      ...['content-length', String(data.length)],
    ],
  })
  request.end(data)
  return request
}

class Answer {
  readonly #stream: RSocketStream
  readonly #request: ClientRequest
  readonly #items: RSocketPayload[] = []
  #response: IncomingMessage | undefined
  #hasEnded = false

  constructor(stream: RSocketStream, request: ClientRequest) {
    this.#stream = stream
    this.#request = request
  }

  await(): void {
    const stream = this.#stream
    stream.handler = {
      onItem() {},
      onComplete() {},
      onError: () => void this.#request.destroy(),
      onRequestN: () => this.#flush(),
      onCancel: () => void this.#request.destroy(),
    }
    this.#request.once('response', (response) => this.#onAnswer(response))
    this.#request.once('error', (error: NodeJS.ErrnoException) => {
      const isRefused = error.code === 'ECONNREFUSED' || error.code === 'ENOENT'
      // Nobody listens: then nothing was processed.
      if (isRefused) stream.fail(RSOCKET_ERROR.rejected, 'WEFT-503 the way out is not open')
      else stream.fail(RSOCKET_ERROR.canceled, `WEFT-502 ${error.message}`)
    })
  }

  #onAnswer(response: IncomingMessage): void {
    const { statusCode = 502, headers } = response
    this.#response = response
    response.once('error', () => this.#stream.fail(RSOCKET_ERROR.canceled, CUT))
    const type = headers['content-type'] ?? ''
    const isEvents = EVENT_STREAM.test(type) && this.#stream.interaction === 'stream'
    if (isEvents && statusCode < 400) this.#readEvents(response)
    else this.#readWhole(response, statusCode, type)
  }

  #readEvents(response: IncomingMessage): void {
    const events = new EventReader(MAX_BODY_BYTES)
    response.on('data', (chunk: Buffer) => {
      const found = events.read(chunk)
      if (found === undefined) this.#tooLong()
      else for (const data of found) this.#items.push({ data })
      this.#flush()
    })
    response.once('end', () => {
      this.#hasEnded = true
      this.#flush()
    })
  }

  #readWhole(response: IncomingMessage, status: number, type: string): void {
    const chunks: Buffer[] = []
    let length = 0
    response.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > MAX_BODY_BYTES) this.#tooLong()
      else chunks.push(chunk)
    })
    response.once('end', () => {
      const data = Buffer.concat(chunks)
      if (status >= 400) {
        const text = data.toString('utf8', 0, MAX_MESSAGE_BYTES).trim()
        this.#stream.fail(errorOf(status), `HTTP ${status} ${text}`)
        return
      }
      this.#hasEnded = true
      if (status !== 204) this.#items.push({ data, ...metadataOf(type) })
      this.#flush()
    })
  }

  #tooLong(): void {
    this.#request.destroy()
    const why = `WEFT-502 the answer is longer than ${MAX_BODY_BYTES} bytes`
    this.#stream.fail(RSOCKET_ERROR.applicationError, why)
  }

  /** As many as were asked for; who asks for none slows the service down. */
  #flush(): void {
    const stream = this.#stream
    while (stream.maySend && stream.credit > 0) {
      const item = this.#items.shift()
      if (item === undefined) break
      stream.next(item, this.#hasEnded && this.#items.length === 0)
    }
    if (this.#items.length > 0) this.#response?.pause()
    else if (this.#hasEnded) stream.complete()
    else this.#response?.resume()
  }
}

const CUT = 'WEFT-502 the answer was cut'

/** Nobody knows whether it was processed: REJECTED would say that it was not. */
function errorOf(status: number): number {
  if (status === 400) return RSOCKET_ERROR.invalid
  if (status === 401 || status === 403) return RSOCKET_ERROR.denied
  return status === 504 ? RSOCKET_ERROR.canceled : RSOCKET_ERROR.applicationError
}

function metadataOf(type: string): Pick<RSocketPayload, 'metadata'> {
  const mime = /^[\w.+-]+\/[\w.+-]+/.exec(type)?.[0]
  if (mime === undefined || mime.length > 128) return {}
  return {
    metadata: renderComposite([{ mime: METADATA_ID.dataMime, content: renderMimes([mime]) }]),
  }
}
