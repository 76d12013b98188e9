/** Tokens of end users ⇄ `envoy.filters.http.jwt_authn`. What must hold is in `jwt-requirement.ts`. */
import type { JwtAuthentication, JwtKeySource, JwtProvider, JwtTokenSource } from '@weft/model'
import { DataSourceSchema } from '../../gen/envoy/config/core/v3/base_pb.js'
import { HttpUriSchema } from '../../gen/envoy/config/core/v3/http_uri_pb.js'
import {
  JwtAuthenticationSchema,
  JwtClaimToHeaderSchema,
  JwtHeaderSchema,
  JwtProvider_NormalizePayloadSchema,
  type JwtProvider as JwtProviderProto,
  JwtProviderSchema,
  PerRouteConfigSchema,
  RemoteJwksSchema,
} from '../../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js'
import { covers, type Problems, refuseOthers } from '../problems.ts'
import { decodeDuration, encodeDuration, type Init, packAny, unpackAny } from '../values.ts'
import { type HttpFilterCodec, refuseDisabled } from './filter-codec.ts'
import { decodeRequirement, decodeRules, encodeRequirement } from './jwt-requirement.ts'

const AUTHENTICATION = covers(
  JwtAuthenticationSchema,
  ...['providers', 'rules', 'bypass_cors_preflight', 'requirement_map', 'strip_failure_response'],
)
const PROVIDER = covers(
  JwtProviderSchema,
  ...['issuer', 'audiences', 'remote_jwks', 'local_jwks', 'forward', 'from_headers', 'from_params'],
  ...['from_cookies', 'forward_payload_header', 'payload_in_metadata', 'clock_skew_seconds'],
  ...['normalize_payload_in_metadata', 'claim_to_headers', 'clear_route_cache'],
  // Weft always remembers answers, and always asks for an end of validity.
  ...['jwt_cache_config', 'require_expiration'],
)
const NORMALIZE = covers(JwtProvider_NormalizePayloadSchema, 'space_delimited_claims')
// When a set is fetched and how often that is tried again is the fetcher's matter.
const REMOTE = covers(RemoteJwksSchema, 'http_uri', 'cache_duration', 'async_fetch', 'retry_policy')
const HTTP_URI = covers(HttpUriSchema, 'uri', 'cluster', 'timeout')
const DATA_SOURCE = covers(DataSourceSchema, 'inline_string', 'inline_bytes')
const HEADER = covers(JwtHeaderSchema, 'name', 'value_prefix')
const CLAIM = covers(JwtClaimToHeaderSchema, 'header_name', 'claim_name')
const PER_ROUTE = covers(PerRouteConfigSchema, 'disabled', 'requirement_name')

