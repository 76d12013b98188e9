/** An open listening socket as the rest of the proxy sees it. */
import type { SocketAddress } from '@weft/model'
import type { Holding } from '../overload/heaviest.ts'
import type { ListenerSlot } from './listener-slot.ts'

export interface OpenListener {
  /** With the port the kernel chose. */
  readonly address: SocketAddress
  /** See `Listening.handle`. */
  readonly handle: object | undefined
  /** With those that it adopted. */
  readonly handles: readonly object[]
  /** Accepts on one more socket of the same address; `slot` tells those apart. */
  adopt(slot: number, handle: object): Promise<void>
  discard(slot: number): void
  readonly slot: ListenerSlot
  /** Open connections, tunnels among them. */
  readonly connections: number
  /** HTTP requests and tunnels: those that run, and those that ever began. */
  readonly requests: { readonly active: number; readonly begun: number }
  /** Stops accepting; what is open stays. */
  stopAccepting(): Promise<void>
  /** Ends what carries no request. */
  closeIdle(): void
  /** See `OverloadTargets`. */
  shortenIdle(): void
  addHoldings(into: Holding[]): void
  /**
   * Asks clients to go: answers carry `Connection: close` from now on, idle
   * connections end after `idleMs`. Resolves when all are gone or `deadlineMs`
   * has passed and the rest was cut.
   */
  drain(timing: { readonly idleMs: number; readonly deadlineMs: number }): Promise<void>
  /** Closes everything at once. */
  close(): Promise<void>
}
