/**
 * The HTTP/1.1 connections to one endpoint. The one that rested least is used
 * first; those that rest too long are closed by us before the peer does it,
 * because a request that meets the peer's close in flight is lost or must be
 * repeated. How long is too long is learnt, see `idle-limit.ts`.
 */
import type { Timed } from '@weft/net'
import type { Host } from '@weft/traffic'
import type { EngineDeps } from '../exchange/contract.ts'
import type { ConnectionPurpose } from '../tls/connect-upstream.ts'
import type { UpstreamCluster } from './cluster.ts'
import { UpstreamConnection } from './connection.ts'
import { Http2Pool } from './http2-pool.ts'
import { IdleLimit } from './idle-limit.ts'
import type { UpstreamUser } from './upstream-user.ts'

/** A burst leaves no more than these resting; beyond, the one that rested longest goes. */
export const MAX_IDLE_CONNECTIONS = 1_024
const NEVER = Number.POSITIVE_INFINITY

export class HttpPool implements Timed {
  deadlineTick = 0
  slotTick = 0
  readonly cluster: UpstreamCluster
  readonly host: Host
  readonly deps: EngineDeps
  /** For whom its connections are; absent: for anybody. */
  readonly purpose: ConnectionPurpose | undefined
  #idle: UpstreamConnection[] = []
  #waiting: UpstreamUser[] = []
  /** Not open yet, by who waits for them. */
  readonly #opening = new Map<UpstreamUser, UpstreamConnection>()
  /** Not open yet, and who wanted them does not any more. */
  readonly #unclaimed = new Set<UpstreamConnection>()
  readonly #learntIdle = new IdleLimit()
  #closing = false
  /** Those of HTTP/1.1, open or opening. */
  connections = 0
  #http2: Http2Pool | undefined

  constructor(cluster: UpstreamCluster, host: Host, deps: EngineDeps, purpose?: ConnectionPurpose) {
    this.cluster = cluster
    this.host = host
    this.deps = deps
    this.purpose = purpose
  }

  /** A stream of a connection that many requests share. */
  acquireStream(user: UpstreamUser): void {
    this.#http2 ??= new Http2Pool(this.cluster, this.host, this.deps, this.purpose)
    this.#http2.acquire(user)
  }

  get allConnections(): number {
    return this.connections + (this.#http2?.connections ?? 0)
  }

  /**
   * @param fresh Does not reuse a connection, because a reused one just failed.
   * @param once Must not be sent twice: uses no connection that the peer may be closing now.
   */
  acquire(user: UpstreamUser, fresh: boolean, nowMs: number, once = false): void {
    if (this.#decidedHttp2) {
      this.acquireStream(user)
      return
    }
    if (!fresh) {
      const connection = this.#takeIdle(nowMs, once)
      if (connection !== undefined) {
        connection.use(user)
        return
      }
    }
    const [unclaimed] = this.#unclaimed
    if (unclaimed !== undefined) {
      this.#claim(unclaimed, user)
      return
    }
    const counted = this.cluster.limits.admitConnection()
    // Each endpoint may have one connection whatever the limit: else it could starve (as in Envoy).
    if (counted || this.connections === 0) {
      this.connections++
      const connection = new UpstreamConnection(this, user, counted)
      if (!connection.open && connection.user === user) this.#opening.set(user, connection)
    } else if (this.cluster.limits.admitPending()) this.#waiting.push(user)
    else user.onUpstreamFailed('overflow', 'too many requests wait for a connection')
  }

  #claim(connection: UpstreamConnection, user: UpstreamUser): void {
    this.#unclaimed.delete(connection)
    connection.user = user
    this.#opening.set(user, connection)
  }

  /** It is open, or never will be. */
  settled(connection: UpstreamConnection): void {
    this.#unclaimed.delete(connection)
    if (connection.user !== undefined) this.#opening.delete(connection.user)
  }

  /**
   * The user no longer waits for a connection. One that opens for it is the next one's: the
   * user is an object that serves another request by then, and must not hear of this one.
   */
  abandon(user: UpstreamUser): void {
    const opening = this.#opening.get(user)
    if (opening !== undefined) {
      this.#opening.delete(user)
      opening.user = undefined
      this.#unclaimed.add(opening)
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.cluster.limits.release('pending')
      this.#claim(opening, next)
      return
    }
    const at = this.#waiting.indexOf(user)
    if (at < 0) {
      this.#http2?.abandon(user)
      return
    }
    this.#waiting.splice(at, 1)
    this.cluster.limits.release('pending')
  }

