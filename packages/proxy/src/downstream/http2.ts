/**
 * A client's HTTP/2 connection: each of its streams is an exchange of its own.
 *
 *     open ──► draining (GOAWAY, then GOAWAY with the last stream) ──► gone
 *
 * The newest configuration counts for each request that begins; none closes the
 * connection. A request that breaks a rule costs its stream, not the connection.
 */
import type { SocketAddress } from '@weft/model'
import type { Socket, SocketHandler, Timed } from '@weft/net'
import { H2_ERROR, type HeadTarget, Http2Session, type Http2Stream } from '@weft/wire'
import type { EngineDeps, HttpRuntime } from '../exchange/contract.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { Http2Link } from '../exchange/http2-link.ts'
import { http2Memory } from '../exchange/http2-memory.ts'
import type { Holding } from '../overload/heaviest.ts'
import type { HttpConnection, HttpHome } from './http-home.ts'
import { ClientEvents } from './http2-events.ts'
import { ClientStream } from './http2-stream.ts'
import { isMisdirected } from './misdirected.ts'

/** Between the two GOAWAYs: longer than a round trip, so that nothing on its way is refused. */
const DRAIN_GRACE_MS = 1_000
/** Edge-safe (Envoy's advice for exposed listeners). */
const MAX_STREAMS = 100
/** RFC 9113, section 6.5.3, leaves open how long a client may take to acknowledge our SETTINGS. */
const SETTINGS_TIMEOUT_MS = 10_000
const STREAM_WINDOW_BYTES = 65_536
const CONNECTION_WINDOW_BYTES = 1_048_576

export class Http2Connection implements SocketHandler, HttpConnection, Timed {
  deadlineTick = 0
  slotTick = 0
  readonly socket: Socket
  readonly #home: HttpHome
  readonly #deps: EngineDeps
  readonly #session: Http2Session
  readonly #link: Http2Link
  /** The newest one that there was for this connection. */
  #runtime: HttpRuntime | undefined
  #remote: SocketAddress | undefined
  #local: SocketAddress | undefined
  #drainStep: 'none' | 'announced' | 'final' = 'none'
  #openedMs = 0
  #served = 0
  #authority = ''
  #idleSinceMs = 0
  #pingWaits = false
  #cancelPing: (() => void) | undefined
  #cancelDrain: (() => void) | undefined
  #cancelSettings: (() => void) | undefined

