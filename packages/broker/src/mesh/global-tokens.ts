/**
 * Global limits of one call. Whoever counts is asked before the call has a responder, for all that
 * may take it; what is not used of that goes back. A repeat asks while it pauses, and does not wait.
 *
 *     prepare ─► counted elsewhere ─► take, when somebody was chosen ─► settle
 */
import {
  checkGlobalLimit,
  type GlobalLimitCheck,
  type GlobalVerdict,
  globalLimitKey,
  type Leases,
} from '@weft/traffic'
import type { GateRefusal } from './gate.ts'

export interface CountedOutcome {
  readonly refusal?: GateRefusal
  /** For the answer. */
  readonly headers: readonly (readonly [name: string, value: string])[]
}

interface Asked {
  readonly check: GlobalLimitCheck
  /** Absent: nobody has answered yet. */
  verdict: GlobalVerdict | undefined
}

export class GlobalTokens {
  readonly #leases: Leases
  readonly #asked = new Map<string, Asked>()

  constructor(leases: Leases) {
    this.#leases = leases
  }

  /** Asks for what was not asked for yet. Undefined: all answers are there. */
  prepare(checks: readonly GlobalLimitCheck[]): Promise<unknown> | undefined {
    const pending = checks.flatMap((check) => this.#ask(check) ?? [])
    return pending.length === 0 ? undefined : Promise.all(pending)
  }

  #ask(check: GlobalLimitCheck): Promise<void> | undefined {
    const key = globalLimitKey(check)
    if (this.#asked.has(key)) return undefined
    const asked: Asked = { check, verdict: undefined }
    this.#asked.set(key, asked)
    const { promise, resolve } = Promise.withResolvers<void>()
    const took = checkGlobalLimit(this.#leases, check, (verdict) => {
      asked.verdict = verdict
      resolve()
    })
    if (typeof took === 'function') return asked.verdict === undefined ? promise : undefined
    asked.verdict = took
    return undefined
  }

  /** Whether the call may pass; of each answer once. While nobody has answered it may. */
  take(check: GlobalLimitCheck): CountedOutcome {
    void this.prepare([check])
    const key = globalLimitKey(check)
    const verdict = this.#asked.get(key)?.verdict
    this.#asked.delete(key)
    return verdict === undefined ? { headers: [] } : outcomeOf(check, verdict)
  }

  /** The call has a responder, or none: what it did not need is others'. */
  settle(): void {
    for (const [key, { check, verdict }] of this.#asked) {
      if (check.isLeased && verdict?.kind === 'allowed') this.#leases.untake(key)
    }
    this.#asked.clear()
  }
}

function outcomeOf({ service }: GlobalLimitCheck, verdict: GlobalVerdict): CountedOutcome {
  if (verdict.kind === 'unanswered') {
    if (!service.failureModeDeny) return { headers: [] }
    const details = 'rate_limiter_error'
    return { refusal: { status: 500, body: '', headers: [], flag: 'RLSE', details }, headers: [] }
  }
  const headers = verdict.headers.map(({ name, value }) => [name, value] as const)
  if (verdict.kind === 'allowed') return { headers }
  const all = [['x-envoy-ratelimited', 'true'] as const, ...headers]
  const details = 'request_rate_limited'
  return {
    refusal: { status: service.status, body: '', headers: all, flag: 'RL', details },
    headers,
  }
}
