/**
 * An HTTP/2 connection to an endpoint, shared by many requests.
 *
 *     connecting ──► open ──► retired (no new requests) ──► gone
 */
import { renderAddress, type SocketAddress } from '@weft/model'
import type { Socket, SocketHandler, Timed } from '@weft/net'
import { H2_ERROR, Http2Session } from '@weft/wire'
import { Http2Link } from '../exchange/http2-link.ts'
import { http2Memory } from '../exchange/http2-memory.ts'
import { connectUpstream, towards } from '../tls/connect-upstream.ts'
import { UpstreamEvents } from './http2-events.ts'
import type { Http2Pool } from './http2-pool.ts'
import { UpstreamStream } from './http2-stream.ts'
import type { UpstreamUser } from './upstream-user.ts'

export class Http2Upstream implements SocketHandler, Timed {
  deadlineTick = 0
  slotTick = 0
  readonly session: Http2Session
  readonly socket: Socket
  readonly scheme: 'http' | 'https'
  /** Whether it counts against the cluster's limit. */
  readonly counted: boolean
  readonly #pool: Http2Pool
  readonly #link: Http2Link
  /** They wait for the connection to open. */
  #starting: UpstreamUser[] = []
  #served = 0
  #open = false
  #retired = false
  #gone = false
  #openedMs = 0
  #pingWaits = false
  #cancelPing: (() => void) | undefined
  #cancelSettings: (() => void) | undefined
  /** They wait for the endpoint's SETTINGS. */
  #unsettled: (() => void)[] = []
  #heardMs = 0
  /** A request got no answer, nor did anything else come: it may be dead. */
  #doubted = false
  #nextDoubtMs = 0
  #cancelDoubt: (() => void) | undefined

  /** @param opened A connection that is there already. */
  constructor(pool: Http2Pool, counted: boolean, opened?: Socket) {
    this.#pool = pool
    this.counted = counted
    const { deps, cluster, host, purpose } = pool
    const model = towards(cluster.model, host.endpoint)
    this.scheme = model.tls === undefined ? 'http' : 'https'
    this.session = new Http2Session(new UpstreamEvents(this), {
      role: 'client',
      now: () => deps.clock.monotonicMs(),
      memory: http2Memory,
      ...(deps.http2Stats === undefined
        ? {}
        : { counters: deps.http2Stats.ofCluster(cluster.model.name) }),
    })
    this.socket = opened ?? connectUpstream(model, host.endpoint.address, this, deps, purpose, 'h2')
    this.#link = new Http2Link(this.session, this.socket)
    if (opened !== undefined) {
      opened.handler = this
      return
    }
    deps.wheel.arm(this, cluster.model.connectTimeoutMs, deps.clock.monotonicMs())
  }

  get addresses(): { readonly remoteAddress: SocketAddress; readonly localAddress: SocketAddress } {
    return this.socket
  }

  /** The socket is closed. */
  get gone(): boolean {
    return this.#gone
  }

