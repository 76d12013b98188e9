/**
 * TLS over a connected socket, behind the same contract as the socket itself.
 *
 *     connecting ─► handshake ─► open ─► closed
 *
 * Node does the handshake. Over the handle transport its encrypted handle is then
 * taken over, as plain TCP's is: reads go into the thread's shared buffer, writes
 * past the stream machinery. Over any other socket the public stream is used.
 *
 * What the handle promises: it has encrypted, or copied, what it was given when
 * `writeBuffer` returns, but every write ends later, and one may run at a time.
 * So what comes meanwhile is gathered and goes out as one.
 */
import type { X509Certificate } from 'node:crypto'
import { Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { realClock } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import { type TakenHandle, takeHandle } from '../handle-transport.ts'
import { systemError } from '../system-error.ts'
import type { Socket, SocketHandler } from '../transport.ts'
import { DuplexOverSocket } from './duplex-over-socket.ts'
import { peerCertificate } from './peer-certificate.ts'
import type { ClientTlsContext, ServerTlsContext } from './tls-context.ts'
import type { PeerCertificate, TlsFacts } from './tls-facts.ts'
import { type TlsHandle, TlsWriter } from './tls-writer.ts'
import { type PeerProblem, type PeerRules, peerProblem } from './verify-peer.ts'

export interface ServerTls {
  readonly kind: 'server'
  readonly context: ServerTlsContext
  /** What the client offered; none of ours among it: no protocol is agreed on. */
  readonly offeredAlpn: readonly string[]
  readonly serverName: string | undefined
}

export interface ClientTls {
  readonly kind: 'client'
  readonly context: ClientTlsContext
  /** A DNS name; absent: none is sent. */
  readonly serverName: string | undefined
  /** Offered in place of the context's. */
  readonly alpn?: readonly string[]
  /** A name that the certificate has to have, beside what the context wants. */
  readonly names?: PeerRules['names']
  /** Under which sessions are remembered: the peer's address. */
  readonly peerKey: string
}

/** A handshake that failed because of who the peer is, or is not. */
export class PeerRefused extends Error {
  readonly reason: PeerProblem['reason']

  constructor({ reason, why }: PeerProblem) {
    super(why)
    this.reason = reason
  }
}

const EOF = -4095
/** Below the 1,024 of Node's first buffer. */
const FEED_BYTES = 1_000

export class SecureSocket implements Socket {
  handler: SocketHandler
  closed = false
  /** Encrypted, or copied to wait. */
  readonly copiesWrites = true
  tls: TlsFacts | undefined
  readonly remoteAddress: SocketAddress
  readonly directAddress: SocketAddress | undefined
  readonly localAddress: SocketAddress
  readonly #side: ServerTls | ClientTls
  readonly #taken: TakenHandle | undefined
  /** The socket below, where its handle was not taken. */
  readonly #raw: Socket
  readonly #net: NetSocket | undefined
  readonly #tls: TLSSocket
  #writer: TlsWriter | undefined
  #paused = false
  /** What came behind the handshake, or in one read with it, while paused: stopping comes too late. */
  #held: Uint8Array[] = []
  #endHeld = false
  #early: Uint8Array[] = []
  #endEarly = false
  #error: Error | undefined
  /** The peer's, as it was when the session began. */
  #kept: X509Certificate | undefined
  #certificate: X509Certificate | undefined

  /** @param firstBytes What was read from `raw` already. */
  constructor(
    raw: Socket,
    firstBytes: Uint8Array | undefined,
    side: ServerTls | ClientTls,
    handler: SocketHandler,
  ) {
    this.#raw = raw
    this.#side = side
    this.handler = handler
    this.remoteAddress = raw.remoteAddress
    this.directAddress = raw.directAddress
    this.localAddress = raw.localAddress
    this.#taken = takeHandle(raw)
    let below: Duplex
    if (this.#taken === undefined) below = new DuplexOverSocket(raw)
    else {
      const options = { handle: this.#taken.handle, allowHalfOpen: true, manualStart: true }
      this.#net = new NetSocket(options as object)
      this.#net.on('error', (error) => this.#fail(error))
      below = this.#net
    }
    const hasSpoken = firstBytes !== undefined && firstBytes.length > 0
    // As if read again; a handle that is ours takes them directly.
    if (hasSpoken && this.#taken === undefined) below.unshift(Buffer.from(firstBytes))
    this.#tls = side.kind === 'server' ? this.#serve(below, side) : this.#connect(below, side)
    this.#tls.on('error', (error) => this.#fail(error))
    this.#tls.on('close', () => this.#gone())
    if (hasSpoken && this.#taken !== undefined) {
      // Not of Node's pool: whatever else lies in a slab of it would keep it.
      const first = Buffer.allocUnsafeSlow(firstBytes.length)
      first.set(firstBytes)
      process.nextTick(feed, this, first)
    }
  }

  /**
   * In pieces that never fill Node's first buffer for what is encrypted, which is small. A read of its
   * own would make one of 64 KB, and a full one adds 16 KB: both stay as long as the connection.
   */
  feed(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += FEED_BYTES) {
      const { _handle: handle } = this.#tls as unknown as { readonly _handle: TlsHandle | null }
      if (this.closed || handle === null) return
      handle.receive(bytes.subarray(at, at + FEED_BYTES))
    }
  }

  #serve(below: Duplex, { context, offeredAlpn }: ServerTls): TLSSocket {
    // Node ends a handshake without a common protocol; Envoy goes on without one.
    const alpn = context.alpn.filter((protocol) => offeredAlpn.includes(protocol))
    const tls = new (process.getBuiltinModule('node:tls').TLSSocket)(below, {
      isServer: true,
      secureContext: context.secure,
      requestCert: context.clientCertificate !== 'none',
      rejectUnauthorized: context.clientCertificate === 'required',
      allowHalfOpen: true,
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    } as object)
    tls.on('secure', () => this.#secured())
    return tls
  }

  #connect(below: Duplex, side: ClientTls): TLSSocket {
    const { context, serverName, alpn = context.alpn } = side
    const key = `${side.peerKey} ${serverName ?? ''} ${alpn.join()}`
    const kept = context.sessions.get(key)
    this.#kept = kept?.certificate
    const tls = process.getBuiltinModule('node:tls').connect({
      socket: below,
      secureContext: context.secure,
      // Checked by us, with the names as they are in the certificate.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      allowHalfOpen: true,
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
      ...(kept === undefined ? {} : { session: kept.session }),
    } as object)
    tls.on('session', (session: Buffer) => {
      // Who was refused does not come in by a session.
      if (this.tls !== undefined && !this.closed) {
        context.sessions.set(key, { session, certificate: this.#certificate })
      }
    })
    tls.on('secureConnect', () => this.#secured())
    return tls
  }

  /** Called by Node in the middle of a read: what the peer sent behind its handshake follows at once. */
  #secured(): void {
    if (this.closed) return
    const problem = this.#checkPeer()
    if (problem !== undefined) {
      this.#fail(new PeerRefused(problem))
      return
    }
    this.#open()
    this.handler.onOpen()
    const early = this.#early
    this.#early = []
    for (const bytes of early) this.write(bytes)
    if (this.#endEarly) this.end()
  }

  /** Finds the facts, too. */
  #checkPeer(): PeerProblem | undefined {
    const tls = this.#tls
    const certificate =
      tls.getPeerX509Certificate() ?? (tls.isSessionReused() ? this.#kept : undefined)
    this.#certificate = certificate
    const peer = certificate === undefined ? undefined : peerCertificate(certificate)
    this.tls = {
      alpn: typeof tls.alpnProtocol === 'string' ? tls.alpnProtocol : undefined,
      serverName: this.#side.serverName,
      version: tls.getProtocol() ?? '',
      cipher: tls.getCipher().name,
      resumed: tls.isSessionReused(),
      localUriSans: this.#side.context.localUriSans,
      peer,
    }
    const { context } = this.#side
    if (certificate === undefined || peer === undefined) {
      const isNeeded =
        this.#side.kind === 'client'
          ? context.verifies || context.names !== undefined || this.#side.names !== undefined
          : this.#side.context.clientCertificate === 'required'
      return isNeeded ? { reason: 'noCertificate', why: 'it has no certificate' } : undefined
    }
    const error = context.verifies ? this.#distrust(certificate) : undefined
    if (error !== undefined && context.acceptsUntrusted) {
      // Nobody vouches for what it says: nothing may be decided by it.
      this.tls = { ...this.tls, peer: undefined }
      return undefined
    }
    if (error !== undefined) {
      return { reason: 'untrusted', why: `its certificate is not to be trusted: ${error.message}` }
    }
    return peerProblem(certificate, peer, context) ?? this.#nameProblem(certificate, peer)
  }

  /** What OpenSSL has against the peer's chain; of a session that goes on, what it had against it then. */
  #distrust(certificate: X509Certificate): Error | undefined {
    const { _handle } = this.#tls as unknown as {
      readonly _handle: { verifyError(): Error | null } | null
    }
    if (_handle === null) return new Error('it went')
    // The session has the certificate, but nobody looks at its dates again.
    const hasEnded =
      this.#tls.isSessionReused() && certificate.validToDate.getTime() < realClock.nowMs()
    return _handle.verifyError() ?? (hasEnded ? new Error('certificate has expired') : undefined)
  }

  #nameProblem(certificate: X509Certificate, peer: PeerCertificate): PeerProblem | undefined {
    if (this.#side.kind === 'server' || this.#side.names === undefined) return undefined
    return peerProblem(certificate, peer, { names: this.#side.names })
  }

  #open(): void {
    const taken = this.#taken
    if (taken === undefined) this.#openStream()
    else {
      const { _handle: handle } = this.#tls as unknown as { _handle: TlsHandle }
      handle.onread = () => this.#read(taken)
      handle.onerror = (error) => this.#fail(error)
      handle.useUserBuffer(taken.shared)
      this.#writer = new TlsWriter(handle, taken.internals, {
        onDrain: () => {
          if (!this.closed) this.handler.onDrain()
        },
        onError: (error) => this.#fail(error),
      })
    }
    if (this.#paused) this.#stop()
  }

  #read({ internals, shared }: TakenHandle): Uint8Array | undefined {
    const length = internals.state[internals.readResult] ?? 0
    if (this.closed) return undefined
    if (length > 0) {
      if (this.#paused || this.#held.length > 0) this.#hold(shared, length)
      else this.handler.onData(shared, length)
    } else if (length === EOF) {
      if (this.#paused || this.#held.length > 0) this.#endHeld = true
      else this.handler.onEnd()
    } else if (length < 0) this.#fail(systemError('read', length))
    return undefined
  }

  #hold(shared: Uint8Array, length: number): void {
    this.#held.push(Buffer.from(shared.subarray(0, length)))
  }

  #openStream(): void {
    const tls = this.#tls
    tls.on('data', (bytes: Buffer) => {
      if (!this.closed) this.handler.onData(bytes, bytes.length)
    })
    tls.on('end', () => {
      if (!this.closed) this.handler.onEnd()
    })
  }

  get pendingBytes(): number {
    if (this.tls === undefined) return this.#early.reduce((sum, { length }) => sum + length, 0)
    return this.#writer?.pendingBytes ?? this.#tls.writableLength
  }

  write(bytes: Uint8Array): boolean {
    if (this.closed || bytes.length === 0) return true
    if (this.tls === undefined) {
      this.#early.push(Buffer.from(bytes))
      return false
    }
    if (this.#writer !== undefined) return this.#writer.write(bytes)
    // The stream keeps it beyond this call.
    this.#tls.write(Buffer.from(bytes), () => {
      if (!this.closed && this.#tls.writableLength === 0) this.handler.onDrain()
    })
    return this.#tls.writableLength === 0
  }

  pause(): void {
    if (this.#paused) return
    this.#paused = true
    if (this.tls !== undefined && !this.closed) this.#stop()
  }

  #stop(): void {
    if (this.#writer === undefined) this.#tls.pause()
    else this.#writer.handle.readStop()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.tls === undefined || this.closed) return
    if (this.#writer === undefined) this.#tls.resume()
    else if (this.#held.length === 0 && !this.#endHeld) this.#writer.handle.readStart()
    else queueMicrotask(() => this.#release())
  }

  #release(): void {
    while (this.#canRead()) {
      const bytes = this.#held.shift()
      if (bytes === undefined) break
      this.handler.onData(bytes, bytes.length)
    }
    if (!this.#canRead()) return
    this.#writer?.handle.readStart()
    if (!this.#endHeld) return
    this.#endHeld = false
    this.handler.onEnd()
  }

  #canRead(): boolean {
    return !this.#paused && !this.closed
  }

  /** Records are short and decrypted into a buffer of their own: nothing to win. */
  bulkReads(on: boolean): boolean {
    return !on
  }

  end(): void {
    if (this.closed) return
    if (this.tls === undefined) this.#endEarly = true
    else if (this.#writer === undefined) this.#tls.end()
    else this.#writer.end()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.#tls.destroy()
  }

  reset(): void {
    if (this.closed) return
    this.closed = true
    if (this.#net === undefined) this.#raw.reset()
    else this.#net.resetAndDestroy()
    this.#tls.destroy()
  }

  /** Ends it with an error that the handler is told. */
  abort(error: Error): void {
    this.#fail(error)
  }

  #fail(error: Error): void {
    if (this.closed) return
    this.closed = true
    this.#error = error
    this.#tls.destroy()
  }

  #gone(): void {
    this.closed = true
    this.#early = []
    this.handler.onClose(
      this.#error ??
        (this.tls === undefined ? new Error('closed during the TLS handshake') : undefined),
    )
  }
}

/** Not a closure: those of a constructor keep all that any of them knows. */
function feed(socket: SecureSocket, bytes: Buffer): void {
  socket.feed(bytes)
}
