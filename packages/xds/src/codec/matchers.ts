/** String, header and query predicates ⇄ Envoy's matchers. */
import type { HeaderMatch, QueryMatch, StringMatch } from '@weft/model'
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
  type QueryParameterMatcher,
  QueryParameterMatcherSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.js'
import { type RegexMatcher, RegexMatcherSchema } from '../gen/envoy/type/matcher/v3/regex_pb.js'
import { type StringMatcher, StringMatcherSchema } from '../gen/envoy/type/matcher/v3/string_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import type { Init } from './values.ts'

export function encodeString(match: StringMatch): Init<typeof StringMatcherSchema> {
  if (match.kind === 'regex') return safeRegex(match.value)
  const { kind, value, ignoreCase } = match
  // Envoy rejects an empty prefix, suffix or part; all of them match anything.
  if (value === '' && kind !== 'exact') return safeRegex('(?s).*')
  return { matchPattern: { case: kind, value }, ignoreCase }
}

function safeRegex(regex: string): Init<typeof StringMatcherSchema> {
  return { matchPattern: { case: 'safeRegex', value: { regex } } }
}

const STRING = covers(
  StringMatcherSchema,
  ...['exact', 'prefix', 'suffix', 'contains', 'safe_regex', 'ignore_case'],
)
// The engine is a relic of when there were several; RE2 is the only one.
const REGEX = covers(RegexMatcherSchema, 'regex', 'google_re2')

export function decodeString(
  matcher: StringMatcher | undefined,
  path: string,
  problems: Problems,
): StringMatch {
  if (matcher === undefined) {
    problems.add(path, 'is missing')
    return NEVER
  }
  refuseOthers(STRING, matcher, path, problems)
  const { matchPattern, ignoreCase } = matcher
  switch (matchPattern.case) {
    case 'exact':
    case 'prefix':
    case 'suffix':
    case 'contains':
      return { kind: matchPattern.case, value: matchPattern.value, ignoreCase }
    case 'safeRegex':
      return { kind: 'regex', value: decodeRegex(matchPattern.value, path, problems) }
    case undefined:
      problems.add(path, 'has no match_pattern that is known')
      return NEVER
    default:
      return NEVER
  }
}

export function decodeRegex(matcher: RegexMatcher, path: string, problems: Problems): string {
  refuseOthers(REGEX, matcher, path, problems)
  return matcher.regex
}

/** Stands in while problems are collected; a resource with problems is never used. */
const NEVER: StringMatch = { kind: 'exact', value: '', ignoreCase: false }

export function encodeHeaderMatch(match: HeaderMatch): Init<typeof HeaderMatcherSchema> {
  const { name, value, invert } = match
  if (value.kind === 'present') {
    return {
      name,
      invertMatch: invert,
      headerMatchSpecifier: { case: 'presentMatch', value: true },
    }
  }
  return {
    name,
    invertMatch: invert,
    headerMatchSpecifier: { case: 'stringMatch', value: encodeString(value) },
    // Without it Envoy takes a missing header for "no match", inverted or not.
    treatMissingHeaderAsEmpty: invert,
  }
}

const HEADER = covers(
  HeaderMatcherSchema,
  ...['name', 'exact_match', 'safe_regex_match', 'present_match', 'prefix_match', 'suffix_match'],
  ...['contains_match', 'string_match', 'invert_match', 'treat_missing_header_as_empty'],
)

export function decodeHeaderMatch(
  matcher: HeaderMatcher,
  path: string,
  problems: Problems,
): HeaderMatch {
  refuseOthers(HEADER, matcher, path, problems)
  const name = matcher.name.toLowerCase()
  const specifier = matcher.headerMatchSpecifier
  // A matcher without a predicate is Envoy's way to say "present".
  const present = specifier.case === 'presentMatch' ? specifier.value : specifier.case === undefined
  if (specifier.case === 'presentMatch' || specifier.case === undefined) {
    return { name, value: { kind: 'present' }, invert: matcher.invertMatch === present }
  }
  if (matcher.invertMatch !== matcher.treatMissingHeaderAsEmpty) {
    const field = `${path}.treat_missing_header_as_empty`
    problems.add(field, 'must be equal to invert_match for a predicate on the value')
  }
  const value = decodeHeaderValue(specifier, path, problems)
  return { name, value, invert: matcher.invertMatch }
}

function decodeHeaderValue(
  specifier: HeaderMatcher['headerMatchSpecifier'],
  path: string,
  problems: Problems,
): StringMatch {
  switch (specifier.case) {
    case 'stringMatch':
      return decodeString(specifier.value, `${path}.string_match`, problems)
    case 'safeRegexMatch':
      return { kind: 'regex', value: decodeRegex(specifier.value, path, problems) }
    case 'exactMatch':
      return { kind: 'exact', value: specifier.value, ignoreCase: false }
    case 'prefixMatch':
      return { kind: 'prefix', value: specifier.value, ignoreCase: false }
    case 'suffixMatch':
      return { kind: 'suffix', value: specifier.value, ignoreCase: false }
    case 'containsMatch':
      return { kind: 'contains', value: specifier.value, ignoreCase: false }
    default:
      return NEVER
  }
}

export function encodeQueryMatch(match: QueryMatch): Init<typeof QueryParameterMatcherSchema> {
  const { name, value } = match
  return value.kind === 'present'
    ? { name, queryParameterMatchSpecifier: { case: 'presentMatch', value: true } }
    : {
        name,
        queryParameterMatchSpecifier: { case: 'stringMatch', value: encodeString(value) },
      }
}

const QUERY = covers(QueryParameterMatcherSchema, 'name', 'string_match', 'present_match')

export function decodeQueryMatch(
  matcher: QueryParameterMatcher,
  path: string,
  problems: Problems,
): QueryMatch {
  refuseOthers(QUERY, matcher, path, problems)
  const { name, queryParameterMatchSpecifier: specifier } = matcher
  if (specifier.case === 'stringMatch') {
    const value = decodeString(specifier.value, `${path}.string_match`, problems)
    return { name, value }
  }
  if (specifier.case === 'presentMatch' && !specifier.value) {
    problems.add(`${path}.present_match`, 'false is not supported')
  }
  return { name, value: { kind: 'present' } }
}
