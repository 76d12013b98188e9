/** Random settings of the filters that know who calls, within what the model allows. */
import type {
  AuthorizationService,
  ExternalAuthorization,
  HttpFilterConfig,
  JwtAuthentication,
  JwtProvider,
  JwtRequirement,
} from '@weft/model'
import fc from 'fast-check'
import { type Arb, positiveMs, stringMatch, word } from './arbitrary-values.ts'

const key = word.map((name) => `k-${name}`)
const flag = fc.boolean()
const status = fc.constantFrom(400, 401, 403, 500, 503)
const fewMatches = fc.array(stringMatch, { maxLength: 2 })
/** Of RFC 7517, appendix A.1. */
const JWKS =
  '{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","kid":"1"}]}'

const keys: Arb<JwtProvider['keys']> = fc.oneof(
  fc.constant({ kind: 'inline' as const, jwks: JWKS }),
  fc.record({
    kind: fc.constant('remote' as const),
    uri: word.map((name) => `https://idp.example/${name}`),
    cluster: key,
    timeoutMs: positiveMs,
    cacheMs: positiveMs.map((ms) => ms + 1_000),
  }),
)

/** Envoy has one list per kind. */
const sources = fc
  .tuple(
    fc.array(fc.record({ kind: fc.constant('header' as const), name: key, prefix: word }), {
      maxLength: 2,
    }),
    fc.array(fc.record({ kind: fc.constant('query' as const), name: key }), { maxLength: 2 }),
    fc.array(fc.record({ kind: fc.constant('cookie' as const), name: key }), { maxLength: 2 }),
  )
  .map((lists) => lists.flat())
  .filter((all) => all.length > 0)

const provider: Arb<JwtProvider> = fc.record(
  {
    name: key,
    issuer: word.map((name) => `https://${name}.example`),
    audiences: fc.array(key, { maxLength: 2 }),
    keys,
    from: sources,
    forward: flag,
    payloadHeader: key,
    claimHeaders: fc.array(fc.record({ header: key, claim: key }), { maxLength: 2 }),
    // Envoy counts seconds and takes none for its own default.
    clockSkewMs: fc.integer({ min: 1, max: 60 }).map((seconds) => seconds * 1_000),
    spaceDelimitedClaims: fc.array(key, { maxLength: 2 }),
    payloadMetadataKey: key,
    clearRouteCache: fc.constant(true as const),
  },
  {
    requiredKeys: [
      ...(['name', 'issuer', 'audiences', 'keys', 'from', 'forward'] as const),
      ...(['claimHeaders', 'clockSkewMs', 'spaceDelimitedClaims'] as const),
    ],
  },
)

function requirement(names: readonly string[], depth: number): Arb<JwtRequirement> {
  const leaf: Arb<JwtRequirement> = fc.oneof(
    fc.record({
      kind: fc.constant('provider' as const),
      name: fc.constantFrom(...names),
      audiences: fc.array(key, { maxLength: 2 }),
    }),
    fc.constantFrom({ kind: 'allowMissing' as const }, { kind: 'allowMissingOrFailed' as const }),
  )
  if (depth === 0) return leaf
  return fc.oneof(
    leaf,
    fc.record({
      kind: fc.constantFrom('any' as const, 'all' as const),
      of: fc.array(requirement(names, depth - 1), { minLength: 2, maxLength: 3 }),
    }),
  )
}

const authentication: Arb<JwtAuthentication> = fc
  .uniqueArray(provider, { minLength: 1, maxLength: 3, selector: ({ name }) => name })
  .chain((unsorted) => {
    const providers = unsorted.toSorted((a, b) => (a.name < b.name ? -1 : 1))
    const one = requirement(
      providers.map(({ name }) => name),
      2,
    )
    const named = fc
      .uniqueArray(fc.record({ name: key, requirement: one }), {
        maxLength: 2,
        selector: ({ name }) => name,
      })
      .map((all) => all.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
    return fc.record(
      {
        providers: fc.constant(providers),
        requirement: one,
        named,
        bypassCorsPreflight: flag,
        hideReasons: fc.constant(true as const),
      },
      { requiredKeys: ['providers', 'named', 'bypassCorsPreflight'] },
    )
  })

const service: Arb<AuthorizationService> = fc.oneof(
  fc.record(
    { kind: fc.constant('grpc' as const), cluster: key, authority: key },
    { requiredKeys: ['kind', 'cluster'] },
  ),
  fc.record({
    kind: fc.constant('http' as const),
    cluster: key,
    uri: word.map((name) => `http://${name}.example`),
    pathPrefix: fc.constantFrom('', '/check'),
    extraHeaders: fc.array(fc.record({ name: key, value: word }), { maxLength: 2 }),
    upstreamHeaders: fewMatches,
    appendedUpstreamHeaders: fewMatches,
    clientHeaders: fewMatches,
    clientHeadersOnSuccess: fewMatches,
  }),
)

const authorization: Arb<ExternalAuthorization> = fc.record(
  {
    service,
    timeoutMs: positiveMs,
    failureModeAllow: flag,
    failureModeHeader: flag,
    statusOnError: status,
    requestBody: fc.record({
      maxBytes: fc.integer({ min: 1, max: 100_000 }),
      allowPartial: flag,
      asBytes: flag,
    }),
    // An empty list is none to Envoy, which has no word for it.
    requestHeaders: fewMatches.filter(({ length }) => length > 0),
    hiddenRequestHeaders: fewMatches,
    includePeerCertificate: flag,
    metadataNamespaces: fc.array(key, { maxLength: 2 }),
    clearRouteCache: flag,
    condition: fc.record({
      filter: key,
      path: fc.array(key, { minLength: 1, maxLength: 2 }),
      value: stringMatch,
      invert: flag,
    }),
  },
  {
    requiredKeys: [
      ...(['service', 'timeoutMs', 'failureModeAllow', 'failureModeHeader'] as const),
      ...(['statusOnError', 'hiddenRequestHeaders', 'includePeerCertificate'] as const),
      ...(['metadataNamespaces', 'clearRouteCache'] as const),
    ],
  },
)

export const jwtAuthn: Arb<HttpFilterConfig> = fc.record({
  kind: fc.constant('jwtAuthn' as const),
  authentication,
})

export const extAuthz: Arb<HttpFilterConfig> = fc.record({
  kind: fc.constant('extAuthz' as const),
  authorization,
})
