/** A client's connection as an exchange on it sees it. */
import type { SocketAddress } from '@weft/model'
import type { Socket } from '@weft/net'

export interface ClientSide {
  readonly socket: Socket
  readonly remoteAddress: SocketAddress
  readonly localAddress: SocketAddress
  /** Answers should ask the client to go elsewhere. */
  readonly draining: boolean
  /** The tree may be newer than the exchange's: called for a request that waited for one. */
  whenConfigured(wake: () => void): () => void
  /** The exchange is over; its object may be in use again already. */
  exchangeDone(keepAlive: boolean, nowMs: number): void
  /** Ends the connection so that what was sent cannot be taken for complete. */
  abort(): void
  /** Takes the connection away from HTTP; returns bytes that came after the request. */
  takeOver(): Buffer | undefined
}
