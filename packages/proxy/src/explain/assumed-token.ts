/**
 * Claims as if an issuer had signed them: a key made for the purpose takes the place of every
 * issuer's, and all the rest – issuer, audience, times, where a token may stand – is checked as ever.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { HttpFilterConfig, JwtProvider } from '@weft/model'
import type { ImaginedRequest } from './imagined-call.ts'

type Claims = Readonly<Record<string, unknown>>

const HOUR_SECONDS = 3_600

let ownKey: { readonly jwks: string; readonly key: KeyObject } | undefined

function assumedKey() {
  if (ownKey === undefined) {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const jwks = JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] })
    ownKey = { jwks, key: privateKey }
  }
  return ownKey
}

/** The same filters, believing the assumed key only. */
export function believingClaims(filters: readonly HttpFilterConfig[]): readonly HttpFilterConfig[] {
  const keys = { kind: 'inline', jwks: assumedKey().jwks } as const
  return filters.map((filter) => {
    if (filter.kind !== 'jwtAuthn') return filter
    const { authentication } = filter
    const providers = authentication.providers.map((one) => ({ ...one, keys }))
    return { ...filter, authentication: { ...authentication, providers } }
  })
}

/** The same filters; what would have to be fetched verifies nothing. */
export function withoutRemoteKeys(
  filters: readonly HttpFilterConfig[],
): readonly HttpFilterConfig[] {
  const none = { kind: 'inline', jwks: '' } as const
  return filters.map((filter) => {
    if (filter.kind !== 'jwtAuthn') return filter
    const { authentication } = filter
    const providers = authentication.providers.map((one) =>
      one.keys.kind === 'remote' ? { ...one, keys: none } : one,
    )
    return { ...filter, authentication: { ...authentication, providers } }
  })
}

/**
 * The request with a token that says so. What a token has to have and the claims lack is added:
 * the only issuer that is known here, and an hour to live.
 */
export function withClaims(
  request: ImaginedRequest,
  claims: Claims,
  filters: readonly HttpFilterConfig[],
  nowMs: number,
): ImaginedRequest {
  const providers = providersOf(filters)
  const [first] = providers
  if (first === undefined) return request
  const issuer = claims.iss ?? (first.issuer === '' ? 'anybody' : first.issuer)
  const exp = Math.floor(nowMs / 1_000) + HOUR_SECONDS
  const token = signed({ exp, ...claims, iss: issuer })
  const provider = providers.find((one) => one.issuer === issuer) ?? first
  return withToken(request, token, provider)
}

/** Whether the keys that would verify a token of this issuer are not in the configuration. */
export function hasRemoteKeys(filters: readonly HttpFilterConfig[], issuer: unknown): boolean {
  return providersOf(filters).some(
    (one) => one.keys.kind === 'remote' && (one.issuer === issuer || one.issuer === ''),
  )
}

function providersOf(filters: readonly HttpFilterConfig[]): readonly JwtProvider[] {
  return filters.flatMap((one) => (one.kind === 'jwtAuthn' ? one.authentication.providers : []))
}

function withToken(
  request: ImaginedRequest,
  token: string,
  { from }: JwtProvider,
): ImaginedRequest {
  const [source = { kind: 'header', name: 'authorization', prefix: 'Bearer ' } as const] = from
  switch (source.kind) {
    case 'header':
      return withField(request, source.name, `${source.prefix}${token}`)
    case 'cookie':
      return withField(request, 'cookie', `${source.name}=${token}`)
    case 'query': {
      const sign = request.path.includes('?') ? '&' : '?'
      const pair = `${encodeURIComponent(source.name)}=${token}`
      return { ...request, path: `${request.path}${sign}${pair}` }
    }
  }
}

function withField(request: ImaginedRequest, name: string, value: string): ImaginedRequest {
  const lower = name.toLowerCase()
  const lines = [...(request.fields.get(lower) ?? []), value]
  return { ...request, fields: new Map([...request.fields, [lower, lines]]) }
}

function signed(payload: Claims): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${encode({ alg: 'EdDSA', typ: 'JWT' })}.${encode(payload)}`
  return `${text}.${sign(null, Buffer.from(text), assumedKey().key).toString('base64url')}`
}
