/** Steps of an authorization decision ⇄ Envoy's RBAC, for requests and for connections. */
import type { JsonObject } from '@bufbuild/protobuf'
import type { FilterChain, NetworkRbac, RbacFilter, RbacPolicy, RbacRules } from '@weft/model'
import {
  RBAC_Action as Action,
  type Policy,
  PolicySchema,
  RBACSchema,
  type RBAC as RbacProto,
} from '../gen/envoy/config/rbac/v3/rbac_pb.js'
import {
  type RBAC as HttpRbacProto,
  RBACSchema as HttpRbacSchema,
} from '../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js'
import {
  type RBAC as NetworkRbacProto,
  RBACSchema as NetworkRbacSchema,
} from '../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import {
  decodePermission,
  decodePrincipal,
  encodePermission,
  encodePrincipal,
} from './rbac-predicates.ts'
import {
  decodeOriginList,
  type EncodeOptions,
  type Extras,
  encodeOrigin,
  type Init,
  isObject,
} from './values.ts'

export function encodeHttpRbac(filter: RbacFilter): Init<typeof HttpRbacSchema> {
  return encodeFilter(filter)
}

export function encodeNetworkRbac(filter: NetworkRbac): Init<typeof NetworkRbacSchema> {
  return { ...encodeFilter(filter), statPrefix: filter.statPrefix }
}

function encodeFilter({ rules, shadowRules, shadowStatPrefix }: RbacFilter) {
  return {
    ...(rules === undefined ? {} : { rules: encodeRules(rules) }),
    ...(shadowRules === undefined ? {} : { shadowRules: encodeRules(shadowRules) }),
    ...(shadowStatPrefix === undefined ? {} : { shadowRulesStatPrefix: shadowStatPrefix }),
  }
}

const ACTIONS = { allow: Action.ALLOW, deny: Action.DENY, log: Action.LOG } as const

function encodeRules({ action, policies }: RbacRules): Init<typeof RBACSchema> {
  const entries = policies.map(({ name, permissions, principals }) => [
    name,
    {
      permissions: permissions.map(encodePermission),
      principals: principals.map(encodePrincipal),
    },
  ])
  return { action: ACTIONS[action], policies: Object.fromEntries(entries) }
}

const HTTP = covers(HttpRbacSchema, 'rules', 'shadow_rules', 'shadow_rules_stat_prefix')
// When a connection is looked at is ours to say: before its first byte is served.
const NETWORK = covers(
  NetworkRbacSchema,
  ...['rules', 'shadow_rules', 'shadow_rules_stat_prefix', 'stat_prefix', 'enforcement_type'],
)

export function decodeHttpRbac(proto: HttpRbacProto, path: string, problems: Problems): RbacFilter {
  refuseOthers(HTTP, proto, path, problems)
  return decodeFilter(proto, path, problems)
}

export function decodeNetworkRbac(
  proto: NetworkRbacProto,
  path: string,
  problems: Problems,
): NetworkRbac {
  refuseOthers(NETWORK, proto, path, problems)
  return { ...decodeFilter(proto, path, problems), statPrefix: proto.statPrefix }
}

function decodeFilter(
  {
    rules,
    shadowRules,
    shadowRulesStatPrefix,
  }: Pick<HttpRbacProto, 'rules' | 'shadowRules' | 'shadowRulesStatPrefix'>,
  path: string,
  problems: Problems,
): RbacFilter {
  return {
    ...(rules === undefined ? {} : { rules: decodeRules(rules, `${path}.rules`, problems) }),
    ...(shadowRules === undefined
      ? {}
      : { shadowRules: decodeRules(shadowRules, `${path}.shadow_rules`, problems) }),
    ...(shadowRulesStatPrefix === '' ? {} : { shadowStatPrefix: shadowRulesStatPrefix }),
  }
}

const RULES = covers(RBACSchema, 'action', 'policies')
const POLICY = covers(PolicySchema, 'permissions', 'principals')

