/** How sockets come to speak TLS: accepted ones, connected ones, and new ones. */
import type { Clock } from '@weft/base'
import { renderAddress, type SocketAddress } from '@weft/model'
import type { Socket, SocketHandler, Transport } from '../transport.ts'
import { type ClientTls, SecureSocket, type ServerTls } from './secure-socket.ts'

/** A handshake that takes longer is given up (R16). */
export const TLS_HANDSHAKE_TIMEOUT_MS = 10_000

export interface TlsDeps {
  readonly clock: Clock
  readonly handshakeTimeoutMs?: number
}

/**
 * Goes on as TLS over `raw`, whose own handler hears nothing any more. The
 * handler's `onOpen` follows when the peer is who it has to be, or `onClose` with
 * the reason why not.
 *
 * @param firstBytes What was read already.
 */
export function upgradeToTls(
  raw: Socket,
  firstBytes: Uint8Array | undefined,
  side: ServerTls | ClientTls,
  handler: SocketHandler,
  { clock, handshakeTimeoutMs = TLS_HANDSHAKE_TIMEOUT_MS }: TlsDeps,
): Socket {
  const guard = new HandshakeGuard(handler)
  const socket = new SecureSocket(raw, firstBytes, side, guard)
  guard.socket = socket
  guard.cancel = clock.after(handshakeTimeoutMs, () => {
    socket.abort(new Error(`no TLS handshake within ${handshakeTimeoutMs} ms`))
  })
  raw.resume()
  return socket
}

/** Passes everything on; out of the way once the handshake is done. */
class HandshakeGuard implements SocketHandler {
  readonly #handler: SocketHandler
  socket: SecureSocket | undefined
  cancel: () => void = () => undefined

  constructor(handler: SocketHandler) {
    this.#handler = handler
  }

  onOpen(): void {
    this.cancel()
    if (this.socket !== undefined) this.socket.handler = this.#handler
    this.#handler.onOpen()
  }

  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}

  onClose(error: Error | undefined): void {
    this.cancel()
    this.#handler.onClose(error)
  }
}

/**
 * As `transport.connect`, with TLS on top: `onOpen` means the handshake is done.
 * The caller limits how long all of it may take.
 */
export function connectTls(
  transport: Pick<Transport, 'connect'>,
  address: SocketAddress,
  handler: SocketHandler,
  side: Omit<ClientTls, 'kind' | 'peerKey'>,
): Socket {
  return new ConnectingSocket(transport, address, handler, {
    ...side,
    kind: 'client',
    peerKey: renderAddress(address),
  })
}

/** Stands for the secure socket until there is a connection to put it on, and passes calls on then. */
class ConnectingSocket implements Socket, SocketHandler {
  handler: SocketHandler
  readonly copiesWrites = true
  readonly #side: ClientTls
  readonly #raw: Socket
  #secure: SecureSocket | undefined
  #early: Uint8Array[] = []
  #paused = false
  #ended = false
  #isGone = false

  constructor(
    transport: Pick<Transport, 'connect'>,
    address: SocketAddress,
    handler: SocketHandler,
    side: ClientTls,
  ) {
    this.handler = handler
    this.#side = side
    this.#raw = transport.connect(address, {
      onOpen: () => this.#connected(),
      onData() {},
      onEnd() {},
      onDrain() {},
      onClose: (error) => this.onClose(error),
    })
  }

  #connected(): void {
    const secure = new SecureSocket(this.#raw, undefined, this.#side, this)
    this.#secure = secure
    if (this.#paused) secure.pause()
    for (const bytes of this.#early) secure.write(bytes)
    this.#early = []
    if (this.#ended) secure.end()
  }

  // What the secure socket reports.

  onOpen(): void {
    this.handler.onOpen()
  }

  onData(bytes: Uint8Array, length: number): void {
    this.handler.onData(bytes, length)
  }

  onEnd(): void {
    this.handler.onEnd()
  }

  onDrain(): void {
    this.handler.onDrain()
  }

  onClose(error: Error | undefined): void {
    this.#isGone = true
    this.handler.onClose(error)
  }

  // What the owner asks for.

  get tls() {
    return this.#secure?.tls
  }

  get remoteAddress(): SocketAddress {
    return (this.#secure ?? this.#raw).remoteAddress
  }

  get directAddress(): SocketAddress | undefined {
    return (this.#secure ?? this.#raw).directAddress
  }

  get localAddress(): SocketAddress {
    return (this.#secure ?? this.#raw).localAddress
  }

  get pendingBytes(): number {
    return this.#secure?.pendingBytes ?? this.#early.reduce((sum, { length }) => sum + length, 0)
  }

  get closed(): boolean {
    return this.#isGone || (this.#secure ?? this.#raw).closed
  }

  write(bytes: Uint8Array): boolean {
    if (this.#secure !== undefined) return this.#secure.write(bytes)
    if (this.closed || bytes.length === 0) return true
    this.#early.push(Buffer.from(bytes))
    return false
  }

  pause(): void {
    this.#paused = true
    this.#secure?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#secure?.resume()
  }

  bulkReads(on: boolean): boolean {
    return !on
  }

  end(): void {
    this.#ended = true
    this.#secure?.end()
  }

  close(): void {
    if (this.#secure === undefined) this.#raw.close()
    else this.#secure.close()
  }

  reset(): void {
    if (this.#secure === undefined) this.#raw.reset()
    else this.#secure.reset()
  }
}
