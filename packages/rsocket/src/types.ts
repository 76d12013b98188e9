/** What `connect` takes and gives. */
import type { RSocketError } from './errors.ts'
import type { Message, Outgoing } from './message.ts'

export interface BrokerAddress {
  /** `tcp://`, `tls://` (also `tcps://`), `ws://` or `wss://`, with host and port. */
  readonly uri: string
  /** Where it is; links go to different zones first. */
  readonly zone?: string
}

export interface TlsOptions {
  /** PEM of the roots that vouch for the broker; absent: those of the runtime. */
  readonly ca?: string
  /** PEM of the chain and the key that are shown to the broker: no token is needed then. */
  readonly cert?: string
  readonly key?: string
  /** The name that the broker's certificate must have; absent: the host that is dialled. */
  readonly serverName?: string
  /** For brokers with certificates of the mesh: their SPIFFE ID, which is verified in place of a name. */
  readonly spiffeId?: string
}

export type TokenSource = string | (() => string | undefined | Promise<string | undefined>)

/** The methods of one service. */
export type Methods = Readonly<Record<string, Handler>>

/**
 * Answers a request. To a request/response: the answer, or a promise of it. To a stream or a
 * channel: an async iterable or a generator of items; anything else is the only item. What it
 * throws ends the call: `RSocketError` as it is, everything else as APPLICATION_ERROR without its
 * text. So does the REJECTED of a call that the handler made itself: its own caller must not take it
 * for a request that was not processed.
 */
export type Handler = (request: IncomingRequest) => Outgoing | Promise<Outgoing>

export interface IncomingRequest extends Message {
  readonly service: string
  readonly method: string
  readonly interaction: 'rr' | 'fnf' | 'stream' | 'channel'
  /** The routing tags `key=value` behind the name: what callers give as `metadata`. */
  readonly tags: Readonly<Record<string, string>>
  /** Aborts when the caller wants no more, or has gone. */
  readonly signal: AbortSignal
  /** A channel's items, the first one included; of other requests the one that there is. */
  readonly items: AsyncIterable<Message>
}

export interface ConnectOptions {
  /** At least one. Brokers tell where others are; links move there. */
  readonly brokers: readonly (string | BrokerAddress)[] | string
  /** What this program is, in lists and policies of people; default `app`. */
  readonly app?: string
  /** Default: that of the token or the certificate, which it must be if it is said; without one `default`. */
  readonly namespace?: string
  /** Unique to this process, for its life; default: a random UUID. */
  readonly instance?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly zone?: string
  /** Share of requests among the instances of a service, a whole number of 1 to 1,000; default 1. */
  readonly weight?: number
  /** What it offers from the first moment on; `handle` adds more. */
  readonly services?: Readonly<Record<string, Methods>>
  /** Proves who this is. A function is asked for each connection, and again before the token ends. */
  readonly token?: TokenSource
  /** For `tls://`. A function is asked for each connection. Browsers have roots of their own. */
  readonly tls?: TlsOptions | (() => TlsOptions)
  /** Connections, each to another broker while there are so many; 1 to 16, default 2. */
  readonly links?: number
  /** MIME type of data; default `application/json`. */
  readonly dataMime?: string
  /** Longest wait for the first link, in milliseconds; default 10,000. */
  readonly connectTimeoutMs?: number
  /**
   * Longest wait of a call for a link when none is up, and for a lease when those of its service
   * are used up, in milliseconds; default 5,000. Its own `timeoutMs` may end it earlier.
   */
  readonly waitForLinkMs?: number
  /** How often a link shows that it lives, in milliseconds, at least 100; default 20,000. */
  readonly keepaliveMs?: number
  /** Silence after which a link is dead, in milliseconds, more than `keepaliveMs`; default 60,000. */
  readonly maxLifetimeMs?: number
  readonly limits?: Partial<Limits>
  /** False: brokers may send as many requests as they like, up to `limits.streams`. */
  readonly lease?: boolean | Partial<LeaseOptions>
  /** Told what handlers throw that callers are not told; default: it is written to the console. */
  readonly onHandlerError?: (error: unknown, request: IncomingRequest) => void
  /** Told when a link comes up or goes down. */
  readonly onLinkChange?: (status: ClientStatus) => void
}