  /** One more request may be given to it. */
  get usable(): boolean {
    if (this.#retired || this.#gone || this.#doubted || this.socket.closed) return false
    const { maxConcurrentStreams, maxRequestsPerConnection } = this.#pool.cluster.model.http
    const waiting = this.#starting.length
    const active = this.session.activeStreams + waiting
    if (maxConcurrentStreams > 0 && active >= maxConcurrentStreams) return false
    if (maxRequestsPerConnection > 0 && this.#served + waiting >= maxRequestsPerConnection) {
      return false
    }
    return this.#open ? this.session.canOpen : waiting < MAX_STARTING
  }

  take(user: UpstreamUser): void {
    if (!this.#open) {
      this.#starting.push(user)
      return
    }
    const { deps, cluster } = this.#pool
    deps.wheel.disarm(this)
    const { maxRequestsPerConnection, maxConnectionDurationMs } = cluster.model.http
    this.#served++
    if (maxRequestsPerConnection > 0 && this.#served >= maxRequestsPerConnection)
      this.#retired = true
    if (maxConnectionDurationMs !== undefined) {
      const ageMs = deps.clock.monotonicMs() - this.#openedMs
      if (ageMs >= maxConnectionDurationMs) this.#retired = true
    }
    user.onUpstreamReady(new UpstreamStream(this, user, this.#served > 1))
  }

  /** The user does not wait any more. */
  abandon(user: UpstreamUser): boolean {
    const at = this.#starting.indexOf(user)
    if (at < 0) return false
    this.#starting.splice(at, 1)
    return true
  }

  /** No new requests; it ends when the last one has. */
  retire(): void {
    this.#retired = true
    this.settle()
  }

  /** A stream ended, or was never opened. */
  left(_stream: UpstreamStream): void {
    this.settle()
  }

  settle(): void {
    if (this.#gone) return
    if (this.session.canOpen) this.#pool.roomIn()
    if (this.session.activeStreams > 0 || this.#starting.length > 0) return
    if (this.#retired || this.session.goingAway) this.#link.end()
    else {
      const { deps, cluster } = this.#pool
      const { idleTimeoutMs } = cluster.model.http
      if (idleTimeoutMs > 0) deps.wheel.arm(this, idleTimeoutMs, deps.clock.monotonicMs())
    }
  }

  output(): void {
    this.#link.schedule()
  }

  failed(): void {
    this.#retired = true
    this.#link.end()
  }

  pingAnswered(): void {
    this.#pingWaits = false
  }

  /** Calls `go` when the endpoint's SETTINGS are known, which may be now, or it is over. */
  whenSettled(go: () => void): void {
    if (this.session.settingsSeen || this.session.closed) queueMicrotask(go)
    else this.#unsettled.push(go)
  }

  onSettings(): void {
    const waiting = this.#unsettled
    this.#unsettled = []
    for (const go of waiting) go()
    this.settle()
  }

  /**
   * A request that began at `sinceMs` was given up unanswered. When nothing came since, the
   * connection is asked whether it lives; others use another one until it says so, and what
   * still runs on it goes on until it is known to be dead.
   */
  doubt(sinceMs: number): void {
    const { clock } = this.#pool.deps
    if (this.#doubted || this.#gone || !this.#open || this.#heardMs > sinceMs) return
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#heardMs < SILENCE_MS || nowMs < this.#nextDoubtMs) return
    this.#doubted = true
    this.#nextDoubtMs = nowMs + DOUBT_EVERY_MS
    this.session.ping()
    this.#cancelDoubt = clock.after(DOUBT_MS, () => {
      this.session.counters.keepalive_timeout++
      this.socket.reset()
    })
  }

  #trust(): void {
    this.#doubted = false
    this.#cancelDoubt?.()
    this.#cancelDoubt = undefined
    this.settle()
  }

  // The socket.

  onOpen(): void {
    const { deps } = this.#pool
    deps.wheel.disarm(this)
    const agreed = this.socket.tls?.alpn
    if (agreed !== undefined && agreed !== 'h2') {
      this.#failStarting('connectFailure', `the handshake agreed on ${agreed}, not on h2`)
      this.socket.close()
      return
    }
    this.#open = true
    this.#openedMs = deps.clock.monotonicMs()
    this.#heardMs = this.#openedMs
    this.session.start()
    this.#pingLater()
    this.#cancelSettings = deps.clock.after(SETTINGS_TIMEOUT_MS, () =>
      this.session.settingsTimedOut(),
    )
    const users = this.#starting
    this.#starting = []
    for (const user of users) {
      if (this.usable) this.take(user)
      else this.#pool.acquire(user)
    }
    this.settle()
  }

  onData(bytes: Uint8Array, length: number): void {
    this.#pingWaits = false
    this.#heardMs = this.#pool.deps.clock.monotonicMs()
    if (this.#doubted) this.#trust()
    this.session.receive(bytes as Buffer, length)
  }

  onEnd(): void {
    this.#retired = true
    this.socket.close()
  }

  onDrain(): void {
    this.#link.onDrain()
  }

  onDeadline(): void {
    if (this.#open) {
      this.retire()
      return
    }
    const within = `${this.#pool.cluster.model.connectTimeoutMs} ms`
    this.#failStarting('connectTimeout', `did not accept within ${within}`)
    this.socket.close()
  }

  onClose(error: Error | undefined): void {
    if (this.#gone) return
    this.#gone = true
    this.#cancelPing?.()
    this.#cancelSettings?.()
    this.#cancelDoubt?.()
    this.#pool.deps.wheel.disarm(this)
    this.#failStarting('connectFailure', error?.message ?? 'closed while connecting')
    this.session.close(H2_ERROR.noError)
    this.onSettings()
    this.#pool.onGone(this)
  }

  #failStarting(failure: 'connectFailure' | 'connectTimeout', why: string): void {
    const users = this.#starting
    if (this.#open) return
    this.#starting = []
    this.#retired = true
    const { cluster, host, deps } = this.#pool
    if (users.length > 0) cluster.noteFailure(host, deps.clock.monotonicMs())
    const detail = `${renderAddress(host.endpoint.address)}: ${why}`
    for (const user of users) user.onUpstreamFailed(failure, detail)
  }

  #pingLater(): void {
    const { deps, cluster } = this.#pool
    const { keepAlive } = cluster.model.http
    if (keepAlive === undefined) return
    this.#cancelPing = deps.clock.after(keepAlive.intervalMs, () => {
      if (this.session.activeStreams === 0) {
        this.#pingLater()
        return
      }
      this.#pingWaits = true
      this.session.ping()
      this.#cancelPing = deps.clock.after(keepAlive.timeoutMs, () => {
        if (this.#pingWaits) {
          this.session.counters.keepalive_timeout++
          this.socket.reset()
        } else this.#pingLater()
      })
    })
  }
}

/** An endpoint that has not taken our SETTINGS by then never will. */
const SETTINGS_TIMEOUT_MS = 10_000
/** Silence that makes a connection doubtful. */
const SILENCE_MS = 1_000
/** Some servers take more PINGs for an attack (gRPC). */
const DOUBT_EVERY_MS = 10_000
/** How long a connection in doubt has for its answer. */
const DOUBT_MS = 3_000
/** Requests that wait for one connection to open; the peer's limit is not known before. */
const MAX_STARTING = 100
