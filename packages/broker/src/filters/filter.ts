/**
 * What a filter of the broker is: the types that a filter's file is written against. This file
 * imports nothing, so it can be copied beside a filter.
 *
 *     parse      once per load, may throw: the file is not taken
 *     open       once per load; a rejection: the file is not taken
 *     onConnect  once per connection, after its SETUP was verified
 *     create     once per stream that `match` takes; undefined: not this one
 *     on…        as the stream goes by: requests in chain order, answers in reverse
 *     close      once, when the last stream that began with this load has ended
 *
 * A hook that returns undefined lets go on, which costs nothing. A promise holds the stream (not
 * the connection) until it settles. Filters are trusted code: they run in the broker's process.
 */

export type FilterInteraction = 'rr' | 'fnf' | 'stream' | 'channel'

/** `request`: from who asks to who answers; `response`: the other way. */
export type FilterDirection = 'request' | 'response'

/** In this order a request passes them; `observe` comes last and changes nothing. */
export type FilterPhase = 'authn' | 'authz' | 'route' | 'observe'

/**
 * What is decoded for the filter, and only that:
 * `data` – the request is put together of its fragments, and `request.data` can be read;
 * `request-items`, `response-items` – every item is put together and shown to `onItem`.
 */
export type FilterNeed = 'data' | 'request-items' | 'response-items'

/** Streams that the filter sees; all that is given must hold. Others keep the fast way. */
export interface FilterMatch {
  /** Names of services, exact or with `*` at the end; of HTTP calls, hosts. */
  readonly services?: readonly string[]
  readonly interactions?: readonly FilterInteraction[]
}

export interface BrokerFilter<Config = unknown> {
  /** In metrics, logs and `weft get filters`; absent: the name of the file. */
  readonly name?: string
  /** Default: `route`. */
  readonly phase?: FilterPhase
  /** Within a phase the greatest comes first; ties by name. Default: 0. */
  readonly priority?: number
  /** Absent: every stream. */
  readonly match?: FilterMatch
  /** Absent: nothing beyond metadata. */
  readonly needs?: readonly FilterNeed[]
  /**
   * When a hook throws, rejects or is late: FAIL_CLOSE (the default) ends the stream, FAIL_OPEN goes on as if
   * the filter were not there. Filters of the phase `observe` always fail open.
   */
  readonly failStrategy?: 'FAIL_CLOSE' | 'FAIL_OPEN'
  /** For each promise of a hook, in milliseconds, 1 to 60,000. Default: 1,000. */
  readonly timeoutMs?: number
  /** Checks what stands under `config` in the JSON file beside the filter; undefined when there is none. */
  parse?(raw: unknown): Config
  open?(config: Config, host: FilterHost): void | Promise<void>
  onConnect?(connection: FilterConnection, config: Config): ConnectVerdict
  create?(config: Config, stream: FilterStream): StreamFilter | undefined
  close?(): void
}

/** What the broker has for a filter, from `open` on. */
export interface FilterHost {
  readonly log: (message: string, fields?: Readonly<Record<string, unknown>>) => void
  /** Outlives reloads of this filter (not the process): caches, counters, connections. */
  readonly kept: Map<string, unknown>
  /** Monotonic, in milliseconds. */
  now(): number
}

/** A connection that was let in. */
export interface FilterConnection {
  /** SPIFFE ID; undefined: anonymous. */
  readonly principal: string | undefined
  readonly claims: Readonly<Record<string, unknown>> | undefined
  /** Empty: it offers nothing and said no name. */
  readonly instance: string
  readonly app: string
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly services: readonly string[]
  readonly remoteAddress: string
}

/** A stream as it was asked for. */
export interface FilterStream {
  readonly interaction: FilterInteraction
  /** The first routing tag; of an HTTP call, its host. */
  readonly route: string
  readonly service: string
  readonly method: string
  /** Further tags `k=v`, by lower-case name. */
  readonly tags: ReadonlyMap<string, string>
  /** Of who asks. */
  readonly connection: FilterConnection
}

export interface FilterHttpHead {
  readonly method: string
  readonly path: string
  readonly authority: string
  readonly fields: readonly (readonly [name: string, value: string])[]
}

/** A request on its way, with the changes of the filters before. */
export interface FilterRequest {
  readonly interaction: FilterInteraction
  readonly route: string
  /** Head of an HTTP call; undefined: it is none. */
  readonly http: FilterHttpHead | undefined
  /** @throws {Error} Without `data` among the needs. */
  readonly data: Uint8Array
  /** The content of the first metadata entry of this type. */
  entry(mime: string): Uint8Array | undefined
  /** The new key is routed and authorized as if it had been asked for. */
  setRoute(key: string): void
  setHttp(head: FilterHttpHead): void
  appendEntry(mime: string, content: Uint8Array): void
  removeEntry(mime: string): void
  /** @throws {Error} Without `data` among the needs. */
  setData(data: Uint8Array): void
}

export interface FilterItem {
  readonly data: Uint8Array
  readonly metadata: Uint8Array | undefined
}

export interface FilterError {
  readonly code: number
  readonly message: string
}

/**
 * Ends the stream with an error: by default REJECTED (0x202) for requests, which says that nobody
 * has processed it, and APPLICATION_ERROR (0x201) for items. 0x403 is "denied".
 */
export interface FilterRefusal {
  readonly refuse: string
  readonly code?: number
}

/** The filter answers by itself, with one item. */
export interface FilterAnswer {
  readonly answer: { readonly data: Uint8Array; readonly metadata?: Uint8Array }
}

export type RequestVerdict = FilterRefusal | FilterAnswer

export type ItemVerdict =
  | { readonly replace: { readonly data?: Uint8Array; readonly metadata?: Uint8Array } }
  | { readonly drop: true }
  | FilterRefusal

/** Now or later. */
export type Awaitable<T> = T | undefined | Promise<T | undefined>

/** A text refuses the connection: REJECTED_SETUP. */
export type ConnectVerdict = Awaitable<string>

export interface StreamEnd {
  /** 0 for a good end, else of the RSocket error. */
  readonly code: number
  readonly isCancelled: boolean
  readonly durationMs: number
  /** Items after the request, and bytes of all frames with it. */
  readonly requestItems: number
  readonly responseItems: number
  readonly requestBytes: number
  readonly responseBytes: number
}

/** Of one stream. */
export interface StreamFilter {
  onRequest?(request: FilterRequest): Awaitable<RequestVerdict>
  /**
   * Every item of a direction among the needs; the request's own payload is the first of `request`.
   * Bytes may be kept.
   */
  onItem?(item: FilterItem, direction: FilterDirection): Awaitable<ItemVerdict>
  /** This direction is complete. */
  onComplete?(direction: FilterDirection): void
  /** An error of the peer; what is returned takes its place. */
  onError?(error: FilterError, direction: FilterDirection): Awaitable<FilterError>
  /** The consumer of the other direction wants no more. */
  onCancel?(direction: FilterDirection): void
  /** Once, last, however it ended. */
  onEnd?(end: StreamEnd): void
}
