/**
 * RequestAuthentications → whose tokens are believed. All that hold for a workload hold together:
 * a request needs no token, unless a rule says that its own is required, but every token that it
 * brings must be right.
 */
import { parseDurationMs } from '@weft/base'
import type { DocumentOf, JwtRule } from '@weft/config'
import type {
  JwtAuthentication,
  JwtKeySource,
  JwtProvider,
  JwtRequirement,
  JwtTokenSource,
} from '@weft/model'

/** As in Istio. */
const PAYLOAD_KEY = 'payload'
const LISTS = ['permission', 'scope']
const CACHE_MS = 300_000
const TIMEOUT_MS = 5_000
const SKEW_MS = 60_000
const DISCOVERY = '/.well-known/openid-configuration'

interface AuthenticationPlace {
  /** Name of the cluster through which keys of a URI are fetched. */
  keyCluster(uri: string): string
  /** Routes depend on claims here. */
  readonly routesByClaim: boolean
}

/** `undefined`: no token is looked at. */
export function authentication(
  policies: readonly DocumentOf<'RequestAuthentication'>[],
  place: AuthenticationPlace,
): JwtAuthentication | undefined {
  const rules = policies
    .flatMap(({ spec }) => spec.jwtRules ?? [])
    .toSorted((a, b) => compare(a.issuer ?? '', b.issuer ?? ''))
  if (rules.length === 0) return undefined
  const providers = rules.map((rule, index) => provider(rule, `origins-${index}`, place))
  const isRequired = ({ name }: JwtProvider) =>
    rules[Number(name.slice(8))]?.presence === 'REQUIRED'
  const required = providers.filter(isRequired).map(({ name }) => only(name))
  const optional = whatIsThere(providers)
  return {
    // The order of names, as it comes back from the wire.
    providers: providers.toSorted((a, b) => compare(a.name, b.name)),
    requirement: required.length === 0 ? optional : { kind: 'all', of: [...required, optional] },
    named: [],
    bypassCorsPreflight: true,
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function only(name: string): JwtRequirement {
  return { kind: 'provider', name, audiences: [] }
}

/** Every token must be right, by whichever of the providers. */
function whatIsThere(providers: readonly JwtProvider[]): JwtRequirement {
  const issuers = new Set(providers.map(({ issuer }) => issuer))
  const [first, ...more] = providers
  if (first !== undefined && more.length === 0) {
    return { kind: 'any', of: [only(first.name), { kind: 'allowMissing' }] }
  }
  if (issuers.size === providers.length) return { kind: 'allowMissing' }
  // Envoy asks one provider of an issuer only, so that each has to be asked by name.
  const each = providers.map(
    ({ name }): JwtRequirement => ({ kind: 'any', of: [only(name), { kind: 'allowMissing' }] }),
  )
  return {
    kind: 'any',
    of: [...providers.map(({ name }) => only(name)), { kind: 'all', of: each }],
  }
}

function provider(rule: JwtRule, name: string, place: AuthenticationPlace): JwtProvider {
  const { outputPayloadToHeader: payloadHeader = '', spaceDelimitedClaims = [] } = rule
  return {
    name,
    issuer: rule.issuer ?? '',
    audiences: rule.audiences ?? [],
    keys: keys(rule, place),
    from: sources(rule),
    forward: rule.forwardOriginalToken === true,
    claimHeaders: (rule.outputClaimToHeaders ?? []).map(({ header, claim }) => ({
      header: header.toLowerCase(),
      claim,
    })),
    clockSkewMs: SKEW_MS,
    spaceDelimitedClaims: [...new Set([...LISTS, ...spaceDelimitedClaims])].sort(),
    payloadMetadataKey: PAYLOAD_KEY,
    ...(payloadHeader === '' ? {} : { payloadHeader: payloadHeader.toLowerCase() }),
    ...(place.routesByClaim ? { clearRouteCache: true } : {}),
  }
}

function sources(rule: JwtRule): readonly JwtTokenSource[] {
  const { fromHeaders = [], fromParams = [], fromCookies = [] } = rule
  const written: JwtTokenSource[] = [
    ...fromHeaders.map(({ name, prefix = '' }) => ({
      kind: 'header' as const,
      name: name.toLowerCase(),
      prefix,
    })),
    ...fromParams.map((name) => ({ kind: 'query' as const, name })),
    ...fromCookies.map((name) => ({ kind: 'cookie' as const, name })),
  ]
  if (written.length > 0) return written
  return [
    { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
    { kind: 'query', name: 'access_token' },
  ]
}

/** Where the keys are; a rule with neither URI nor keys leaves that to the issuer. */
export function keyUri({ issuer = '', jwksUri, jwks_uri, jwks = '' }: JwtRule): string | undefined {
  const uri = jwksUri ?? jwks_uri
  if (uri !== undefined) return uri
  if (jwks !== '' || !URL.canParse(issuer)) return undefined
  return `${issuer.replace(/\/$/, '')}${DISCOVERY}`
}

function keys(rule: JwtRule, place: AuthenticationPlace): JwtKeySource {
  const uri = keyUri(rule)
  // An empty set verifies nothing: without keys there is no way in (R62).
  if (uri === undefined) return { kind: 'inline', jwks: keySet(rule.jwks ?? '{"keys":[]}') }
  return {
    kind: 'remote',
    uri,
    cluster: place.keyCluster(uri),
    timeoutMs: parseDurationMs(rule.timeout ?? '') ?? TIMEOUT_MS,
    cacheMs: CACHE_MS,
  }
}

/** Istio takes a key alone for a set of one. */
function keySet(text: string): string {
  try {
    const read: unknown = JSON.parse(text)
    const isKey = typeof read === 'object' && read !== null && 'kty' in read
    return isKey ? JSON.stringify({ keys: [read] }) : text
  } catch {
    return '{"keys":[]}'
  }
}
