/**
 * One HTTP exchange over an RSocket peer, without I/O: the client's side turns a request into a
 * stream, the server's side a stream into a request.
 *
 *     whole body, small         REQUEST_STREAM   head in the metadata, body as data
 *     body that goes on         REQUEST_CHANNEL  the same, then an item per chunk
 *     answer                    first item: head in the metadata, data; then an item per chunk;
 *                               trailers in the metadata of the last item
 *
 * An item carries at most `CHUNK_BYTES`, so credit is memory: whoever cannot write pauses its side
 * by not asking for more.
 */
import { type CompositeEntry, CompositeReader, renderComposite } from './composite-metadata.ts'
import type { RSocketPayload } from './frame-writer.ts'
import { RSOCKET_ERROR } from './frames.ts'
import {
  HTTP_ENTRY_MIME,
  type HttpRequestEntry,
  type HttpResponseEntry,
  readHttpRequest,
  readHttpResponse,
  renderHttpRequest,
  renderHttpResponse,
} from './http-entry.ts'
import { renderRoutingTags } from './metadata-entries.ts'
import { METADATA_ID } from './mime-types.ts'
import type { RSocketPeer } from './peer.ts'
import type { RSocketStream, RSocketStreamHandler } from './stream.ts'

/** Of a body in one item. */
export const CHUNK_BYTES = 16_384
/** Items that a side lets the other have under way: 256 KB. */
const WINDOW = 16

type Fields = HttpResponseEntry['fields']

/** What a side is told of the other one's message. */
interface HttpBodySink {
  /** Bytes of the body; they are the sink's. False: no more until `resume`. */
  onBody(bytes: Uint8Array): boolean
  onEnd(trailers: Fields): void
  /** The other side takes body bytes again. */
  onWritable(): void
}

/** What the client's side is told. After `onEnd` or `onFailure`: silence. */
export interface HttpAnswerSink extends HttpBodySink {
  onHead(head: HttpResponseEntry): void
  /** There is no answer, or no more of it; `code` of `RSOCKET_ERROR` or of the application. */
  onFailure(code: number, message: string): void
}

/** What the server's side is told. */
export interface HttpRequestSink extends HttpBodySink {
  /** The client went away: nobody wants the answer. */
  onAbort(): void
}

/** Body chunks on their way out: as many items as there is credit for. */
class BodyOut {
  readonly #stream: RSocketStream
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #end: { readonly trailers: Fields } | undefined

  constructor(stream: RSocketStream) {
    this.#stream = stream
  }

  /** False: it waits, and `onWritable` follows. */
  write(bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      this.#waiting.push(bytes.subarray(at, at + CHUNK_BYTES))
    }
    this.#waitingBytes += bytes.length
    this.flush()
    return this.#waitingBytes === 0
  }

  end(trailers: Fields): void {
    this.#end = { trailers }
    this.flush()
  }

  /** True: everything left. */
  flush(): boolean {
    const stream = this.#stream
    while (stream.maySend && stream.credit > 0) {
      const chunk = this.#waiting.shift()
      const isLast = this.#end !== undefined && this.#waiting.length === 0
      if (chunk === undefined && !isLast) return true
      const trailers = isLast ? (this.#end?.trailers ?? []) : []
      this.#waitingBytes -= chunk?.length ?? 0
      if (chunk === undefined && trailers.length === 0) stream.complete()
      else stream.next({ data: chunk ?? EMPTY, metadata: trailersMetadata(trailers) }, isLast)
      if (isLast) return true
    }
    // The end alone costs no credit.
    if (this.#end !== undefined && this.#waiting.length === 0 && this.#end.trailers.length === 0) {
      stream.complete()
    }
    return this.#waitingBytes === 0
  }
}

/** The body of the other side: asks for items as the sink takes them. */
class BodyIn {
  #since = 0
  #paused = false
  stream: RSocketStream | undefined

