/**
 * One question to a service that counts for all proxies (Envoy's ratelimit filter), whoever carries
 * it there: limits of the control plane are paid from shares, others are asked for one by one.
 */
import type { HeaderValue, RateLimitActions, RateLimitService } from '@weft/model'
import type { CountedDescriptor } from './descriptors.ts'
import type { LeaseSource, Leases, LeaseVerdict } from './leases.ts'

/** Limits that the control plane counts; of those it grants shares. */
const LEASED = 'weft.io/'

interface LimitAnswer {
  readonly overLimit: boolean
  /** The limit that is nearest; absent when none applies. */
  readonly nearest?: {
    readonly requestsPerUnit: number
    readonly unitSeconds: number
    readonly remaining: number
    readonly resetSeconds: number
    readonly resetMs: number
  }
  /** For the client's answer. */
  readonly responseHeaders: readonly HeaderValue[]
}

/** The way to the service. */
interface LimitAsker {
  /** @returns Cancels. `done` is called once unless cancelled; `undefined`: nobody answered. */
  ask(
    descriptors: readonly CountedDescriptor[],
    hits: number,
    done: (answer: LimitAnswer | undefined) => void,
  ): () => void
  /** Hits that were granted and not used. */
  giveBack(descriptors: readonly CountedDescriptor[], hits: number): void
}

export type GlobalVerdict =
  | { readonly kind: 'allowed' | 'refused'; readonly headers: readonly HeaderValue[] }
  | { readonly kind: 'unanswered' }

export interface GlobalLimitCheck {
  readonly service: RateLimitService
  /** See `isLeasedLimit`. */
  readonly isLeased: boolean
  /** At least one. */
  readonly descriptors: readonly CountedDescriptor[]
  readonly asker: LimitAsker
}

/** A share is counted in requests: what costs more or less is asked for. */
export function isLeasedLimit(
  { domain }: RateLimitService,
  actions: readonly RateLimitActions[],
): boolean {
  return (
    domain.startsWith(LEASED) &&
    actions.every(({ hits, limit }) => hits === undefined && limit === undefined)
  )
}

/** What is counted together. */
export function globalLimitKey({ service, descriptors }: GlobalLimitCheck): string {
  return JSON.stringify([service.domain, descriptors])
}

/** @returns The verdict; or, when somebody is asked for it, how to stop waiting for `done`. */
export function checkGlobalLimit(
  leases: Leases,
  check: GlobalLimitCheck,
  done: (verdict: GlobalVerdict) => void,
): GlobalVerdict | (() => void) {
  const { service, descriptors, asker } = check
  if (!check.isLeased) {
    return asker.ask(descriptors, 1, (answer) => done(verdictOf(service, answer)))
  }
  const key = globalLimitKey(check)
  const read = (verdict: LeaseVerdict): GlobalVerdict =>
    verdict === 'unanswered' ? { kind: verdict } : { kind: verdict, headers: leases.headersOf(key) }
  const took = leases.take(
    key,
    () => leaseSource(check),
    (verdict) => done(read(verdict)),
  )
  return typeof took === 'function' ? took : read(took)
}

function leaseSource({ service, descriptors, asker }: GlobalLimitCheck): LeaseSource {
  return {
    ask(hits, done) {
      asker.ask(descriptors, hits, (answer) => {
        const { remaining = 0, resetMs = 0 } = answer?.nearest ?? {}
        const headers = service.headers && answer !== undefined ? limitHeaders(answer) : []
        done(answer && { granted: !answer.overLimit, remaining, resetMs, headers })
      })
    },
    giveBack: (hits) => asker.giveBack(descriptors, hits),
  }
}

function verdictOf(service: RateLimitService, answer: LimitAnswer | undefined): GlobalVerdict {
  if (answer === undefined) return { kind: 'unanswered' }
  const headers = [...answer.responseHeaders, ...(service.headers ? limitHeaders(answer) : [])]
  return { kind: answer.overLimit ? 'refused' : 'allowed', headers }
}

/** Draft version 3 of the RateLimit header fields. */
function limitHeaders({ nearest }: LimitAnswer): readonly HeaderValue[] {
  if (nearest === undefined) return []
  const { requestsPerUnit, unitSeconds, remaining, resetSeconds } = nearest
  const limit = `${requestsPerUnit}, ${requestsPerUnit};w=${unitSeconds}`
  return [
    { name: 'x-ratelimit-limit', value: limit },
    { name: 'x-ratelimit-remaining', value: String(remaining) },
    { name: 'x-ratelimit-reset', value: String(resetSeconds) },
  ]
}