const DEFAULT_SKEW_SECONDS = 60
const MAX_SKEW_SECONDS = 60
const DEFAULT_CACHE_MS = 600_000
const DEFAULT_TIMEOUT_MS = 1_000
/** Where Envoy looks when it is not told where. */
const DEFAULT_SOURCES: readonly JwtTokenSource[] = [
  { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
  { kind: 'query', name: 'access_token' },
]

export const jwtAuthn: HttpFilterCodec<'jwtAuthn'> = {
  name: 'envoy.filters.http.jwt_authn',

  encode({ authentication }) {
    const { providers, requirement, named, bypassCorsPreflight, hideReasons } = authentication
    const match = { pathSpecifier: { case: 'prefix' as const, value: '/' } }
    const value = packAny(JwtAuthenticationSchema, {
      providers: Object.fromEntries(
        providers.map((provider) => [provider.name, encodeProvider(provider)]),
      ),
      rules:
        requirement === undefined
          ? []
          : [
              {
                match,
                requirementType: { case: 'requires', value: encodeRequirement(requirement) },
              },
            ],
      requirementMap: Object.fromEntries(
        named.map((one) => [one.name, encodeRequirement(one.requirement)]),
      ),
      bypassCorsPreflight,
      stripFailureResponse: hideReasons === true,
    })
    return [{ value }]
  },

  decode(any, disabled, path, problems) {
    const proto = unpackAny(any, JwtAuthenticationSchema)
    if (proto === undefined) return undefined
    refuseDisabled(disabled, path, problems)
    refuseOthers(AUTHENTICATION, proto, path, problems)
    const providers = Object.entries(proto.providers).map(([name, provider]) =>
      decodeProvider(name, provider, `${path}.providers[${name}]`, problems),
    )
    const names = providers.map(({ name }) => name)
    const named = Object.entries(proto.requirementMap).map(([name, requirement]) => {
      const at = `${path}.requirement_map[${name}]`
      return { name, requirement: decodeRequirement(requirement, names, at, problems) }
    })
    const requirement = decodeRules(proto.rules, names, named, `${path}.rules`, problems)
    const authentication: JwtAuthentication = {
      providers: providers.sort(byName),
      named: named.sort(byName),
      bypassCorsPreflight: proto.bypassCorsPreflight,
      ...(requirement === undefined ? {} : { requirement }),
      ...(proto.stripFailureResponse ? { hideReasons: true } : {}),
    }
    return { kind: 'jwtAuthn', authentication }
  },

  encodeOverride({ jwtRequirement }) {
    if (jwtRequirement === undefined) return undefined
    const requirementSpecifier = { case: 'requirementName', value: jwtRequirement } as const
    return packAny(PerRouteConfigSchema, { requirementSpecifier })
  },

  decodeOverride(any, path, problems) {
    const proto = unpackAny(any, PerRouteConfigSchema)
    if (proto === undefined) return undefined
    refuseOthers(PER_ROUTE, proto, path, problems)
    const { requirementSpecifier: specifier } = proto
    if (specifier.case === 'disabled') return { disabled: ['jwtAuthn'] }
    return specifier.case === undefined ? {} : { jwtRequirement: specifier.value }
  },
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1
}

function encodeProvider(provider: JwtProvider): Init<typeof JwtProviderSchema> {
  const { from, keys, payloadHeader, claimHeaders, payloadMetadataKey } = provider
  return {
    issuer: provider.issuer,
    audiences: [...provider.audiences],
    jwksSourceSpecifier: encodeKeys(keys),
    forward: provider.forward,
    fromHeaders: from.flatMap((source) =>
      source.kind === 'header' ? [{ name: source.name, valuePrefix: source.prefix }] : [],
    ),
    fromParams: from.flatMap((source) => (source.kind === 'query' ? [source.name] : [])),
    fromCookies: from.flatMap((source) => (source.kind === 'cookie' ? [source.name] : [])),
    clockSkewSeconds: Math.ceil(provider.clockSkewMs / 1_000),
    claimToHeaders: claimHeaders.map(({ header, claim }) => ({
      headerName: header,
      claimName: claim,
    })),
    clearRouteCache: provider.clearRouteCache === true,
    normalizePayloadInMetadata: { spaceDelimitedClaims: [...provider.spaceDelimitedClaims] },
    ...(payloadHeader === undefined ? {} : { forwardPayloadHeader: payloadHeader }),
    ...(payloadMetadataKey === undefined ? {} : { payloadInMetadata: payloadMetadataKey }),
  }
}

function encodeKeys(keys: JwtKeySource) {
  if (keys.kind === 'inline') {
    const value = { specifier: { case: 'inlineString', value: keys.jwks } } as const
    return { case: 'localJwks', value } as const
  }
  const httpUri = {
    uri: keys.uri,
    httpUpstreamType: { case: 'cluster', value: keys.cluster },
    timeout: encodeDuration(keys.timeoutMs),
  } as const
  const value = { httpUri, cacheDuration: encodeDuration(keys.cacheMs) }
  return { case: 'remoteJwks', value } as const
}

function decodeProvider(
  name: string,
  proto: JwtProviderProto,
  path: string,
  problems: Problems,
): JwtProvider {
  refuseOthers(PROVIDER, proto, path, problems)
  const skew = proto.clockSkewSeconds === 0 ? DEFAULT_SKEW_SECONDS : proto.clockSkewSeconds
  if (skew > MAX_SKEW_SECONDS) {
    problems.add(`${path}.clock_skew_seconds`, `must be at most ${MAX_SKEW_SECONDS}`)
  }
  const normalize = proto.normalizePayloadInMetadata
  if (normalize !== undefined) {
    refuseOthers(NORMALIZE, normalize, `${path}.normalize_payload_in_metadata`, problems)
  }
  for (const claim of proto.claimToHeaders) {
    refuseOthers(CLAIM, claim, `${path}.claim_to_headers`, problems)
  }
  return {
    name,
    issuer: proto.issuer,
    audiences: proto.audiences,
    keys: decodeKeys(proto, path, problems),
    from: decodeSources(proto, path, problems),
    forward: proto.forward,
    claimHeaders: proto.claimToHeaders.map(({ headerName, claimName }) => ({
      header: headerName.toLowerCase(),
      claim: claimName,
    })),
    clockSkewMs: skew * 1_000,
    spaceDelimitedClaims: normalize?.spaceDelimitedClaims ?? [],
    ...(proto.forwardPayloadHeader === ''
      ? {}
      : { payloadHeader: proto.forwardPayloadHeader.toLowerCase() }),
    ...(proto.payloadInMetadata === '' ? {} : { payloadMetadataKey: proto.payloadInMetadata }),
    ...(proto.clearRouteCache ? { clearRouteCache: true } : {}),
  }
}

function decodeSources(
  proto: JwtProviderProto,
  path: string,
  problems: Problems,
): readonly JwtTokenSource[] {
  const sources: JwtTokenSource[] = [
    ...proto.fromHeaders.map((header) => {
      refuseOthers(HEADER, header, `${path}.from_headers`, problems)
      const { name, valuePrefix: prefix } = header
      return { kind: 'header' as const, name: name.toLowerCase(), prefix }
    }),
    ...proto.fromParams.map((name) => ({ kind: 'query' as const, name })),
    ...proto.fromCookies.map((name) => ({ kind: 'cookie' as const, name })),
  ]
  return sources.length === 0 ? DEFAULT_SOURCES : sources
}

function decodeKeys(proto: JwtProviderProto, path: string, problems: Problems): JwtKeySource {
  const source = proto.jwksSourceSpecifier
  if (source.case === 'localJwks') {
    refuseOthers(DATA_SOURCE, source.value, `${path}.local_jwks`, problems)
    const { specifier } = source.value
    if (specifier.case === 'inlineString') return { kind: 'inline', jwks: specifier.value }
    if (specifier.case === 'inlineBytes') {
      return { kind: 'inline', jwks: Buffer.from(specifier.value).toString('utf8') }
    }
    problems.add(`${path}.local_jwks`, 'only inline_string and inline_bytes are supported')
    return { kind: 'inline', jwks: '' }
  }
  if (source.case === undefined) {
    problems.add(path, 'neither remote_jwks nor local_jwks is set')
    return { kind: 'inline', jwks: '' }
  }
  refuseOthers(REMOTE, source.value, `${path}.remote_jwks`, problems)
  const { httpUri, cacheDuration } = source.value
  if (httpUri === undefined) problems.add(`${path}.remote_jwks.http_uri`, 'is missing')
  else refuseOthers(HTTP_URI, httpUri, `${path}.remote_jwks.http_uri`, problems)
  return {
    kind: 'remote',
    uri: httpUri?.uri ?? '',
    cluster: httpUri?.httpUpstreamType.value ?? '',
    timeoutMs: decodeDuration(httpUri?.timeout, DEFAULT_TIMEOUT_MS),
    cacheMs: decodeDuration(cacheDuration, DEFAULT_CACHE_MS),
  }
}
