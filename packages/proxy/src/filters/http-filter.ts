/**
 * What HTTP filters are. One file beside this one per filter; the lists of them are
 * `catalog.ts`. The router is implied as the last one.
 *
 *     onRequest    after the route was found, in the listener's order
 *     onResponse   before the answer's head is written
 *
 * There are two sorts. Some have no settings in the listener: what they need is in the route
 * (`HttpFilter`). The others are bound to the settings that the listener, the virtual host and
 * the route agree on, once per configuration, and may keep state there (`BindFilter`).
 */
import type {
  FilterOverrides,
  HttpFilterConfig,
  HttpFilterName,
  RequestView,
  Route,
  SocketAddress,
} from '@weft/model'
import type { TlsFacts } from '@weft/net'
import type { AnswerEncoder } from '../exchange/answer-coding.ts'
import type { BodyDecoder } from '../exchange/body-relay.ts'
import type { EngineDeps, HttpRuntime } from '../exchange/contract.ts'
import type { EncodedHeaders } from '../exchange/encoded-headers.ts'
import type { ExchangeFacts } from '../exchange/exchange-facts.ts'
import type { Failure } from '../exchange/failures.ts'
import type { FieldChanges } from '../exchange/request-changes.ts'
import type { LocalReply } from '../exchange/write-response.ts'

export interface HttpFilter {
  readonly name: HttpFilterName
  onRequest(route: Route, request: RequestView, random: () => number): FilterVerdict
  /** Changes to the answer's head; `undefined` for none. */
  onResponse?(route: Route, request: RequestView): EncodedHeaders | undefined
}

/** `undefined`: nothing to do for this route. */
export type BindFilter<K extends HttpFilterName> = (
  config: Extract<HttpFilterConfig, { kind: K }>,
  scope: FilterScope,
) => BoundFilter | undefined

export interface BoundFilter {
  onRequest(call: FilterCall): FilterVerdict
}

export interface FilterScope {
  readonly deps: EngineDeps
  readonly runtime: HttpRuntime
  readonly route: Route
  /** The virtual host's, where the route says nothing. */
  readonly overrides: FilterOverrides
}

export interface FilterCall {
  readonly request: RequestView
  /** Who asks, as far as `x-forwarded-for` is believed. */
  readonly remoteHost: string
  /** The peer's SPIFFE id. */
  readonly principal: string | undefined
  /** Of the request's body; negative when it is not known. */
  readonly contentLength: number
  /** The same object for each request of one connection. */
  readonly connection: object
  readonly peer: FilterPeer
  /** What filters before this one found out; a filter adds what it finds. */
  readonly facts: ExchangeFacts
  /** Lower-case names of the request's fields, each once. */
  fieldNames(): readonly string[]
  /** Every line of a field by its lower-case name. */
  fieldLines(name: string): readonly string[]
  /**
   * Waits until the body is complete or longer than `maxBytes`.
   *
   * @returns Cancels.
   */
  whenBody(maxBytes: number, use: (body: FilterBody) => void): () => void
}

/** Both ends of the connection that the request came on. */
export interface FilterPeer {
  /** What a PROXY header said holds. */
  readonly remote: SocketAddress
  /** Of the connection itself; absent: it is `remote`. */
  readonly direct?: SocketAddress | undefined
  readonly local: SocketAddress
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2'
  readonly requestId: string
  readonly tls: TlsFacts | undefined
}

export interface FilterBody {
  /** So far; valid during the call only. */
  readonly bytes: Buffer
  readonly isComplete: boolean
}

/** `undefined` goes on. */
export type FilterVerdict =
  | undefined
  | {
      readonly kind: 'reply'
      readonly reply: LocalReply
      readonly failure?: Failure
      /** For the access log, where no failure says it. */
      readonly details?: string
    }
  /** Waits, then does what `then` says. */
  | { readonly kind: 'delay'; readonly delayMs: number; readonly then: FilterVerdict }
  /** Asks somebody else, who calls `done` once unless cancelled before. */
  | {
      readonly kind: 'wait'
      start(done: (verdict: FilterVerdict) => void): () => void
    }
  /** Goes on; the answer, whosever it is, gets these. */
  | { readonly kind: 'stamp'; readonly headers: EncodedHeaders }
  /** Goes on as another protocol, and so does the answer. */
  | {
      readonly kind: 'translate'
      readonly requestHeaders: EncodedHeaders
      /** Absent: the request's body stays as it is. */
      readonly decoder: BodyDecoder | undefined
      readonly encoder: AnswerEncoder
      /** Of the answer. */
      readonly contentType: string
    }
  /** Goes on with another head. */
  | {
      readonly kind: 'change'
      readonly changes: FieldChanges
      /** The route is looked for again, as it may depend on what is known now. */
      readonly rematch: boolean
      /** For the answer, whosever it is. */
      readonly stamps?: EncodedHeaders
    }
  /** Goes on; told once when the exchange is over, and whether its answer was complete. */
  | { readonly kind: 'watch'; onEnd(complete: boolean): void }
  /** Goes on; a body that turns out longer is refused. */
  | { readonly kind: 'limitBody'; readonly maxBytes: number }
  /** Goes on; an upstream's answer may be coded on its way. */
  | {
      readonly kind: 'encode'
      readonly encoder: AnswerEncoder
      /** Changes to the request. */
      readonly requestHeaders: EncodedHeaders | undefined
    }