export interface Limits {
  /** Streams that one link's broker may have open here; 1 to 1,000,000, default 16,384. */
  readonly streams: number
  /** Bytes of one message; 1 to 16,777,215 (the default). */
  readonly payloadBytes: number
  /** Items of one stream that wait to be consumed, 1 to 65,535; default 64. */
  readonly prefetch: number
  /** Calls that wait for a link or a lease; default 16,384. Those above it are REJECTED. */
  readonly waitingCalls: number
}

export interface LeaseOptions {
  /** Requests at once when nothing is known yet; default 1,024. */
  readonly initial: number
  /** Never fewer, default 16, and never more, default 16,384. */
  readonly min: number
  readonly max: number
  /** A lateness of the event loop that is too much, in milliseconds; default 100. */
  readonly highLagMs: number
}

export interface CallOptions {
  /** Routing tags `key=value`, which policies see as headers. Each at most 255 bytes. */
  readonly metadata?: Readonly<Record<string, string>>
  /** Aborting cancels the call. */
  readonly signal?: AbortSignal
  /** From the call to its end, in milliseconds, 1 to 2,147,483,647; brokers enforce it too. */
  readonly timeoutMs?: number
  /** Running it twice is as good as once: it may be asked again when a link is lost. */
  readonly idempotent?: boolean
  /** The end user's bearer token. It does not change who this program is. */
  readonly userToken?: string
}

export interface StreamOptions extends CallOptions {
  /**
   * Goes on after a link or a broker was lost: gives the data of the next request, mostly with
   * where it should begin. `last` is the last item that came. `undefined` ends the stream with the error.
   */
  readonly resubscribe?: (
    last: Message | undefined,
    error: RSocketError,
  ) => Outgoing | Promise<Outgoing>
}

export interface LinkStatus {
  readonly broker: string
  readonly isUp: boolean
  /** Gives way to another link, or its broker goes. */
  readonly isLeaving: boolean
  /** Why it is not up, as far as anybody said. */
  readonly problem: string | undefined
  /** Requests that the broker was let send, and that it sent, since this connection is up. */
  readonly leased: number
  readonly received: number
}

export interface ClientStatus {
  readonly links: readonly LinkStatus[]
  /** Requests of others that are under way. */
  readonly serving: number
  /** Own calls that are under way. */
  readonly calling: number
  /** Requests at once that the event loop seems fit for; undefined without leases. */
  readonly capacity: number | undefined
}

export interface RSocketClient extends AsyncDisposable {
  readonly instance: string
  status(): ClientStatus
  /** @throws {RSocketError} (as a rejection) What the call ended with. */
  requestResponse(
    service: string,
    method: string,
    data?: Outgoing,
    options?: CallOptions,
  ): Promise<Message>
  /** Resolves when it has been handed to the network; nobody says what becomes of it. */
  fireAndForget(
    service: string,
    method: string,
    data?: Outgoing,
    options?: CallOptions,
  ): Promise<void>
  /** Asks at the first `next`; leaving the loop cancels. Items come as they are consumed. */
  requestStream(
    service: string,
    method: string,
    data?: Outgoing,
    options?: StreamOptions,
  ): AsyncGenerator<Message, void, undefined>
  /** Sends the items of `items` as they are asked for, and gives those that come back. */
  requestChannel(
    service: string,
    method: string,
    items: AsyncIterable<Outgoing> | Iterable<Outgoing>,
    options?: CallOptions,
  ): AsyncGenerator<Message, void, undefined>
  /**
   * Offers a service from now on, in place of what it offered under this name. Resolves when all
   * brokers to which there is a link know. The returned function takes it back.
   */
  handle(service: string, methods: Methods): Promise<() => Promise<void>>
  /** Asks the token source again and shows the token on every link. */
  refreshToken(): Promise<void>
  /**
   * Takes no more requests, waits until those of others and the own ones have ended, and closes.
   *
   * @param deadlineMs After so long it closes all the same; default 10,000.
   */
  close(deadlineMs?: number): Promise<void>
}