function decodeRules(proto: RbacProto, path: string, problems: Problems): RbacRules {
  refuseOthers(RULES, proto, path, problems)
  const policies = Object.keys(proto.policies)
    .sort()
    .flatMap((name) => {
      const policy = proto.policies[name]
      return policy === undefined
        ? []
        : [decodePolicy(name, policy, `${path}.policies[${name}]`, problems)]
    })
  return { action: decodeAction(proto.action, path, problems), policies }
}

function decodeAction(action: Action, path: string, problems: Problems): RbacRules['action'] {
  switch (action) {
    case Action.ALLOW:
      return 'allow'
    case Action.DENY:
      return 'deny'
    case Action.LOG:
      return 'log'
    default:
      problems.add(`${path}.action`, `${action} is not known`)
      return 'deny'
  }
}

function decodePolicy(name: string, proto: Policy, path: string, problems: Problems): RbacPolicy {
  refuseOthers(POLICY, proto, path, problems)
  const permissions = proto.permissions.map((one, index) =>
    decodePermission(one, `${path}.permissions[${index}]`, problems),
  )
  const principals = proto.principals.map((one, index) =>
    decodePrincipal(one, `${path}.principals[${index}]`, problems),
  )
  const [permission, ...otherPermissions] = permissions
  const [principal, ...otherPrincipals] = principals
  if (permission === undefined || principal === undefined) {
    problems.add(path, 'needs a permission and a principal')
  }
  const nobody = { kind: 'not', of: { kind: 'any' } } as const
  return {
    name,
    permissions: [permission ?? nobody, ...otherPermissions],
    principals: [principal ?? nobody, ...otherPrincipals],
    origins: [],
  }
}

/** Envoy's policies carry no metadata: their chain says where each came from. */
export function policyOrigins(chain: FilterChain, options: EncodeOptions): Extras {
  if (!options.origins) return {}
  const found: Record<string, JsonObject[]> = {}
  for (const filter of rbacFiltersOf(chain)) {
    for (const { name, origins } of [
      ...(filter.rules?.policies ?? []),
      ...(filter.shadowRules?.policies ?? []),
    ]) {
      if (origins.length > 0) found[name] = origins.map(encodeOrigin)
    }
  }
  return Object.keys(found).length === 0 ? {} : { policies: found }
}

function rbacFiltersOf({ filter, rbac }: FilterChain): readonly RbacFilter[] {
  const ofRequests =
    filter.kind === 'http' ? filter.filters.filter((one) => one.kind === 'rbac') : []
  return [...(rbac ?? []), ...ofRequests]
}

export function withPolicyOrigins(chain: FilterChain, extras: JsonObject): FilterChain {
  const { policies } = extras
  if (!isObject(policies)) return chain
  const restore = <F extends RbacFilter>(one: F): F => ({
    ...one,
    ...(one.rules === undefined ? {} : { rules: rulesWithOrigins(one.rules, policies) }),
    ...(one.shadowRules === undefined
      ? {}
      : { shadowRules: rulesWithOrigins(one.shadowRules, policies) }),
  })
  const { filter, rbac } = chain
  const [first, ...more] = rbac ?? []
  const ofConnections = first === undefined ? {} : { rbac: networkWith(first, more, restore) }
  if (filter.kind === 'tcp') return { ...chain, ...ofConnections }
  const filters = filter.filters.map((one) => (one.kind === 'rbac' ? restore(one) : one))
  return { ...chain, ...ofConnections, filter: { ...filter, filters } }
}

function networkWith(
  first: NetworkRbac,
  more: readonly NetworkRbac[],
  restore: (one: NetworkRbac) => NetworkRbac,
): readonly [NetworkRbac, ...NetworkRbac[]] {
  return [restore(first), ...more.map(restore)]
}

function rulesWithOrigins(rules: RbacRules, known: JsonObject): RbacRules {
  const policies = rules.policies.map((policy) =>
    Object.hasOwn(known, policy.name)
      ? { ...policy, origins: decodeOriginList(known[policy.name]) }
      : policy,
  )
  return { ...rules, policies }
}
