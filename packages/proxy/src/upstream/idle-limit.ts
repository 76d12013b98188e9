/**
 * How long a connection to one endpoint may rest before we close it. Learnt from
 * `Keep-Alive: timeout=`, of which the newest counts, and from how long
 * connections had rested when the peer closed them.
 *
 * One close says little: a restart closes whatever rests, at any age. Two closes
 * at different times after about the same rest are a limit. What was learnt so
 * is forgotten after a while, because a peer that changed cannot show it: with
 * our limit below its own it never closes anything.
 */

/** Closing at this share of the peer's limit leaves room for the network and for clocks. */
const SAFE_SHARE = 0.8
/** Idle closes sooner than this are restarts, not limits; nothing is learnt from them. */
const MIN_LEARNT_MS = 500
/** Closes nearer to each other than this have one cause and count once. */
const SAME_EVENT_MS = 1_000
/** Two rests are about the same when the shorter is at least this share of the longer. */
const ALIKE_SHARE = 0.8
const FORGET_AFTER_MS = 600_000
const NEVER = Number.POSITIVE_INFINITY
/** Hardly any peer closes sooner. */
const TRUSTED_MS = 500

export class IdleLimit {
  #announcedMs = NEVER
  #observedMs = NEVER
  #forgetAtMs = NEVER
  #closeRestedMs = 0
  #provenMs = 0
  #closeAtMs = Number.NEGATIVE_INFINITY

  /** @returns Infinity when nothing is known. */
  at(nowMs: number): number {
    if (nowMs >= this.#forgetAtMs) {
      this.#observedMs = NEVER
      this.#forgetAtMs = NEVER
    }
    return Math.min(this.#announcedMs, this.#observedMs)
  }

  /**
   * Up to which rest a request that must not be sent twice may use a connection: that of
   * others that came back with an answer. When the peer's close crosses such a request,
   * nobody knows whether it was taken.
   */
  get trustedMs(): number {
    return Math.max(TRUSTED_MS, this.#provenMs * SAFE_SHARE)
  }

  /** A connection that had rested for so long carried an answer. */
  proven(restedMs: number): void {
    if (restedMs > this.#provenMs) this.#provenMs = restedMs
  }

  /** The peer said how long it keeps idle connections. */
  announced(timeoutMs: number): void {
    if (timeoutMs > 0) this.#announcedMs = timeoutMs * SAFE_SHARE
  }

  /** The peer closed a connection that had rested. */
  closed(restedMs: number, nowMs: number): void {
    if (restedMs < this.#provenMs) this.#provenMs = 0
    if (restedMs < MIN_LEARNT_MS || nowMs - this.#closeAtMs < SAME_EVENT_MS) return
    const shorterMs = Math.min(restedMs, this.#closeRestedMs)
    if (shorterMs >= Math.max(restedMs, this.#closeRestedMs) * ALIKE_SHARE) {
      this.#observedMs = Math.min(this.#observedMs, shorterMs * SAFE_SHARE)
      this.#forgetAtMs = nowMs + FORGET_AFTER_MS
    }
    this.#closeRestedMs = restedMs
    this.#closeAtMs = nowMs
  }
}
