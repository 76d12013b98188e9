/**
 * One step of authorization, for requests and connections alike: counts and tells what its rules
 * say, those that are only tried (shadow rules) too. What denied is for the log, never for the
 * client.
 */
import type { Clock, Logger } from '@weft/base'
import { type Origin, type RbacFilter, type RbacRules, renderOrigin } from '@weft/model'
import {
  type Caller,
  type CompiledRbac,
  compileRbac,
  decideRbac,
  explainRbac,
  type PolicyTrace,
  type RbacDecision,
} from '@weft/traffic'
import type { FilterStats, StatOwner } from '../exchange/contract.ts'

export interface RbacStepDeps {
  readonly log: Logger
  readonly clock: Clock
  readonly filterStats?: FilterStats
}

export interface RbacOutcome {
  /** Envoy's words for what denies; absent: the caller may go on. */
  readonly denial?: string
  /** Which condition of which lines denied; for the access log. */
  readonly because?: string
  readonly shadow?: RbacDecision
}

export interface RbacStep {
  /** `undefined`: nothing to do. */
  judge(caller: Caller): RbacOutcome
}

/** The same rules are compiled once, whatever routes and workers they are bound for. */
const compiledRules = new WeakMap<RbacRules, CompiledRbac>()

export function compiledRbac(rules: RbacRules): CompiledRbac {
  let known = compiledRules.get(rules)
  if (known === undefined) {
    known = compileRbac(rules)
    compiledRules.set(rules, known)
  }
  return known
}

export function rbacStep(
  { rules, shadowRules, shadowStatPrefix = '' }: RbacFilter,
  owner: StatOwner,
  deps: RbacStepDeps,
): RbacStep {
  const enforced = rules === undefined ? undefined : compiledRbac(rules)
  const tried = shadowRules === undefined ? undefined : compiledRbac(shadowRules)
  const count = countersOf(owner, deps.filterStats, `rbac.`)
  const countTried = countersOf(owner, deps.filterStats, `rbac.${shadowStatPrefix}shadow_`)
  const tell = new DecisionLog(deps)
  return {
    judge(caller) {
      const shadow = tried === undefined ? undefined : decideRbac(tried, caller)
      if (tried !== undefined && shadow !== undefined) {
        countTried(shadow.allowed)
        if (!shadow.allowed) tell.write('a policy on trial would deny', tried, shadow, caller)
      }
      const known = shadow === undefined ? {} : { shadow }
      if (enforced === undefined) return known
      const decision = decideRbac(enforced, caller)
      count(decision.allowed)
      if (!decision.allowed) {
        tell.write('denied', enforced, decision, caller)
        const because = [
          becauseOf(enforced, decision, caller),
          originsOf(enforced, decision).origin,
        ]
        return {
          ...known,
          denial: denialDetails(decision),
          because: because.filter((one) => one !== undefined).join('; '),
        }
      }
      if (enforced.action === 'log' && decision.policy !== undefined) {
        tell.write('audited', enforced, decision, caller)
      }
      return known
    },
  }
}

/** `%RESPONSE_CODE_DETAILS%` has no blanks. */
function denialDetails({ policy = 'none' }: RbacDecision): string {
  return `rbac_access_denied_matched_policy[${policy.replaceAll(/\s/g, '_')}]`
}

function countersOf(
  owner: StatOwner,
  stats: FilterStats | undefined,
  prefix: string,
): (allowed: boolean) => void {
  const allow = stats?.counter(owner, `${prefix}allowed`)
  const deny = stats?.counter(owner, `${prefix}denied`)
  return (allowed) => (allowed ? allow : deny)?.()
}

const LINES_PER_SECOND = 20

/** A flood of refused calls must not become a flood of lines. */
class DecisionLog {
  readonly #log: Logger
  readonly #clock: Clock
  #second = 0
  #lines = 0

  constructor({ log, clock }: RbacStepDeps) {
    this.#log = log
    this.#clock = clock
  }

  write(what: string, rules: CompiledRbac, decision: RbacDecision, caller: Caller): void {
    const second = Math.floor(this.#clock.monotonicMs() / 1_000)
    if (second !== this.#second) {
      if (this.#lines > LINES_PER_SECOND) {
        this.#log.info('more decisions were not written down', {
          count: this.#lines - LINES_PER_SECOND,
        })
      }
      this.#second = second
      this.#lines = 0
    }
    if (++this.#lines > LINES_PER_SECOND) return
    const { request } = caller
    this.#log.info(`authorization: ${what}`, {
      policy: decision.policy ?? 'none',
      because: becauseOf(rules, decision, caller),
      ...originsOf(rules, decision),
      source: caller.sourceIp,
      ...(caller.principals === undefined ? {} : { principal: caller.principals.join(', ') }),
      ...(request === undefined
        ? { port: caller.destinationPort }
        : { method: request.method, path: request.path.split('?', 1)[0] ?? '' }),
    })
  }
}

const MAX_REASONS = 8

/** What made the deciding policy match, or what each lacked that did not; never a token's text. */
export function becauseOf(rules: CompiledRbac, { policy }: RbacDecision, caller: Caller): string {
  if (rules.policies.length === 0) return 'nothing is allowed'
  const traces = explainRbac(rules, caller)
  const reasons = reasonsOf(traces, policy)
  return reasons.length === 0 ? 'it holds for everybody' : reasons.join('; ')
}

function reasonsOf(traces: readonly PolicyTrace[], policy: string | undefined): readonly string[] {
  const isDeciding = (trace: { readonly policy: string; readonly matched: boolean }) =>
    policy === undefined || trace.policy === policy
  return traces
    .filter(isDeciding)
    .flatMap(({ policy: name, predicates }) =>
      predicates
        .filter(({ rule, matched }) => matched === (policy !== undefined) && rule !== 'anybody')
        .map(({ rule, found }) => {
          // Any header may carry a key, and so may a query (R75).
          const isSecret = /^(not: )*(claim|header |metadata|path with query)/.test(rule)
          const seen = isSecret || found === '' ? '' : `, found ${found}`
          return `${policy === undefined ? `${name}: ` : ''}${rule}${seen}`
        }),
    )
    .slice(0, MAX_REASONS)
}

function originsOf(
  { policies }: CompiledRbac,
  { policy }: RbacDecision,
): { readonly origin?: string } {
  const origins: readonly Origin[] = policies.find(({ name }) => name === policy)?.origins ?? []
  return origins.length === 0 ? {} : { origin: origins.map(renderOrigin).join(', ') }
}
