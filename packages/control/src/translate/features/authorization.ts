/**
 * AuthorizationPolicies → the steps of a decision. What a connection alone cannot answer makes a
 * rule that allows hold for nobody, and is left out of one that denies, which then denies more:
 * either way the stricter reading.
 *
 *     DENY, then ALLOW, then AUDIT; of each the enforced policies and those on trial
 */
import type { AuthorizationPolicy, AuthorizationRule, DocumentOf } from '@weft/config'
import type { Permission, Principal, RbacFilter, RbacPolicy, RbacRules } from '@weft/model'
import {
  type AuthorizationContext,
  conditionTest,
  type FieldTest,
  operationTests,
  sourceTests,
} from './authorization-fields.ts'

export type PolicyDocument = DocumentOf<'AuthorizationPolicy'>

export type AuthorizationPlace = Pick<AuthorizationContext, 'forTcp' | 'trustDomains' | 'ports'>

const STEPS = [
  { written: 'DENY', action: 'deny' },
  { written: 'ALLOW', action: 'allow' },
  { written: 'AUDIT', action: 'log' },
] as const

/** In the order in which they decide; none without policies. */
export function authorizationSteps(
  policies: readonly PolicyDocument[],
  place: AuthorizationPlace,
): readonly RbacFilter[] {
  return STEPS.flatMap(({ written, action }) => {
    const own = policies.filter(({ spec }) => spec.action === written)
    return own.length === 0 ? [] : [stepOf(own, action, place)]
  })
}

function stepOf(
  policies: readonly PolicyDocument[],
  action: RbacRules['action'],
  place: AuthorizationPlace,
): RbacFilter {
  const { enforced = [], tried = [] } = Object.groupBy(policies, (policy) =>
    isDryRun(policy) ? 'tried' : 'enforced',
  )
  return {
    ...(enforced.length === 0 ? {} : { rules: rulesOf(enforced, action, place) }),
    ...(tried.length === 0
      ? {}
      : {
          shadowRules: rulesOf(tried, action, place),
          shadowStatPrefix: `istio_dry_run_${action === 'allow' ? 'allow' : 'deny'}_`,
        }),
  }
}

export function isDryRun({ metadata }: PolicyDocument): boolean {
  return metadata.annotations['istio.io/dry-run'] === 'true'
}

/** The rules of one action; of a CUSTOM policy those that say when its provider is asked. */
export function rulesOf(
  policies: readonly PolicyDocument[],
  action: RbacRules['action'],
  place: AuthorizationPlace,
  prefix = '',
): RbacRules {
  const all = policies.flatMap((policy) => {
    const context = { ...place, action, namespace: policy.metadata.namespace }
    return policiesOf(policy, context, prefix)
  })
  return { action, policies: all.sort((a, b) => (a.name < b.name ? -1 : 1)) }
}

const NOBODY = { kind: 'not', of: { kind: 'any' } } as const

function policiesOf(
  { metadata: { namespace, name }, spec, origin, lineOf }: PolicyDocument,
  context: AuthorizationContext,
  prefix: string,
): readonly RbacPolicy[] {
  const nameOf = (index: number) => `${prefix}ns[${namespace}]-policy[${name}]-rule[${index}]`
  const { rules = [] } = spec satisfies AuthorizationPolicy
  if (rules.length === 0) {
    // It is there, and matches nobody: without it nothing would say that something must.
    return [{ name: nameOf(0), permissions: [NOBODY], principals: [NOBODY], origins: [origin] }]
  }
  return rules.flatMap((rule, index) => {
    const sides = sidesOf(rule, context)
    if (sides === undefined) return []
    const path = `spec.rules[${index}]`
    return [{ name: nameOf(index), ...sides, origins: [{ ...origin, path, line: lineOf(path) }] }]
  })
}

/** `undefined`: the rule can hold for nobody here. */
function sidesOf(
  { from = [], to = [], when = [] }: AuthorizationRule,
  context: AuthorizationContext,
): Pick<RbacPolicy, 'permissions' | 'principals'> | undefined {
  const conditions = when.map((one) => conditionTest(one, context))
  const ofCalled = conditions.flatMap((one) => (one.side === 'permission' ? [one.test] : []))
  const ofCaller = conditions.flatMap((one) => (one.side === 'principal' ? [one.test] : []))
  const operations = to.length === 0 ? [{}] : to
  const sources = from.length === 0 ? [{}] : from
  const permissions = operations.map(({ operation = {} }) =>
    conjunction<Permission>([...operationTests(operation, context), ...ofCalled], context),
  )
  const principals = sources.map(({ source = {} }) =>
    conjunction<Principal>([...sourceTests(source, context), ...ofCaller], context),
  )
  const [permission, ...otherPermissions] = permissions.filter((one) => one !== undefined)
  const [principal, ...otherPrincipals] = principals.filter((one) => one !== undefined)
  const isWhole = ![...permissions, ...principals].includes(undefined)
  if (!isWhole || permission === undefined || principal === undefined) return undefined
  return {
    permissions: [permission, ...otherPermissions],
    principals: [principal, ...otherPrincipals],
  }
}

type Combined<T> =
  | T
  | { readonly kind: 'any' }
  | { readonly kind: 'allOf' | 'oneOf'; readonly of: readonly T[] }
  | { readonly kind: 'not'; readonly of: T }

/** All of the fields; `undefined`: one asks for what a connection cannot answer. */
function conjunction<T extends Permission | Principal>(
  tests: readonly FieldTest<T>[],
  { action, forTcp }: AuthorizationContext,
): T | undefined {
  const parts: T[] = []
  for (const { values, notValues, isHttpOnly, predicate } of tests) {
    if (values.length === 0 && notValues.length === 0) continue
    if (forTcp && isHttpOnly === true) {
      if (action === 'allow') return undefined
      continue
    }
    if (values.length > 0) parts.push(alternatives(values.map(predicate)))
    if (notValues.length > 0) {
      const of = alternatives(notValues.map(predicate))
      parts.push({ kind: 'not', of } satisfies Combined<T> as unknown as T)
    }
  }
  const [first, ...more] = parts
  if (first === undefined) return { kind: 'any' } satisfies Combined<T> as unknown as T
  if (more.length === 0) return first
  return { kind: 'allOf', of: parts } satisfies Combined<T> as unknown as T
}

function alternatives<T extends Permission | Principal>(all: readonly T[]): T {
  const [first, ...more] = all
  if (first !== undefined && more.length === 0) return first
  return { kind: 'oneOf', of: all } satisfies Combined<T> as unknown as T
}
