/**
 * What tokens a request must have ⇄ Envoy's `JwtRequirement` and the rules that lead to one. One
 * requirement holds for all requests: rules for single paths are refused, as leaving one out would
 * let requests pass (R54).
 */
import type { JwtRequirement } from '@weft/model'
import { RouteMatchSchema } from '../../gen/envoy/config/route/v3/route_components_pb.js'
import {
  type JwtRequirement as JwtRequirementProto,
  JwtRequirementSchema,
  ProviderWithAudiencesSchema,
  type RequirementRule,
  RequirementRuleSchema,
} from '../../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js'
import { covers, type Problems, refuseOthers } from '../problems.ts'
import type { Init } from '../values.ts'

const REQUIREMENT = covers(
  JwtRequirementSchema,
  ...['provider_name', 'provider_and_audiences', 'requires_any', 'requires_all'],
  ...['allow_missing_or_failed', 'allow_missing'],
)
const WITH_AUDIENCES = covers(ProviderWithAudiencesSchema, 'provider_name', 'audiences')
const RULE = covers(RequirementRuleSchema, 'match', 'requires', 'requirement_name')
const EVERYTHING = covers(RouteMatchSchema, 'prefix')

export function encodeRequirement(requirement: JwtRequirement): Init<typeof JwtRequirementSchema> {
  switch (requirement.kind) {
    case 'provider': {
      const { name, audiences } = requirement
      if (audiences.length === 0) return { requiresType: { case: 'providerName', value: name } }
      const value = { providerName: name, audiences: [...audiences] }
      return { requiresType: { case: 'providerAndAudiences', value } }
    }
    case 'any':
      return { requiresType: { case: 'requiresAny', value: listOf(requirement.of) } }
    case 'all':
      return { requiresType: { case: 'requiresAll', value: listOf(requirement.of) } }
    case 'allowMissing':
      return { requiresType: { case: 'allowMissing', value: {} } }
    case 'allowMissingOrFailed':
      return { requiresType: { case: 'allowMissingOrFailed', value: {} } }
  }
}

function listOf(requirements: readonly JwtRequirement[]) {
  return { requirements: requirements.map(encodeRequirement) }
}

/** Refuses everything; it stands in while problems are collected. */
const NEVER: JwtRequirement = { kind: 'any', of: [] }

/** @param providers Names that there are. */
export function decodeRequirement(
  proto: JwtRequirementProto,
  providers: readonly string[],
  path: string,
  problems: Problems,
): JwtRequirement {
  refuseOthers(REQUIREMENT, proto, path, problems)
  const { requiresType: type } = proto
  const provider = (name: string, audiences: readonly string[]): JwtRequirement => {
    if (!providers.includes(name)) problems.add(path, `there is no provider ${name}`)
    return { kind: 'provider', name, audiences }
  }
  const list = (requirements: readonly JwtRequirementProto[]): readonly JwtRequirement[] => {
    if (requirements.length === 0) problems.add(path, 'must have at least one requirement')
    return requirements.map((one, index) =>
      decodeRequirement(one, providers, `${path}.requirements[${index}]`, problems),
    )
  }
  switch (type.case) {
    case 'providerName':
      return provider(type.value, [])
    case 'providerAndAudiences':
      refuseOthers(WITH_AUDIENCES, type.value, path, problems)
      return provider(type.value.providerName, type.value.audiences)
    case 'requiresAny':
      return { kind: 'any', of: list(type.value.requirements) }
    case 'requiresAll':
      return { kind: 'all', of: list(type.value.requirements) }
    case 'allowMissing':
      return { kind: 'allowMissing' }
    case 'allowMissingOrFailed':
      return { kind: 'allowMissingOrFailed' }
    case undefined:
      problems.add(path, 'says nothing that is known')
      return NEVER
  }
}

interface NamedRequirement {
  readonly name: string
  readonly requirement: JwtRequirement
}

/** `undefined`: nothing is asked for. */
export function decodeRules(
  rules: readonly RequirementRule[],
  providers: readonly string[],
  named: readonly NamedRequirement[],
  path: string,
  problems: Problems,
): JwtRequirement | undefined {
  const [rule] = rules
  if (rule === undefined) return undefined
  const at = `${path}[0]`
  if (rules.length > 1) problems.add(`${path}[1]`, 'only one rule, for the prefix /, is supported')
  refuseOthers(RULE, rule, at, problems)
  const { match, requirementType: type } = rule
  if (match !== undefined) refuseOthers(EVERYTHING, match, `${at}.match`, problems)
  if (match?.pathSpecifier.case !== 'prefix' || match.pathSpecifier.value !== '/') {
    problems.add(`${at}.match`, 'only the prefix / is supported')
  }
  if (type.case === undefined) return undefined
  if (type.case === 'requires') {
    return decodeRequirement(type.value, providers, `${at}.requires`, problems)
  }
  const found = named.find(({ name }) => name === type.value)
  if (found === undefined) problems.add(`${at}.requirement_name`, `${type.value} is not in the map`)
  return found?.requirement ?? NEVER
}
