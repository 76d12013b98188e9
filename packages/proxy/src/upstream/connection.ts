/**
 * One HTTP/1.1 connection to an endpoint. Carries one request at a time and knows
 * nothing of messages: its user parses. What comes in while nobody uses it was
 * not asked for, and ends it (somebody else's answer would follow).
 *
 *     connecting ──► used ◄──► idle
 *          └───────────┴─────────┴──► gone
 */
import { renderAddress } from '@weft/model'
import type { Socket, SocketHandler, Timed } from '@weft/net'
import type { OutBuffer } from '@weft/wire'
import { flushTo } from '../exchange/shared-out.ts'
import { connectUpstream, towards } from '../tls/connect-upstream.ts'
import type { HttpPool } from './pool.ts'
import type { UpstreamSide, UpstreamUser } from './upstream-user.ts'

export class UpstreamConnection implements SocketHandler, UpstreamSide, Timed {
  readonly multiplexed = false
  deadlineTick = 0
  slotTick = 0
  readonly pool: HttpPool
  readonly socket: Socket
  user: UpstreamUser | undefined
  /** Requests it was given. */
  served = 0
  idleSinceMs = 0
  /** Before the request that it carries. */
  restedMs = 0
  open = false
  /** Whether it counts against the cluster's limit. */
  readonly counted: boolean
  /** Its socket belongs to a tunnel now; only the pool's count is left. */
  #gone = false

  constructor(pool: HttpPool, user: UpstreamUser, counted: boolean) {
    this.pool = pool
    this.user = user
    this.counted = counted
    const { deps, host } = pool
    this.socket = connectUpstream(
      towards(pool.cluster.model, host.endpoint),
      host.endpoint.address,
      this,
      deps,
      pool.purpose,
      'http/1.1',
    )
    deps.wheel.arm(this, pool.cluster.model.connectTimeoutMs, deps.clock.monotonicMs())
  }

  /** The request it carries is not the first one. */
  get reused(): boolean {
    return this.served > 1
  }

  get waitingBytes(): number {
    return this.socket.pendingBytes
  }

  onOpen(): void {
    this.pool.settled(this)
    this.open = true
    this.pool.deps.wheel.disarm(this)
    if (this.pool.takesHttp2(this)) {
      // The socket is somebody else's, the pool no longer counts it.
      this.#gone = true
      this.user = undefined
      return
    }
    const { user } = this
    if (user === undefined) this.pool.giveBack(this, this.pool.deps.clock.monotonicMs())
    else this.use(user)
  }

  use(user: UpstreamUser): void {
    this.user = user
    this.served++
    user.onUpstreamReady(this)
  }

  send(_headLength: number, _last: boolean, _trailers: OutBuffer | undefined): boolean {
    return flushTo(this.socket)
  }

  sendBulk(bytes: Buffer): boolean {
    return this.socket.write(bytes)
  }

  handTo(user: UpstreamUser): void {
    this.user = user
  }

  pauseBody(): void {
    this.socket.pause()
  }

  resumeBody(): void {
    this.socket.resume()
  }

  bulkBody(on: boolean): void {
    this.socket.bulkReads(on)
  }

  /** The pool still counts the connection; it is told when the tunnel has ended. */
  takeOver(): { socket: Socket; released: () => void } {
    this.user = undefined
    return { socket: this.socket, released: () => this.onClose(undefined) }
  }

  /** The user is done and the connection can carry the next request. */
  release(nowMs: number): void {
    this.user = undefined
    this.pool.giveBack(this, nowMs)
  }

  /** The user is done and the connection is of no further use. */
  discard(): void {
    this.user = undefined
    if (!this.open) return
    this.socket.close()
  }

  onDeadline(): void {
    const { pool, user } = this
    pool.settled(this)
    this.user = undefined
    this.socket.close()
    const { address } = pool.host.endpoint
    const within = `${pool.cluster.model.connectTimeoutMs} ms`
    pool.noteConnectFailure()
    user?.onUpstreamFailed(
      'connectTimeout',
      `${renderAddress(address)} did not accept within ${within}`,
    )
  }

  onData(bytes: Uint8Array, length: number): void {
    if (this.user !== undefined) this.user.onUpstreamData(bytes as Buffer, length)
    else this.#dropIdle()
  }

  onEnd(): void {
    if (this.user !== undefined) this.user.onUpstreamEnd()
    else {
      this.pool.noteIdleClose(this)
      this.#dropIdle()
    }
  }

  #dropIdle(): void {
    this.pool.forget(this)
    this.socket.close()
  }

  onDrain(): void {
    this.user?.onUpstreamDrain()
  }

  onClose(error: Error | undefined): void {
    if (this.#gone) return
    this.#gone = true
    const { pool, user } = this
    pool.deps.wheel.disarm(this)
    if (!this.open) pool.settled(this)
    this.user = undefined
    pool.onGone(this)
    if (user === undefined) return
    if (this.open) user.onUpstreamGone(error)
    else {
      pool.noteConnectFailure()
      const { address } = pool.host.endpoint
      user.onUpstreamFailed(
        'connectFailure',
        `${renderAddress(address)}: ${error?.message ?? 'closed while connecting'}`,
      )
    }
  }
}
