/**
 * How many clients a proxy takes at once, over all its listeners (R21). Beyond
 * it a new connection is reset at once, so that those that are open keep working:
 * their requests need descriptors towards upstreams, and the admin port, the
 * control plane's stream and the last good configuration need some too.
 *
 * Accepting cannot be paused instead: Node takes every connection the kernel has.
 */
import type { Clock, Logger } from '@weft/base'

/** One refusal in so long is a line of the log; the counter has all. */
const LOG_EVERY_MS = 1_000
/** A client costs up to two descriptors: its own and one upstream. */
const DESCRIPTORS_PER_CLIENT = 2

/** As many as half of what the process may open; without a known limit, no limit. */
export function maxClients(openFileLimit: number | undefined): number {
  if (openFileLimit === undefined) return Number.POSITIVE_INFINITY
  return Math.floor(openFileLimit / DESCRIPTORS_PER_CLIENT)
}

export class ConnectionBudget {
  readonly max: number
  readonly #clock: Clock
  readonly #log: Logger
  #open = 0
  #refused = 0
  #loggedAtMs = Number.NEGATIVE_INFINITY

  constructor(max: number, clock: Clock, log: Logger) {
    this.max = max
    this.#clock = clock
    this.#log = log
  }

  /** False: the connection must be refused. True: `release` follows when it is gone. */
  take(): boolean {
    if (this.#open < this.max) {
      this.#open++
      return true
    }
    this.#refused++
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#loggedAtMs >= LOG_EVERY_MS) {
      this.#loggedAtMs = nowMs
      this.#log.warn('refused a connection: too many are open', {
        open: this.#open,
        max: this.max,
        refused: this.#refused,
      })
    }
    return false
  }

  release(): void {
    this.#open--
  }

  /** Clients that are connected now. */
  get open(): number {
    return this.#open
  }

  /** Since the start. */
  get refused(): number {
    return this.#refused
  }
}
