/** How descriptors come out of a request ⇄ `envoy.config.route.v3.RateLimit`. */
import { parseCidr } from '@weft/base'
import type { RateLimitAction, RateLimitActions } from '@weft/model'
import {
  RateLimit_Action_MetaData_Source as MetadataSource,
  type RateLimit,
  type RateLimit_Action,
  RateLimit_Action_QueryParametersSchema,
  RateLimit_Action_QueryParameterValueMatchSchema,
  type RateLimit_Action_RemoteAddressMatch,
  RateLimit_Action_RemoteAddressMatchSchema,
  RateLimit_Action_RequestHeadersSchema,
  RateLimit_ActionSchema,
  RateLimitSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.js'
import { DescriptorSchema } from '../../gen/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.js'
import { AddressMatcherSchema } from '../../gen/envoy/type/matcher/v3/string_pb.js'
import type { MetadataKey } from '../../gen/envoy/type/metadata/v3/metadata_pb.js'
import type { CidrRangeSchema } from '../../gen/xds/core/v3/cidr_pb.js'
import {
  decodeHeaderMatch,
  decodeQueryMatch,
  encodeHeaderMatch,
  encodeQueryMatch,
} from '../matchers.ts'
import { covers, type Problems, refuseOthers } from '../problems.ts'
import { type Init, packAny, unpackAny } from '../values.ts'
import { decodeHits, encodeHits } from './rate-limit-hits.ts'
import { decodeOverride, encodeOverride } from './rate-limit-override.ts'

/** Envoy has no action of its own for the peer's identity, but an expression that yields it. */
const PRINCIPAL = 'connection.uri_san_peer_certificate'
const PRINCIPAL_KEY = 'source_principal'
const EXPRESSION_EXTENSION = 'envoy.rate_limit_descriptors.expr'
/** `path` and `method` are header actions in Envoy. */
const PSEUDO = { path: ':path', method: ':method' } as const

type ActionInit = NonNullable<Init<typeof RateLimit_ActionSchema>['actionSpecifier']>

export function encodeRateLimits(
  limits: readonly RateLimitActions[],
): Init<typeof RateLimitSchema>[] {
  return limits.map(({ actions, stage, disableKey, hits, limit }) => ({
    actions: actions.map((action) => ({ actionSpecifier: encodeAction(action) })),
    ...(stage === 0 ? {} : { stage }),
    ...(disableKey === undefined ? {} : { disableKey }),
    ...(hits === undefined ? {} : { hitsAddend: encodeHits(hits) }),
    ...(limit === undefined ? {} : { limit: encodeOverride(limit) }),
  }))
}

/** Those of a filter: stages and switches are for what routes say, Envoy refuses them here. */
export function encodeFilterRateLimits(
  limits: readonly RateLimitActions[],
): Init<typeof RateLimitSchema>[] {
  return encodeRateLimits(
    limits.map(({ actions, hits, limit }) => ({
      actions,
      stage: 0,
      ...(hits === undefined ? {} : { hits }),
      ...(limit === undefined ? {} : { limit }),
    })),
  )
}

function encodeAction(action: RateLimitAction): ActionInit {
  switch (action.kind) {
    case 'genericKey': {
      const { key, value } = action
      return { case: 'genericKey', value: { descriptorKey: key, descriptorValue: value } }
    }
    case 'header': {
      const { header: headerName, key: descriptorKey, skipIfAbsent } = action
      return { case: 'requestHeaders', value: { headerName, descriptorKey, skipIfAbsent } }
    }
    case 'query': {
      const { name: queryParameterName, key: descriptorKey, skipIfAbsent } = action
      return { case: 'queryParameters', value: { queryParameterName, descriptorKey, skipIfAbsent } }
    }
    case 'path':
    case 'method':
      return {
        case: 'requestHeaders',
        value: { headerName: PSEUDO[action.kind], descriptorKey: action.kind },
      }
    case 'maskedRemoteAddress': {
      const { v4Bits: v4PrefixMaskLen, v6Bits: v6PrefixMaskLen } = action
      return { case: 'maskedRemoteAddress', value: { v4PrefixMaskLen, v6PrefixMaskLen } }
    }
    case 'remoteAddressMatch': {
      const { key: descriptorKey, value: descriptorValue, ranges, invert: invertMatch } = action
      const addressMatcher = { ranges: ranges.map(encodeRange), invertMatch }
      return {
        case: 'remoteAddressMatch',
        value: { descriptorKey, descriptorValue, addressMatcher },
      }
    }
    case 'sourcePrincipal': {
      const expression = {
        descriptorKey: PRINCIPAL_KEY,
        exprSpecifier: { case: 'text', value: PRINCIPAL },
      } as const
      const typedConfig = packAny(DescriptorSchema, expression)
      return { case: 'extension', value: { name: EXPRESSION_EXTENSION, typedConfig } }
    }
    case 'metadata': {
      const { key: descriptorKey, filter, path, defaultValue = '', skipIfAbsent } = action
      const metadataKey = encodeMetadataKey(filter, path)
      const source = MetadataSource.DYNAMIC
      return {
        case: 'metadata',
        value: { descriptorKey, metadataKey, defaultValue, source, skipIfAbsent },
      }
    }
    case 'headerValueMatch': {
      const { key, value, expectMatch, headers } = action
      return {
        case: 'headerValueMatch',
        value: {
          descriptorKey: key,
          descriptorValue: value,
          expectMatch,
          headers: headers.map(encodeHeaderMatch),
        },
      }
    }
    case 'queryValueMatch': {
      const { key, value, expectMatch, query } = action
      return {
        case: 'queryParameterValueMatch',
        value: {
          descriptorKey: key,
          descriptorValue: value,
          expectMatch,
          queryParameters: query.map(encodeQueryMatch),
        },
      }
    }
    default:
      return { case: action.kind, value: {} }
  }
}

const LIMIT = covers(
  RateLimitSchema,
  ...['stage', 'disable_key', 'actions', 'hits_addend', 'limit'],
)
const ACTION = covers(
  RateLimit_ActionSchema,
  ...['source_cluster', 'destination_cluster', 'request_headers', 'remote_address', 'generic_key'],
  ...['header_value_match', 'extension', 'masked_remote_address', 'query_parameters'],
  ...['query_parameter_value_match', 'metadata', 'dynamic_metadata', 'remote_address_match'],
)
const HEADERS = covers(
  RateLimit_Action_RequestHeadersSchema,
  ...['header_name', 'descriptor_key', 'skip_if_absent'],
)
const QUERY = covers(
  RateLimit_Action_QueryParametersSchema,
  ...['query_parameter_name', 'descriptor_key', 'skip_if_absent'],
)
const ADDRESS = covers(
  RateLimit_Action_RemoteAddressMatchSchema,
  ...['descriptor_value', 'descriptor_key', 'address_matcher'],
)
const ADDRESS_MATCHER = covers(AddressMatcherSchema, 'ranges', 'invert_match')
const QUERY_VALUE = covers(
  RateLimit_Action_QueryParameterValueMatchSchema,
  ...['descriptor_key', 'descriptor_value', 'expect_match', 'query_parameters'],
)

export function decodeRateLimits(
  limits: readonly RateLimit[],
  path: string,
  problems: Problems,
): RateLimitActions[] {
  return limits.map((limit, index) => {
    const at = `${path}[${index}]`
    refuseOthers(LIMIT, limit, at, problems)
    return {
      actions: limit.actions.flatMap((action, i) =>
        decodeAction(action, `${at}.actions[${i}]`, problems),
      ),
      stage: limit.stage ?? 0,
      ...(limit.disableKey === '' ? {} : { disableKey: limit.disableKey }),
      ...decodeHits(limit.hitsAddend, `${at}.hits_addend`, problems),
      ...decodeOverride(limit.limit, `${at}.limit`, problems),
    }
  })
}

/** Those of a filter, as Envoy takes them: see `encodeFilterRateLimits`. */
export function decodeFilterRateLimits(
  limits: readonly RateLimit[],
  path: string,
  problems: Problems,
): RateLimitActions[] {
  const decoded = decodeRateLimits(limits, path, problems)
  for (const [index, { stage, disableKey }] of decoded.entries()) {
    if (stage === 0 && disableKey === undefined) continue
    problems.add(`${path}[${index}]`, 'stage and disable_key are not supported in a filter')
  }
  return decoded
}

function decodeAction(
  proto: RateLimit_Action,
  path: string,
  problems: Problems,
): RateLimitAction[] {
  refuseOthers(ACTION, proto, path, problems)
  const { actionSpecifier: action } = proto
  switch (action.case) {
    case 'sourceCluster':
    case 'destinationCluster':
    case 'remoteAddress':
      return [{ kind: action.case }]
    case 'requestHeaders':
      refuseOthers(HEADERS, action.value, `${path}.request_headers`, problems)
      return [decodeHeaderAction(action.value)]
    case 'genericKey': {
      const { descriptorKey, descriptorValue: value } = action.value
      return [{ kind: 'genericKey', key: descriptorKey || 'generic_key', value }]
    }
    case 'queryParameters': {
      refuseOthers(QUERY, action.value, `${path}.query_parameters`, problems)
      const { queryParameterName: name, descriptorKey: key, skipIfAbsent } = action.value
      return [{ kind: 'query', name, key, skipIfAbsent }]
    }
    case 'metadata':
      if (action.value.source !== MetadataSource.DYNAMIC) {
        problems.add(`${path}.metadata.source`, 'only DYNAMIC is supported')
      }
      return decodeMetadataAction(action.value, `${path}.metadata`, problems)
    case 'dynamicMetadata':
      return decodeMetadataAction(action.value, `${path}.dynamic_metadata`, problems)
    case 'maskedRemoteAddress': {
      const { v4PrefixMaskLen, v6PrefixMaskLen } = action.value
      const v4Bits = v4PrefixMaskLen ?? 32
      return [{ kind: 'maskedRemoteAddress', v4Bits, v6Bits: v6PrefixMaskLen ?? 128 }]
    }
    case 'remoteAddressMatch':
      return [decodeAddressMatch(action.value, `${path}.remote_address_match`, problems)]
    case 'headerValueMatch': {
      const { descriptorKey, descriptorValue: value, expectMatch, headers } = action.value
      return [
        {
          kind: 'headerValueMatch',
          key: descriptorKey || 'header_match',
          value,
          expectMatch: expectMatch ?? true,
          headers: headers.map((header, index) =>
            decodeHeaderMatch(header, `${path}.header_value_match.headers[${index}]`, problems),
          ),
        },
      ]
    }
    case 'queryParameterValueMatch': {
      const at = `${path}.query_parameter_value_match`
      refuseOthers(QUERY_VALUE, action.value, at, problems)
      const { descriptorKey, descriptorValue: value, expectMatch, queryParameters } = action.value
      return [
        {
          kind: 'queryValueMatch',
          key: descriptorKey || 'query_match',
          value,
          expectMatch: expectMatch ?? true,
          query: queryParameters.map((query, index) =>
            decodeQueryMatch(query, `${at}.query_parameters[${index}]`, problems),
          ),
        },
      ]
    }
    case 'extension': {
      const expression = unpackAny(action.value.typedConfig, DescriptorSchema)
      const text = expression?.exprSpecifier.case === 'text' ? expression.exprSpecifier.value : ''
      if (text === PRINCIPAL && expression?.descriptorKey === PRINCIPAL_KEY) {
        return [{ kind: 'sourcePrincipal' }]
      }
      problems.add(`${path}.extension`, `only the expression ${PRINCIPAL} is supported`)
      return []
    }
    case undefined:
      problems.add(path, 'has no action that is known')
      return []
    default:
      return []
  }
}

function decodeHeaderAction(value: {
  readonly headerName: string
  readonly descriptorKey: string
  readonly skipIfAbsent: boolean
}): RateLimitAction {
  const { headerName, descriptorKey: key, skipIfAbsent } = value
  const header = headerName.toLowerCase()
  if (!skipIfAbsent && header === PSEUDO.path && key === 'path') return { kind: 'path' }
  if (!skipIfAbsent && header === PSEUDO.method && key === 'method') return { kind: 'method' }
  return { kind: 'header', header, key, skipIfAbsent }
}

function decodeMetadataAction(
  value: {
    readonly descriptorKey: string
    readonly metadataKey?: MetadataKey | undefined
    readonly defaultValue: string
    readonly skipIfAbsent?: boolean
  },
  path: string,
  problems: Problems,
): RateLimitAction[] {
  const { descriptorKey: key, metadataKey, defaultValue, skipIfAbsent = false } = value
  const steps = metadataKey?.path.flatMap(({ segment }) => segment.value ?? []) ?? []
  if (metadataKey === undefined || steps.length === 0) {
    problems.add(`${path}.metadata_key`, 'needs a key and a path')
    return []
  }
  const { key: filter } = metadataKey
  const other = defaultValue === '' ? {} : { defaultValue }
  return [{ kind: 'metadata', key, filter, path: steps, ...other, skipIfAbsent }]
}

function encodeMetadataKey(filter: string, path: readonly string[]) {
  return {
    key: filter,
    path: path.map((key) => ({ segment: { case: 'key', value: key } as const })),
  }
}

function encodeRange(range: string): Init<typeof CidrRangeSchema> {
  const [addressPrefix = '', bits] = range.split('/')
  return { addressPrefix, prefixLen: Number(bits) }
}

function decodeAddressMatch(
  proto: RateLimit_Action_RemoteAddressMatch,
  path: string,
  problems: Problems,
): RateLimitAction {
  refuseOthers(ADDRESS, proto, path, problems)
  const { descriptorKey, descriptorValue: value, addressMatcher } = proto
  if (addressMatcher !== undefined) {
    refuseOthers(ADDRESS_MATCHER, addressMatcher, `${path}.address_matcher`, problems)
  }
  if (value.includes('%')) problems.add(`${path}.descriptor_value`, 'must have no command operator')
  const ranges = (addressMatcher?.ranges ?? []).map(
    ({ addressPrefix, prefixLen }) => `${addressPrefix}/${prefixLen ?? 0}`,
  )
  if (ranges.length === 0) problems.add(`${path}.address_matcher.ranges`, 'needs at least one')
  for (const [index, range] of ranges.entries()) {
    if (parseCidr(range) !== undefined) continue
    problems.add(`${path}.address_matcher.ranges[${index}]`, `${range} is no range of addresses`)
  }
  return {
    kind: 'remoteAddressMatch',
    key: descriptorKey || 'remote_address_match',
    value,
    ranges,
    invert: addressMatcher?.invertMatch ?? false,
  }
}
