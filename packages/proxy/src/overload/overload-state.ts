/** What the data path reads of the overload manager: plain numbers, so that a look costs a compare. */

export class OverloadState {
  /** Share of the new requests that are refused, in percent. */
  refusePercent = 0
  /** Share of the new connections that are refused, in percent. */
  rejectPercent = 0
  /** Answers ask the client to close. */
  dropsKeepAlive = false
  /** How far idle timeouts have gone towards `minIdleMs`, from 0 to 1. */
  idleReduction = 0
  /** What requests may hold more until the memory is looked at again; no end while there is plenty. */
  roomBytes = Number.POSITIVE_INFINITY
  /** Since the start. */
  readonly counts = { requests: 0, connections: 0, streams: 0 }
  readonly #minIdleMs: number
  readonly #random: () => number

  /** @param random Uniform in [0, 1). */
  constructor(minIdleMs: number, random: () => number) {
    this.#minIdleMs = minIdleMs
    this.#random = random
  }

  /** Whether this request is one of those that are refused; it is counted then. */
  refusesRequest(): boolean {
    if (this.#random() * 100 >= this.refusePercent) return false
    this.counts.requests++
    return true
  }

  /** One more request holds so much; false: that is too much, and it has to end. */
  holds(bytes: number): boolean {
    this.roomBytes -= bytes
    if (this.roomBytes >= 0) return true
    this.counts.streams++
    return false
  }

  refusesConnection(): boolean {
    if (this.rejectPercent === 0 || this.#random() * 100 >= this.rejectPercent) return false
    this.counts.connections++
    return true
  }

  /** What is left of an idle timeout of `fullMs`; 0, no limit, stays 0. */
  idleMs(fullMs: number): number {
    const spareMs = fullMs - this.#minIdleMs
    return this.idleReduction === 0 || spareMs <= 0 ? fullMs : fullMs - spareMs * this.idleReduction
  }
}
