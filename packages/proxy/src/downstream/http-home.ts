/** What a client's HTTP connection and its listener want of each other, whatever version it speaks. */
import type { Socket } from '@weft/net'
import type { HttpRuntime } from '../exchange/contract.ts'
import type { ExchangePool } from '../exchange/exchange-pool.ts'
import type { Holding } from '../overload/heaviest.ts'

/** Where a connection finds the newest configuration that applies to it. */
export interface HttpHome {
  readonly exchanges: ExchangePool
  readonly draining: boolean
  /** `undefined`: no chain of the newest tree is for this connection any more. */
  runtime(socket: Socket): HttpRuntime | undefined
  whenPublished(wake: () => void): () => void
  /** How long a request waits for a configuration, in milliseconds. */
  readonly holdMs: number
  /** Whether one more may wait. */
  readonly mayHold: boolean
  /** The connection is gone. */
  left(connection: HttpConnection): void
  /** The client began with HTTP/2's preface: `bytes` are its first, valid only during the call. */
  becomesHttp2(connection: HttpConnection, bytes: Buffer): void
  /**
   * Whether the connection's server name is one for `authority`. Absent: nobody knows, and all are.
   */
  covers?(socket: Socket, authority: string): boolean
}

/** A client's connection as its listener sees it. */
export interface HttpConnection {
  readonly socket: Socket
  /** Asks the client to go elsewhere, if the protocol has a way between requests. */
  drain(): void
  /** Ends the connection if nothing runs on it. */
  closeIfIdle(): void
  /** What is left of its idle time counts by what `EngineDeps.overload` says now. */
  shortenIdle(): void
  /** What its requests hold of the memory. */
  addHoldings(into: Holding[]): void
}
