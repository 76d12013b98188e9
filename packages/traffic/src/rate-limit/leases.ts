/**
 * Shares of global limits: tokens that the control plane granted and that requests are paid from
 * without asking anybody. A share is what was used lately, for one period; each period it is topped
 * up or the rest is given back, so tokens are where the traffic is.
 *
 *     request ──► tokens left? ──yes──► goes on at once
 *                     │ no
 *                     ▼
 *            refused lately? ──yes──► refused at once, until the service may have tokens again
 *                     │ no
 *                     ▼
 *            waits for one question that asks for all who wait, and a share
 *
 * Tokens leave the service's bucket before they are used: all proxies together get at most
 * `burst + rate × time`; in a short window at most the shares of one period more. When nobody
 * answers, what was granted holds for the rest of the period; after it the limit's `failureMode` decides.
 */
import type { Clock } from '@weft/base'
import type { HeaderValue } from '@weft/model'

export const LEASE_MS = 200
/** A refusal holds for as long as the service says, within these. */
const MIN_REFUSED_MS = 20
const MAX_REFUSED_MS = 1_000
const MAX_LEASES = 10_000

export interface Grant {
  readonly granted: boolean
  /** How many, where it need not be all. */
  readonly tokens?: number
  /** Of the service; 0 when it granted. */
  readonly remaining: number
  readonly resetMs: number
  /** What answers say of the limit; absent: nothing. */
  readonly headers?: readonly HeaderValue[]
}

export interface LeaseSource {
  /**
   * @param done Called once; `undefined`: nobody answered.
   * @param needed For how many of the hits somebody waits.
   */
  ask(hits: number, done: (grant: Grant | undefined) => void, needed: number): void
  giveBack(hits: number): void
}

export type LeaseVerdict = 'allowed' | 'refused' | 'unanswered'

type Waiter = (verdict: LeaseVerdict) => void

class Lease {
  readonly #clock: Clock
  readonly #source: LeaseSource
  readonly #minRefusedMs: number
  readonly #forget: () => void
  /** Of the last answer: what others used since is not in it. */
  headers: readonly HeaderValue[] = []
  #tokens = 0
  #used = 0
  #asking = false
  #refusedUntilMs = Number.NEGATIVE_INFINITY
  #unansweredUntilMs = Number.NEGATIVE_INFINITY
  #waiting: Waiter[] = []
  #cancel: (() => void) | undefined

  constructor(clock: Clock, source: LeaseSource, minRefusedMs: number, forget: () => void) {
    this.#clock = clock
    this.#source = source
    this.#minRefusedMs = minRefusedMs
    this.#forget = forget
  }

  /** @returns The verdict, or how to stop waiting for it. */
  take(waiter: Waiter): LeaseVerdict | (() => void) {
    this.#cancel ??= this.#clock.after(LEASE_MS, () => this.#endPeriod())
    const nowMs = this.#clock.monotonicMs()
    if (this.#tokens > 0) {
      this.#tokens--
      this.#used++
      return 'allowed'
    }
    if (nowMs < this.#refusedUntilMs) return 'refused'
    if (nowMs < this.#unansweredUntilMs) return 'unanswered'
    this.#waiting.push(waiter)
    if (!this.#asking) this.#askAhead()
    return () => {
      this.#waiting = this.#waiting.filter((one) => one !== waiter)
    }
  }

  /** A hit was allowed, and nothing came of it. */
  untake(): void {
    this.#tokens++
    if (this.#used > 0) this.#used--
  }

  /** Everything goes back. */
  close(): void {
    this.#cancel?.()
    if (this.#tokens > 0) this.#source.giveBack(this.#tokens)
    this.#tokens = 0
  }

  /** Who used much will use more before the period ends. */
  #askAhead(): void {
    this.#ask(this.#waiting.length + (this.#used >> 1))
  }

  #ask(hits: number): void {
    this.#asking = true
    const answered = (grant: Grant | undefined): void => {
      this.#asking = false
      this.headers = grant?.headers ?? this.headers
      if (grant === undefined) this.#unanswered()
      else if (grant.granted) this.#granted(grant.tokens ?? hits)
      else this.#refused(grant, hits)
    }
    this.#source.ask(hits, answered, Math.min(hits, this.#waiting.length))
  }

  #granted(hits: number): void {
    this.#tokens += hits
    const paid = this.#waiting.splice(0, this.#tokens)
    this.#tokens -= paid.length
    this.#used += paid.length
    for (const tell of paid) tell('allowed')
    if (this.#waiting.length > 0 && !this.#asking) this.#askAhead()
  }

  #refused({ remaining, resetMs }: Grant, hits: number): void {
    // Not all of it can be had, but some.
    const less = Math.min(remaining, hits - 1)
    if (less >= 1) {
      this.#ask(less)
      return
    }
    const untilMs = Math.max(this.#minRefusedMs, Math.min(resetMs, MAX_REFUSED_MS))
    this.#refusedUntilMs = this.#clock.monotonicMs() + untilMs
    this.#tellAll('refused')
  }

  #unanswered(): void {
    this.#unansweredUntilMs = this.#clock.monotonicMs() + LEASE_MS
    this.#tellAll('unanswered')
  }

  #tellAll(verdict: LeaseVerdict): void {
    const all = this.#waiting
    this.#waiting = []
    for (const tell of all) tell(verdict)
  }

  #endPeriod(): void {
    this.#cancel = undefined
    const wanted = this.#used
    this.#used = 0
    const surplus = this.#tokens - wanted
    if (surplus > 0) {
      this.#tokens -= surplus
      this.#source.giveBack(surplus)
    }
    const isIdle = wanted === 0 && this.#waiting.length === 0 && !this.#asking
    if (isIdle) {
      this.#forget()
      return
    }
    this.#cancel = this.#clock.after(LEASE_MS, () => this.#endPeriod())
    const nowMs = this.#clock.monotonicMs()
    if (surplus < 0 && !this.#asking && nowMs >= this.#refusedUntilMs) this.#ask(-surplus)
  }
}

export class Leases {
  readonly #clock: Clock
  readonly #minRefusedMs: number
  /** In order of last use. */
  readonly #all = new Map<string, Lease>()

  /** @param minRefusedMs How long a refusal holds at least: whoever is asked must not be flooded. */
  constructor(clock: Clock, minRefusedMs = MIN_REFUSED_MS) {
    this.#clock = clock
    this.#minRefusedMs = minRefusedMs
  }

  /** @param key What is counted together. */
  take(key: string, source: () => LeaseSource, waiter: Waiter): LeaseVerdict | (() => void) {
    const lease =
      this.#all.get(key) ??
      new Lease(this.#clock, source(), this.#minRefusedMs, () => this.#all.delete(key))
    this.#all.delete(key)
    this.#all.set(key, lease)
    if (this.#all.size > MAX_LEASES) {
      const [oldest] = this.#all
      if (oldest !== undefined) {
        this.#all.delete(oldest[0])
        oldest[1].close()
      }
    }
    return lease.take(waiter)
  }

  /** What was allowed for the key has not been used. */
  untake(key: string): void {
    this.#all.get(key)?.untake()
  }

  headersOf(key: string): readonly HeaderValue[] {
    return this.#all.get(key)?.headers ?? []
  }

  get size(): number {
    return this.#all.size
  }
}
