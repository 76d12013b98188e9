/**
 * The HTTP/2 connections to one endpoint: one, and a further one only when the
 * streams of all are used up. Requests beyond the limits wait here.
 */
import type { Socket } from '@weft/net'
import type { Host } from '@weft/traffic'
import type { EngineDeps } from '../exchange/contract.ts'
import type { ConnectionPurpose } from '../tls/connect-upstream.ts'
import type { UpstreamCluster } from './cluster.ts'
import { Http2Upstream } from './http2.ts'
import type { UpstreamUser } from './upstream-user.ts'

export class Http2Pool {
  readonly cluster: UpstreamCluster
  readonly host: Host
  readonly deps: EngineDeps
  readonly purpose: ConnectionPurpose | undefined
  #connections: Http2Upstream[] = []
  readonly #waiting: UpstreamUser[] = []
  #closing = false

  constructor(
    cluster: UpstreamCluster,
    host: Host,
    deps: EngineDeps,
    purpose: ConnectionPurpose | undefined,
  ) {
    this.cluster = cluster
    this.host = host
    this.deps = deps
    this.purpose = purpose
  }

  get connections(): number {
    return this.#connections.length
  }

  /** A connection that just failed somebody is not usable any more. */
  acquire(user: UpstreamUser): void {
    const usable = this.#connections.find((connection) => connection.usable)
    if (usable !== undefined) {
      usable.take(user)
      return
    }
    const { limits } = this.cluster
    const counted = limits.admitConnection()
    // Each endpoint may have one connection whatever the limit: else it could starve (as in Envoy).
    if (counted || this.#connections.length === 0) {
      const connection = new Http2Upstream(this, counted)
      this.#connections.push(connection)
      connection.take(user)
      if (this.#closing) connection.retire()
    } else if (limits.admitPending()) this.#waiting.push(user)
    else user.onUpstreamFailed('overflow', 'too many requests wait for a connection')
  }

  /** A connection whose handshake ended with HTTP/2. */
  adopt(socket: Socket, counted: boolean, user: UpstreamUser | undefined): void {
    const connection = new Http2Upstream(this, counted, socket)
    this.#connections.push(connection)
    if (user !== undefined) connection.take(user)
    connection.onOpen()
    if (this.#closing) connection.retire()
  }

  /** The user no longer waits. */
  abandon(user: UpstreamUser): void {
    const at = this.#waiting.indexOf(user)
    if (at < 0) {
      this.#connections.some((connection) => connection.abandon(user))
      return
    }
    this.#waiting.splice(at, 1)
    this.cluster.limits.release('pending')
  }

  /** A stream ended somewhere: who waits goes on. */
  roomIn(): void {
    while (this.#waiting.length > 0) {
      const connection = this.#connections.find(({ usable }) => usable)
      const next = connection === undefined ? undefined : this.#waiting.shift()
      if (connection === undefined || next === undefined) return
      this.cluster.limits.release('pending')
      connection.take(next)
    }
  }

  onGone(connection: Http2Upstream): void {
    this.#connections = this.#connections.filter((other) => other !== connection)
    if (connection.counted) this.cluster.limits.release('connections')
    const next = this.#waiting.shift()
    if (next === undefined) return
    this.cluster.limits.release('pending')
    this.acquire(next)
  }

  /** What runs goes on; each connection closes when nothing does. */
  close(): void {
    this.#closing = true
    for (const connection of [...this.#connections]) connection.retire()
  }
}
