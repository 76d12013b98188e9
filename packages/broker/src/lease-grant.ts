/**
 * Leases that the broker gives to a peer whose SETUP asked for them: without one the peer would
 * send nothing, since with the flag both sides wait (Protocol.md, "Lease Semantics"). They are
 * renewed before they run out; what a peer may really have open is for the limits to say, so a
 * lease only ever ends on purpose – with a drain.
 */
import { renderLease } from '@weft/wire'

/** Where a lease goes. */
export interface LeaseTaker {
  sendFrame(frame: Uint8Array): void
}

const MIN_TTL_MS = 60_000

export class LeaseGrant {
  readonly #taker: LeaseTaker
  readonly #requests: number
  readonly #ttlMs: number
  #left = 0
  #grantedMs = 0
  #ended = false

  /** Lasts over several keepalives of the peer, each of which renews it in time. */
  constructor(taker: LeaseTaker, requests: number, maxLifetimeMs: number) {
    this.#taker = taker
    this.#requests = requests
    this.#ttlMs = Math.min(0x7fff_ffff, Math.max(MIN_TTL_MS, maxLifetimeMs * 2))
  }

  grant(nowMs: number): void {
    if (this.#ended) return
    this.#grantedMs = nowMs
    this.#left = this.#requests
    this.#taker.sendFrame(renderLease({ ttlMs: this.#ttlMs, requests: this.#requests }))
  }

  /** The peer used one. */
  onRequest(nowMs: number): void {
    if (--this.#left * 2 < this.#requests) this.grant(nowMs)
  }

  onKeepalive(nowMs: number): void {
    if (nowMs - this.#grantedMs >= this.#ttlMs / 4) this.grant(nowMs)
  }

  /** No more requests, please. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#taker.sendFrame(renderLease({ ttlMs: 0, requests: 0 }))
  }
}