  took(more: boolean): void {
    this.#since++
    if (!more) this.#paused = true
    this.#ask()
  }

  resume(): void {
    this.#paused = false
    this.#ask()
  }

  #ask(): void {
    if (this.#paused || this.#since < WINDOW / 2) return
    this.stream?.requestN(this.#since)
    this.#since = 0
  }
}

/** The client's side of an exchange. */
export class HttpClientCall implements RSocketStreamHandler {
  readonly #sink: HttpAnswerSink
  readonly #in = new BodyIn()
  readonly #out: BodyOut | undefined
  readonly #stream: RSocketStream
  #hasHead = false

  /**
   * @param body The whole body, at most `CHUNK_BYTES`; undefined: it comes by `write`.
   * @param entries More of the metadata, e.g. authentication.
   */
  constructor(
    peer: RSocketPeer,
    head: HttpRequestEntry,
    body: Uint8Array | undefined,
    sink: HttpAnswerSink,
    entries: readonly CompositeEntry[] = [],
  ) {
    this.#sink = sink
    const metadata = renderComposite([
      { mime: METADATA_ID.routing, content: renderRoutingTags([head.authority.slice(0, 255)]) },
      { mime: HTTP_ENTRY_MIME, content: renderHttpRequest(head) },
      ...entries,
    ])
    const payload = { data: body ?? EMPTY, metadata }
    const interaction = body === undefined ? 'channel' : 'stream'
    this.#stream = peer.request(interaction, payload, this, { initialN: WINDOW })
    this.#in.stream = this.#stream
    this.#out = body === undefined ? new BodyOut(this.#stream) : undefined
  }

  /** False: it waits, and `onWritable` follows. */
  write(bytes: Uint8Array): boolean {
    return this.#out?.write(bytes) ?? true
  }

  end(trailers: Fields): void {
    this.#out?.end(trailers)
  }

  /** The sink takes body bytes again. */
  resume(): void {
    this.#in.resume()
  }

  /** Nobody wants the answer any more. */
  abort(): void {
    this.#stream.cancel()
  }

  onItem(payload: RSocketPayload, complete: boolean): void {
    if (!this.#hasHead) {
      const head = readEntry(payload.metadata, readHttpResponse)
      if (head === undefined) {
        this.#stream.cancel()
        this.#sink.onFailure(RSOCKET_ERROR.invalid, 'the answer has no HTTP head')
        return
      }
      this.#hasHead = true
      this.#sink.onHead(head)
      this.#body(payload, complete, [])
    } else this.#body(payload, complete, trailersOf(payload.metadata))
  }

  #body({ data }: RSocketPayload, complete: boolean, trailers: Fields): void {
    const more = data.length === 0 || this.#sink.onBody(data)
    if (complete) this.#sink.onEnd(trailers)
    else this.#in.took(more)
  }

