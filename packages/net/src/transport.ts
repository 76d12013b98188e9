/**
 * What the rest of Weft sees instead of a socket API. Three members fulfil it:
 * `handle-transport.ts` (fast path), `node-transport.ts` (public `node:net`) and
 * `memory-transport.ts` (tests); `pick-transport.ts` chooses.
 *
 * The contract is shaped by what is cheap: bytes come in by callback in a buffer
 * that all connections share, and go out by a call that says whether the kernel
 * took them at once.
 */
import type { SocketAddress } from '@weft/model'
import type { TlsFacts } from './tls/tls-facts.ts'

export type TransportName = 'handle' | 'node' | 'memory'

export interface Transport {
  readonly name: TransportName
  /**
   * Opens a listening socket; `accept` is called once per connection and returns
   * its handler. Rejects with the system's error (`code` is `EADDRINUSE` …).
   */
  listen(
    options: ListenOptions,
    accept: (socket: AcceptedSocket) => SocketHandler,
  ): Promise<Listening>
  /**
   * Begins to connect to a literal IP address or a Unix socket and returns at once. `handler.onOpen`
   * follows when the peer accepted, or `onClose` with an error when it did not;
   * never during this call. Bytes written before that wait.
   */
  connect(address: SocketAddress, handler: SocketHandler): Socket
}

export interface ListenOptions {
  readonly address: SocketAddress
  readonly backlog?: number
  /** Several processes or threads listen on the same port (SO_REUSEPORT). */
  readonly reusePort?: boolean
  /** A bound socket that another process handed over, taken in place of a new one. */
  readonly inherited?: object
}

export interface Listening {
  /** With the port the kernel chose when 0 was asked for. */
  readonly address: SocketAddress
  /** What can be sent to a child process, which then listens on the same socket. */
  readonly handle?: object
  /** Stops accepting; accepted connections stay. */
  close(): Promise<void>
}

export interface Socket {
  /** Who is told; may be replaced at any time, e.g. when protocol detection hands over. */
  handler: SocketHandler
  readonly remoteAddress: SocketAddress
  /** The kernel's, where a relay said whom it stands for; absent: it is `remoteAddress`. */
  readonly directAddress?: SocketAddress | undefined
  readonly localAddress: SocketAddress
  /** What the handshake found; absent on plaintext connections and before it is done. */
  readonly tls?: TlsFacts | undefined
  /** Bytes written that the kernel has not taken yet. */
  readonly pendingBytes: number
  /** True from the moment `close` or `reset` was called, or `onClose` was delivered. */
  readonly closed: boolean
  /** `write` keeps nothing: bytes may be reused when it returns, whatever it says. */
  readonly copiesWrites?: boolean
  /**
   * Sends bytes. True: the kernel took all and `bytes` may be reused. False: they
   * wait, `bytes` belongs to the socket and must not change until `onDrain`.
   * After `close` it does nothing and returns true.
   */
  write(bytes: Uint8Array): boolean
  /** Stops `onData` until `resume`; data already being delivered is not taken back. */
  pause(): void
  resume(): void
  /**
   * Bulk transfer: reads go into a large buffer that is this connection's own until
   * switched off, so `onData` bytes may be handed to a `write` that stays pending,
   * as long as reading is paused until that write drained. False when the pool of
   * such buffers is empty. Call from `onData` only.
   */
  bulkReads(on: boolean): boolean
  /** Sends what waits, then our end of stream. Reading goes on. */
  end(): void
  /** Closes at once; unread data makes the kernel send RST. `onClose` follows, never during this call. */
  close(): void
  /** Closes with RST, so that the peer cannot take what it got for complete. */
  reset(): void
}

/** One that came in: whoever relayed it may say between whom it really is. */
export interface AcceptedSocket extends Socket {
  /** Holds in place of the kernel's addresses from now on. */
  readdress(remote: SocketAddress, local: SocketAddress): void
}

/** What a connection reports. Methods are called one at a time and never after `onClose`. */
export interface SocketHandler {
  /** Connected; outgoing connections only. */
  onOpen(): void
  /** `bytes[0..length)` came in; valid only during the call unless `bulkReads` is on. */
  onData(bytes: Uint8Array, length: number): void
  /** The peer sent its end of stream. */
  onEnd(): void
  /** Everything written has been taken by the kernel, after a `write` that returned false. */
  onDrain(): void
  /** The connection is gone; last call. `error` is absent after an orderly close. */
  onClose(error: Error | undefined): void
}