  #takeIdle(nowMs: number, once: boolean): UpstreamConnection | undefined {
    for (;;) {
      const connection = this.#idle.at(-1)
      if (connection === undefined) return undefined
      const restedMs = nowMs - connection.idleSinceMs
      // The rest of them rested longer still.
      if (once && restedMs > this.#learntIdle.trustedMs) return undefined
      this.#idle.pop()
      if (restedMs < this.#idleLimitMs(nowMs) && !connection.socket.closed) {
        connection.restedMs = restedMs
        return connection
      }
      connection.socket.close()
    }
  }

  #idleLimitMs(nowMs: number): number {
    const configured = this.cluster.model.http.idleTimeoutMs
    return Math.min(configured === 0 ? NEVER : configured, this.#learntIdle.at(nowMs))
  }

  giveBack(connection: UpstreamConnection, nowMs: number): void {
    const { maxRequestsPerConnection } = this.cluster.model.http
    this.#learntIdle.proven(connection.restedMs)
    const worn = maxRequestsPerConnection > 0 && connection.served >= maxRequestsPerConnection
    if (this.#closing || worn || connection.socket.closed) {
      connection.socket.close()
      return
    }
    const next = this.#waiting.length === 0 ? undefined : this.#waiting.shift()
    if (next !== undefined) {
      this.cluster.limits.release('pending')
      connection.use(next)
      return
    }
    connection.idleSinceMs = nowMs
    this.#idle.push(connection)
    if (this.#idle.length > MAX_IDLE_CONNECTIONS) this.#idle.shift()?.socket.close()
    this.#armSweep(nowMs)
  }

  /** Where the handshake decides, there is a connection that it decided for HTTP/2. */
  get #decidedHttp2(): boolean {
    const isHttp2 = this.#http2 !== undefined && this.#http2.connections > 0
    return isHttp2 && this.cluster.model.http.protocol === 'alpn'
  }

  /** The handshake of a connection decided: true when it was for HTTP/2, and the socket is taken. */
  takesHttp2(connection: UpstreamConnection): boolean {
    if (this.cluster.model.http.protocol !== 'alpn') return false
    if (connection.socket.tls?.alpn !== 'h2') return false
    const { socket, user, counted } = connection
    this.connections--
    this.#http2 ??= new Http2Pool(this.cluster, this.host, this.deps, this.purpose)
    this.#http2.adopt(socket, counted, user)
    for (const waiting of this.#waiting.splice(0)) {
      this.cluster.limits.release('pending')
      this.acquireStream(waiting)
    }
    return true
  }

  /** A connection is gone; a waiting request gets a new one in its place. */
  onGone(connection: UpstreamConnection): void {
    this.connections--
    if (connection.counted) this.cluster.limits.release('connections')
    this.forget(connection)
    const next = this.#waiting.shift()
    if (next === undefined) return
    this.cluster.limits.release('pending')
    this.acquire(next, false, this.deps.clock.monotonicMs())
  }

  forget(connection: UpstreamConnection): void {
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  noteConnectFailure(): void {
    this.cluster.noteFailure(this.host, this.deps.clock.monotonicMs())
  }

  noteIdleClose(connection: UpstreamConnection): void {
    const nowMs = this.deps.clock.monotonicMs()
    this.#learntIdle.closed(nowMs - connection.idleSinceMs, nowMs)
  }

  /** The peer said how long it keeps idle connections. */
  noteKeepAlive(timeoutMs: number): void {
    this.#learntIdle.announced(timeoutMs)
  }

  #armSweep(nowMs: number): void {
    const limitMs = this.#idleLimitMs(nowMs)
    if (limitMs === NEVER || this.deadlineTick !== 0) return
    this.deps.wheel.arm(this, limitMs, nowMs)
  }

  onDeadline(): void {
    const nowMs = this.deps.clock.monotonicMs()
    const limitMs = this.#idleLimitMs(nowMs)
    const rested = this.#idle.filter(({ idleSinceMs }) => nowMs - idleSinceMs >= limitMs)
    this.#idle = this.#idle.filter(({ idleSinceMs }) => nowMs - idleSinceMs < limitMs)
    for (const connection of rested) connection.socket.close()
    const oldest = this.#idle[0]
    if (oldest !== undefined && limitMs !== NEVER) {
      this.deps.wheel.arm(this, oldest.idleSinceMs + limitMs - nowMs, nowMs)
    }
  }

  /** Closes what rests now and the rest as it comes back. */
  close(): void {
    this.#closing = true
    this.#http2?.close()
    for (const connection of this.#idle.splice(0)) connection.socket.close()
  }
}