  onComplete(): void {
    if (this.#hasHead) this.#sink.onEnd([])
    else this.#sink.onFailure(RSOCKET_ERROR.invalid, 'the answer has no HTTP head')
  }

  onError(code: number, message: string): void {
    this.#sink.onFailure(code, message)
  }

  onRequestN(): void {
    if (this.#out?.flush() === true) this.#sink.onWritable()
  }

  onCancel(): void {}
}

/** What came in, as the server's side sees it; undefined: the request is none of HTTP. */
export function openHttpServerCall(
  stream: RSocketStream,
  payload: RSocketPayload,
): { readonly head: HttpRequestEntry; readonly call: HttpServerCall } | undefined {
  const head = readEntry(payload.metadata, readHttpRequest)
  return head && { head, call: new HttpServerCall(stream, payload) }
}

/** The server's side of an exchange. */
export class HttpServerCall implements RSocketStreamHandler {
  readonly #stream: RSocketStream
  readonly #first: RSocketPayload
  readonly #in = new BodyIn()
  readonly #out: BodyOut
  #head: HttpResponseEntry | undefined
  #sink: HttpRequestSink | undefined

  constructor(stream: RSocketStream, first: RSocketPayload) {
    this.#stream = stream
    this.#first = first
    this.#in.stream = stream
    this.#out = new BodyOut(stream)
    stream.handler = this
  }

  /** Begins to tell of the request's body. */
  receive(sink: HttpRequestSink): void {
    this.#sink = sink
    const { data } = this.#first
    if (data.length > 0) sink.onBody(data)
    if (this.#stream.interaction === 'channel') this.#stream.requestN(WINDOW)
    else sink.onEnd([])
  }

  /** The answer's head; it leaves with the first bytes of the body or with the end. */
  head(head: HttpResponseEntry): void {
    this.#head = head
  }

  /** As `head`, but it leaves now: the body may be long in coming. */
  open(head: HttpResponseEntry): void {
    this.#head = head
    this.#begin(EMPTY, false)
  }

  /** False: it waits, and `onWritable` follows. */
  write(bytes: Uint8Array): boolean {
    if (this.#head === undefined) return this.#out.write(bytes)
    const first = bytes.subarray(0, CHUNK_BYTES)
    this.#begin(first, false)
    return bytes.length > first.length ? this.#out.write(bytes.subarray(first.length)) : true
  }

  end(trailers: Fields): void {
    if (this.#head !== undefined) {
      const isOver = trailers.length === 0
      this.#begin(EMPTY, isOver)
      if (isOver) return
    }
    this.#out.end(trailers)
  }

  /** Sends what is known of a whole answer at once. */
  answer(head: HttpResponseEntry, body: Uint8Array): void {
    if (body.length > CHUNK_BYTES) {
      this.head(head)
      this.write(body)
      this.end([])
      return
    }
    this.#head = head
    this.#begin(body, true)
  }

  /** The first item always has credit: a stream is asked for with at least one. */
  #begin(data: Uint8Array, complete: boolean): void {
    const head = this.#head
    this.#head = undefined
    if (head === undefined || !this.#stream.maySend) return
    const content = renderHttpResponse(head)
    const metadata = renderComposite([{ mime: HTTP_ENTRY_MIME, content }])
    this.#stream.next({ data, metadata }, complete)
  }

  /** The answer cannot be given, or cannot go on. */
  fail(code: number, message: string): void {
    this.#stream.fail(code, message)
  }

  resume(): void {
    this.#in.resume()
  }

  onItem(payload: RSocketPayload, complete: boolean): void {
    const more = payload.data.length === 0 || (this.#sink?.onBody(payload.data) ?? true)
    if (complete) this.#sink?.onEnd(trailersOf(payload.metadata))
    else this.#in.took(more)
  }

  onComplete(): void {
    this.#sink?.onEnd([])
  }

  onError(): void {
    this.#sink?.onAbort()
  }

  onRequestN(): void {
    if (this.#out.flush()) this.#sink?.onWritable()
  }

  onCancel(): void {
    this.#sink?.onAbort()
  }
}

const EMPTY = new Uint8Array(0)
/** Trailers travel as the fields of an answer; its status says nothing. */
const TRAILERS_STATUS = 200

function trailersMetadata(fields: Fields): Uint8Array | undefined {
  if (fields.length === 0) return undefined
  const content = renderHttpResponse({ status: TRAILERS_STATUS, fields })
  return renderComposite([{ mime: HTTP_ENTRY_MIME, content }])
}

function trailersOf(metadata: Uint8Array | undefined): Fields {
  return readEntry(metadata, readHttpResponse)?.fields ?? []
}

function readEntry<T>(
  metadata: Uint8Array | undefined,
  read: (content: Uint8Array) => T | undefined,
): T | undefined {
  if (metadata === undefined) return undefined
  const reader = new CompositeReader().start(metadata, 0, metadata.length)
  while (reader.next()) if (reader.mime === HTTP_ENTRY_MIME) return read(reader.content)
  return undefined
}
