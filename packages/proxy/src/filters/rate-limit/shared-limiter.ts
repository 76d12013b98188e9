/**
 * One local limit of a proxy that has several processes. Its buckets are in the supervisor; each
 * worker pays requests from tokens that it has of them, and asks for more before they are used up
 * (`leases.ts`). All workers together never let more pass than one bucket would.
 */
import type { Clock } from '@weft/base'
import type { HeaderValue, LocalRateLimit } from '@weft/model'
import {
  type CountedDescriptor,
  counted,
  type Descriptor,
  type LeaseSource,
  Leases,
  type LeaseVerdict,
  type LimitGrant,
  LocalLimiter,
} from '@weft/traffic'
import type { WorkerPlace } from '../../workers/worker-place.ts'
import { shareOfRateLimit } from '../../workers/worker-share.ts'

/** The supervisor is on the same machine: it can be asked often. */
const MIN_REFUSED_MS = 2

export interface LimitQuestion {
  /** Of the limit: what is counted together. */
  readonly key: string
  readonly limit: LocalRateLimit
  readonly descriptors: readonly Descriptor[]
  readonly tokens: number
  /** What one request costs of each descriptor, where it is not one: it is paid whole, or refused. */
  readonly hits?: readonly number[]
}

/** The process that has the buckets. */
export interface SharedLimits {
  readonly place: WorkerPlace
  /**
   * @param needed For how many of the tokens somebody waits.
   * @param done Called once; `undefined`: it did not answer in time.
   */
  ask(question: LimitQuestion, needed: number, done: (grant: LimitGrant | undefined) => void): void
  giveBack(question: LimitQuestion): void
}

export interface SharedVerdict {
  readonly allowed: boolean
  readonly headers: readonly HeaderValue[]
}

export class SharedLimiter {
  readonly #key: string
  readonly #limit: LocalRateLimit
  readonly #shared: SharedLimits
  readonly #clock: Clock
  readonly #leases: Leases
  /** For when the supervisor does not answer: this worker's share of the limit. */
  #own: LocalLimiter | undefined

  constructor(key: string, limit: LocalRateLimit, shared: SharedLimits, clock: Clock) {
    this.#key = key
    this.#limit = limit
    this.#shared = shared
    this.#clock = clock
    this.#leases = new Leases(clock, MIN_REFUSED_MS)
  }

  /** @returns The verdict; or, when the supervisor is asked for it, how to stop waiting. */
  take(
    all: readonly CountedDescriptor[],
    done: (verdict: SharedVerdict) => void,
  ): SharedVerdict | (() => void) {
    const own = all.filter(({ entries }) => counted(this.#limit, [entries]).length > 0)
    const descriptors = own.map(({ entries }) => entries)
    const hits = hitsOf(own)
    if (hits !== undefined) return this.#takeWhole(descriptors, hits, done)
    const key = descriptors.length === 0 ? '' : JSON.stringify(descriptors)
    const decide = (verdict: LeaseVerdict): SharedVerdict => {
      if (verdict === 'unanswered') return this.#decideAlone(descriptors)
      return { allowed: verdict === 'allowed', headers: this.#leases.headersOf(key) }
    }
    const source = () => this.#source(descriptors)
    const took = this.#leases.take(key, source, (verdict) => done(decide(verdict)))
    return typeof took === 'function' ? took : decide(took)
  }

  /** No share pays it: the buckets are asked for each such request. */
  #takeWhole(
    descriptors: readonly Descriptor[],
    hits: readonly number[],
    done: (verdict: SharedVerdict) => void,
  ): () => void {
    let isWaiting = true
    const question = { key: this.#key, limit: this.#limit, descriptors, tokens: 1, hits }
    this.#shared.ask(question, 1, (grant) => {
      if (!isWaiting) return
      if (grant === undefined) done(this.#decideAlone(descriptors, hits))
      else
        done({ allowed: grant.tokens > 0, headers: this.#limit.headers ? limitHeaders(grant) : [] })
    })
    return () => {
      isWaiting = false
    }
  }

  #source(descriptors: readonly Descriptor[]): LeaseSource {
    const question = { key: this.#key, limit: this.#limit, descriptors }
    return {
      ask: (tokens, done, needed) => {
        this.#shared.ask({ ...question, tokens }, needed, (grant) => {
          const headers = this.#limit.headers && grant !== undefined ? limitHeaders(grant) : []
          // Nothing for those who wait is a refusal; nothing ahead is none.
          done(grant && { ...grant, granted: grant.tokens > 0 || needed === 0, headers })
        })
      },
      giveBack: (tokens) => this.#shared.giveBack({ ...question, tokens }),
    }
  }

  #decideAlone(descriptors: readonly Descriptor[], hits?: readonly number[]): SharedVerdict {
    const nowMs = this.#clock.monotonicMs()
    this.#own ??= new LocalLimiter(shareOfRateLimit(this.#limit, this.#shared.place), nowMs)
    const { allowed, bucket } = this.#own.check(descriptors, nowMs, hits)
    const numbers = {
      maxTokens: this.#limit.bucket.maxTokens,
      remaining: bucket.remaining(nowMs),
      resetMs: bucket.resetMs(nowMs),
    }
    return { allowed, headers: this.#limit.headers ? limitHeaders(numbers) : [] }
  }
}

/** Absent: one of each, which is what nearly every request costs. */
export function hitsOf(descriptors: readonly CountedDescriptor[]): readonly number[] | undefined {
  if (descriptors.every(({ hits = 1 }) => hits === 1)) return undefined
  return descriptors.map(({ hits = 1 }) => hits)
}

/** Draft version 3 of the RateLimit header fields. */
export function limitHeaders(bucket: Omit<LimitGrant, 'tokens'>): readonly HeaderValue[] {
  return [
    { name: 'x-ratelimit-limit', value: String(bucket.maxTokens) },
    { name: 'x-ratelimit-remaining', value: String(bucket.remaining) },
    { name: 'x-ratelimit-reset', value: String(Math.ceil(bucket.resetMs / 1_000)) },
  ]
}
