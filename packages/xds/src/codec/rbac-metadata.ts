/** What earlier filters left behind, tokens above all ⇄ Envoy's `MetadataMatcher`. */
import type { ClaimPredicate, MetadataPredicate, MetadataValue, StringMatch } from '@weft/model'
import {
  type MetadataMatcher,
  MetadataMatcher_PathSegmentSchema,
  MetadataMatcherSchema,
} from '../gen/envoy/type/matcher/v3/metadata_pb.js'
import {
  ListMatcherSchema,
  OrMatcherSchema,
  type ValueMatcher,
  ValueMatcherSchema,
} from '../gen/envoy/type/matcher/v3/value_pb.js'
import { decodeString, encodeString } from './matchers.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import type { Init } from './values.ts'

/** Where Istio and we have tokens put their payload. */
const JWT_FILTER = 'envoy.filters.http.jwt_authn'
const PAYLOAD = 'payload'

export function encodeMetadataMatch({
  filter,
  path,
  value,
}: MetadataPredicate): Init<typeof MetadataMatcherSchema> {
  return {
    filter,
    path: path.map((key) => ({ segment: { case: 'key', value: key } })),
    value: encodeValue(value),
  }
}

/** A claim may be one text or a list of them. */
export function encodeClaim({
  path,
  value,
}: Omit<ClaimPredicate, 'issuer'>): Init<typeof MetadataMatcherSchema> {
  return encodeMetadataMatch({
    kind: 'metadata',
    filter: JWT_FILTER,
    path: [PAYLOAD, ...path],
    value: value.kind === 'present' ? value : eitherForm(value),
  })
}

function eitherForm(match: StringMatch): MetadataValue {
  return {
    kind: 'oneOf',
    of: [
      { kind: 'text', match },
      { kind: 'listed', match },
    ],
  }
}

function encodeValue(value: MetadataValue): Init<typeof ValueMatcherSchema> {
  switch (value.kind) {
    case 'present':
      return { matchPattern: { case: 'presentMatch', value: true } }
    case 'text':
      return { matchPattern: { case: 'stringMatch', value: encodeString(value.match) } }
    case 'listed': {
      const one = encodeValue({ kind: 'text', match: value.match })
      return {
        matchPattern: { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: one } } },
      }
    }
    case 'oneOf':
      return {
        matchPattern: { case: 'orMatch', value: { valueMatchers: value.of.map(encodeValue) } },
      }
  }
}

const METADATA = covers(MetadataMatcherSchema, 'filter', 'path', 'value')
const SEGMENT = covers(MetadataMatcher_PathSegmentSchema, 'key')

export function decodeMetadataMatch(
  proto: MetadataMatcher,
  path: string,
  problems: Problems,
): MetadataPredicate | ClaimPredicate {
  refuseOthers(METADATA, proto, path, problems)
  const keys = proto.path.map((part, index) => {
    refuseOthers(SEGMENT, part, `${path}.path[${index}]`, problems)
    if (part.segment.case !== 'key') problems.add(`${path}.path[${index}]`, 'has no key')
    return part.segment.value ?? ''
  })
  const value = decodeValue(proto.value, `${path}.value`, problems)
  if (proto.filter === '' || keys.length === 0) problems.add(path, 'names no filter or no path')
  const [first, ...rest] = keys
  const claimed = proto.filter === JWT_FILTER && first === PAYLOAD ? claimValue(value) : undefined
  return claimed === undefined || rest.length === 0
    ? { kind: 'metadata', filter: proto.filter, path: keys, value }
    : { kind: 'claim', path: rest, value: claimed }
}

function claimValue(value: MetadataValue): ClaimPredicate['value'] | undefined {
  if (value.kind === 'present') return value
  if (value.kind !== 'oneOf') return undefined
  const [text, listed, more] = value.of
  const isEither =
    text?.kind === 'text' &&
    listed?.kind === 'listed' &&
    more === undefined &&
    JSON.stringify(text.match) === JSON.stringify(listed.match)
  return isEither ? text.match : undefined
}

const VALUE = covers(
  ValueMatcherSchema,
  ...['string_match', 'present_match', 'list_match', 'or_match'],
)
const LIST = covers(ListMatcherSchema, 'one_of')
const OR = covers(OrMatcherSchema, 'value_matchers')

function decodeValue(
  proto: ValueMatcher | undefined,
  path: string,
  problems: Problems,
): MetadataValue {
  if (proto === undefined) {
    problems.add(path, 'is missing')
    return { kind: 'present' }
  }
  refuseOthers(VALUE, proto, path, problems)
  const { matchPattern } = proto
  switch (matchPattern.case) {
    case 'stringMatch':
      return { kind: 'text', match: decodeString(matchPattern.value, path, problems) }
    case 'presentMatch':
      if (!matchPattern.value) problems.add(`${path}.present_match`, 'false is not supported')
      return { kind: 'present' }
    case 'listMatch': {
      refuseOthers(LIST, matchPattern.value, `${path}.list_match`, problems)
      const inner = matchPattern.value.matchPattern
      const one =
        inner.case === 'oneOf'
          ? decodeValue(inner.value, `${path}.list_match.one_of`, problems)
          : undefined
      if (one?.kind === 'text') return { kind: 'listed', match: one.match }
      problems.add(`${path}.list_match`, 'only one_of with a text is supported')
      return { kind: 'present' }
    }
    case 'orMatch':
      refuseOthers(OR, matchPattern.value, `${path}.or_match`, problems)
      return {
        kind: 'oneOf',
        of: matchPattern.value.valueMatchers.map((one, index) =>
          decodeValue(one, `${path}.or_match.value_matchers[${index}]`, problems),
        ),
      }
    default:
      problems.add(path, 'has no match pattern that is known')
      return { kind: 'present' }
  }
}
