/**
 * RBAC rules, compiled and decided (Envoy `rbac`, Istio AuthorizationPolicy):
 *
 *     policy matches = one of its permissions and one of its principals
 *
 * Rules stand in a filter chain one after the other: what one lets pass, the next one judges.
 */
import type { Origin, RbacPolicy, RbacRules } from '@weft/model'
import { ConfigError } from '../config-error.ts'
import type { PredicateTrace } from '../route/trace.ts'
import type { Caller } from './caller.ts'
import { withoutParameters } from './path-parameters.ts'
import { compilePredicate, type Predicate } from './predicate.ts'

export interface CompiledRbac {
  readonly action: RbacRules['action']
  readonly policies: readonly CompiledPolicy[]
}

interface CompiledPolicy {
  readonly name: string
  readonly permissions: readonly Predicate[]
  readonly principals: readonly Predicate[]
  readonly origins: readonly Origin[]
}

export interface RbacDecision {
  readonly allowed: boolean
  /** The policy that matched; `undefined`: none did. */
  readonly policy: string | undefined
}

/** Why one policy does, or does not, match. */
export interface PolicyTrace {
  readonly policy: string
  readonly matched: boolean
  /** The predicates as far as they were looked at; the last ones decided. */
  readonly predicates: readonly PredicateTrace[]
  readonly origins: readonly Origin[]
}

/** @throws {ConfigError} Naming the policy; a policy that cannot be understood is never left out. */
export function compileRbac(rules: RbacRules): CompiledRbac {
  const names = new Set(rules.policies.map(({ name }) => name))
  if (names.size < rules.policies.length) {
    throw new ConfigError('rbac', 'Cannot use rules: names of policies must be unique')
  }
  return {
    action: rules.action,
    policies: rules.policies.map((policy) => compilePolicy(policy, rules.action)),
  }
}

function compilePolicy(policy: RbacPolicy, action: RbacRules['action']): CompiledPolicy {
  const where = `policy "${policy.name}"`
  return {
    name: policy.name,
    permissions: policy.permissions.map((each) => compilePredicate(each, action, where)),
    principals: policy.principals.map((each) => compilePredicate(each, action, where)),
    origins: policy.origins,
  }
}

export function decideRbac(rules: CompiledRbac, caller: Caller): RbacDecision {
  return decideAs(rules, refusingReading(rules, caller))
}

/** Of the readings of a request the one that decides. */
function refusingReading(rules: CompiledRbac, caller: Caller): Caller {
  if (caller.request?.path.includes(';') !== true || rules.action === 'log') return caller
  if (!decideAs(rules, caller).allowed) return caller
  const other = withoutParameters(caller)
  return other === undefined || decideAs(rules, other).allowed ? caller : other
}

function decideAs(rules: CompiledRbac, caller: Caller): RbacDecision {
  const found = rules.policies.find((policy) => policyMatches(policy, caller))
  const isMatch = found !== undefined
  return {
    allowed: rules.action === 'log' || (rules.action === 'allow') === isMatch,
    policy: found?.name,
  }
}

function policyMatches({ permissions, principals }: CompiledPolicy, caller: Caller): boolean {
  return (
    permissions.some((permission) => permission.test(caller)) &&
    principals.some((principal) => principal.test(caller))
  )
}

/** Every policy with what decided about it, in the order in which they are tried. */
export function explainRbac(rules: CompiledRbac, asked: Caller): readonly PolicyTrace[] {
  const caller = refusingReading(rules, asked)
  return rules.policies.map((policy) => {
    const sides = [policy.permissions, policy.principals].map((any) => alternatives(any, caller))
    return {
      policy: policy.name,
      matched: policyMatches(policy, caller),
      predicates: sides.flat(),
      origins: policy.origins,
    }
  })
}

/** Of alternatives the one that matches; when none does, what each lacks. */
function alternatives(any: readonly Predicate[], caller: Caller): readonly PredicateTrace[] {
  const found = any.find((each) => each.test(caller))
  return found === undefined
    ? any.flatMap((each) => traceOf(each, caller, false))
    : traceOf(found, caller, true)
}

/** The leaves that make a predicate what it is. */
function traceOf(predicate: Predicate, caller: Caller, wanted: boolean): readonly PredicateTrace[] {
  const { rule, parts } = predicate
  const matched = predicate.test(caller)
  if (parts.length === 0) return [{ rule, found: predicate.found(caller), matched }]
  if (rule === 'not') {
    return parts
      .flatMap((part) => traceOf(part, caller, !wanted))
      .map((part) => ({ ...part, rule: `not: ${part.rule}`, matched: !part.matched }))
  }
  const deciding = parts.filter((part) => part.test(caller) === wanted)
  return (deciding.length === 0 ? parts : deciding).flatMap((part) => traceOf(part, caller, wanted))
}