  constructor(socket: Socket, home: HttpHome, deps: EngineDeps) {
    this.socket = socket
    this.#home = home
    this.#deps = deps
    this.#runtime = home.runtime(socket)
    const manager = this.#runtime?.manager
    const { http2 = {} } = manager ?? {}
    this.#session = new Http2Session(new ClientEvents(this), {
      role: 'server',
      now: () => deps.clock.monotonicMs(),
      maxConcurrentStreams: http2.maxConcurrentStreams ?? MAX_STREAMS,
      streamWindowBytes: http2.streamWindow ?? STREAM_WINDOW_BYTES,
      connectionWindowBytes: http2.connectionWindow ?? CONNECTION_WINDOW_BYTES,
      allowConnect: true,
      memory: http2Memory,
      ...(deps.http2Stats === undefined ? {} : { counters: deps.http2Stats.clients }),
      ...(manager === undefined ? {} : { maxHeadBytes: manager.maxRequestHeadBytes }),
    })
    this.#link = new Http2Link(this.#session, socket)
  }

  /** Begins with what protocol detection has read already. */
  start(firstBytes: Buffer | undefined): void {
    this.#openedMs = this.#deps.clock.monotonicMs()
    this.#session.start()
    this.#armIdle()
    this.#pingLater()
    this.#cancelSettings = this.#deps.clock.after(SETTINGS_TIMEOUT_MS, () =>
      this.#session.settingsTimedOut(),
    )
    if (firstBytes !== undefined) this.onData(firstBytes, firstBytes.length)
  }

  get remoteAddress(): SocketAddress {
    this.#remote ??= this.socket.remoteAddress
    return this.#remote
  }

  get localAddress(): SocketAddress {
    this.#local ??= this.socket.localAddress
    return this.#local
  }

  get draining(): boolean {
    return this.#home.draining
  }

  get idle(): boolean {
    return this.#session.activeStreams === 0
  }

  whenConfigured(wake: () => void): () => void {
    return this.#home.whenPublished(wake)
  }

  /** Nearly all requests of a connection name the same one: one string serves them, its hash included. */
  authorityOf(bytes: Buffer, from: number, to: number): string {
    if (!spells(bytes, from, to, this.#authority)) {
      this.#authority = bytes.toString('latin1', from, to)
    }
    return this.#authority
  }

  /** RFC 9110, section 15.5.20: the client took this connection for another host's. */
  misdirected(authority: string): boolean {
    return isMisdirected(this.#home, this.socket, this.#runtime?.manager, authority)
  }

  output(): void {
    this.#link.schedule()
  }

  // The socket.

  onOpen(): void {}

  onData(bytes: Uint8Array, length: number): void {
    this.#pingWaits = false
    this.#session.receive(bytes as Buffer, length)
    if (this.draining) this.drain()
  }

  /** HTTP/2 has no half-close: a client that ended its side has gone, and so have its streams. */
  onEnd(): void {
    this.socket.close()
  }

  onDrain(): void {
    this.#link.onDrain()
  }

  onClose(): void {
    this.#session.close(H2_ERROR.noError)
    this.#deps.wheel.disarm(this)
    this.#cancelPing?.()
    this.#cancelDrain?.()
    this.#cancelSettings?.()
    this.#home.left(this)
  }

  /** A request begins: where its head goes. */
  begin(stream: Http2Stream): HeadTarget | undefined {
    const runtime = this.#home.runtime(this.socket) ?? this.#runtime
    if (runtime === undefined) return undefined
    this.#runtime = runtime
    this.#deps.wheel.disarm(this)
    const client = new ClientStream(this, this.#link, stream)
    stream.user = client
    const exchange = this.#home.exchanges.take(client, runtime)
    exchange.startedMs = stream.openedMs
    client.exchange = exchange
    const { maxRequestsPerConnection: most } = runtime.manager
    if (most !== undefined && ++this.#served >= most) this.drain()
    return exchange
  }

  refuse(stream: Http2Stream, code: number): void {
    this.#session.resetStream(stream, code)
  }

  /** Routes at once, or as soon as a configuration can say where to. */
  configured(client: ClientStream, exchange: Exchange): void {
    const newest = this.#home.runtime(this.socket)
    if (newest?.routes !== undefined) {
      client.route(exchange)
      return
    }
    const { clock } = this.#deps
    if (!this.#home.mayHold) {
      exchange.fail('noConfiguration', 'too many requests wait for a configuration')
      return
    }
    let cancelWait = (): void => undefined
    const wait = (): void => {
      cancelWait = this.#home.whenPublished(() => {
        const runtime = this.#home.runtime(this.socket)
        if (runtime?.routes === undefined) {
          wait()
          return
        }
        cancelTimer()
        exchange.runtime = runtime
        client.route(exchange)
      })
    }
    const cancelTimer = clock.after(this.#home.holdMs, () => {
      cancelWait()
      exchange.fail('noConfiguration', 'no configuration came for this request')
    })
    client.hold(() => {
      cancelWait()
      cancelTimer()
    })
    wait()
  }

  pingAnswered(): void {
    this.#pingWaits = false
  }

  streamClosed(): void {
    if (!this.idle) return
    if (this.#drainStep === 'final') this.#link.end()
    else this.#armIdle()
  }

  failed(why: string): void {
    this.#deps.log.debug('ended an HTTP/2 connection', { why, client: this.remoteAddress })
    this.#link.end()
  }

  // How it ends.

  #armIdle(): void {
    const manager = this.#runtime?.manager
    if (manager === undefined) return
    this.#idleSinceMs = this.#deps.clock.monotonicMs()
    this.#armRest(manager.idleTimeoutMs, this.#idleSinceMs)
  }

  #armRest(fullMs: number, nowMs: number): void {
    const restMs = this.#deps.overload?.idleMs(fullMs) ?? fullMs
    const leftMs = Math.max(1, this.#idleSinceMs + restMs - nowMs)
    if (restMs > 0) this.#deps.wheel.arm(this, leftMs, nowMs)
  }

  shortenIdle(): void {
    const manager = this.#runtime?.manager
    if (manager === undefined || !this.idle) return
    this.#armRest(manager.idleTimeoutMs, this.#deps.clock.monotonicMs())
  }

  addHoldings(into: Holding[]): void {
    // Frames that the client does not read are nobody's any more: the connection goes.
    into.push({ bytes: this.#link.heldBytes, cut: () => this.socket.reset() })
    for (const { user } of this.#session.streams.values()) {
      if (user instanceof ClientStream) user.addHolding(into)
    }
  }

  onDeadline(): void {
    if (this.idle) this.closeIfIdle()
  }

  /** Asks the client to go: what is on its way is answered, nothing new begins. */
  drain(): void {
    if (this.#drainStep !== 'none') return
    this.#drainStep = 'announced'
    this.#session.drain()
    this.#cancelDrain = this.#deps.clock.after(DRAIN_GRACE_MS, () => this.#drainFinally())
  }

  #drainFinally(): void {
    if (this.#drainStep === 'final') return
    this.#drainStep = 'final'
    this.#session.goaway(H2_ERROR.noError)
    if (this.idle) this.#link.end()
  }

  /** Ends the connection if nothing runs on it; else as soon as nothing does. */
  closeIfIdle(): void {
    this.#cancelDrain?.()
    this.#drainFinally()
  }

  #pingLater(): void {
    const manager = this.#runtime?.manager
    const keepAlive = manager?.http2?.keepAlive
    const maxAgeMs = manager?.maxConnectionDurationMs
    const waitMs = keepAlive?.intervalMs ?? maxAgeMs
    if (waitMs === undefined) return
    this.#cancelPing = this.#deps.clock.after(waitMs, () => {
      if (maxAgeMs !== undefined && this.#deps.clock.monotonicMs() - this.#openedMs >= maxAgeMs) {
        this.drain()
      }
      if (keepAlive === undefined) return
      this.#pingWaits = true
      this.#session.ping()
      this.#cancelPing = this.#deps.clock.after(keepAlive.timeoutMs, () => {
        if (this.#pingWaits) {
          this.#session.counters.keepalive_timeout++
          this.socket.reset()
        } else this.#pingLater()
      })
    })
  }
}

function spells(bytes: Buffer, from: number, to: number, text: string): boolean {
  if (to - from !== text.length) return false
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false
  return true
}
