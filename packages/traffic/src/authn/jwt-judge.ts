/**
 * Tokens of end users (Envoy's jwt_authn filter) for every data plane: what a request must show,
 * what is known of it then, and how its head goes on. Fields that carry claims are the filter's
 * alone: what a client writes into them is removed before anything is looked at.
 */
import type { JwtAuthentication, JwtProvider, JwtRequirement, RequestView } from '@weft/model'
import type { VerifiedToken } from '../authz/caller.ts'
import { type FieldChanges, isFieldValue } from '../headers/field-changes.ts'
import { type Problem, type ProviderVerifier, problemText } from './provider-verifier.ts'
import { type TokenCall, without } from './token-places.ts'
import { type Accepted, type Outcome, TokenSearch } from './token-search.ts'

export type JwtVerdict = JwtAcceptance | JwtRefusal

export interface JwtAcceptance {
  readonly ok: true
  readonly tokens: readonly VerifiedToken[]
  /** What goes into the request's metadata under the filter's name. */
  readonly metadata: Readonly<Record<string, unknown>>
  readonly changes: FieldChanges
}

export interface JwtRefusal {
  readonly ok: false
  /** 403: the token is right, but not for this place. */
  readonly status: 401 | 403
  /** Absent: the client is told the status only. */
  readonly body?: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** For the access log. */
  readonly details: string
}

const MAX_REALM_LENGTH = 256
/** A requirement by a name that nobody knows lets nothing pass. */
const NEVER: JwtRequirement = { kind: 'any', of: [] }

export class JwtJudge {
  /** Absent: nothing is required, and no token is looked at. */
  readonly requirement: JwtRequirement | undefined
  readonly #verifiers: ReadonlyMap<string, ProviderVerifier>
  readonly #own: readonly string[]
  readonly #hidesReasons: boolean
  readonly #bypassesPreflight: boolean

  /** @param asked What a route asks for by name, in place of the listener's requirement. */
  constructor(
    authentication: JwtAuthentication,
    asked: string | undefined,
    verifierOf: (provider: JwtProvider) => ProviderVerifier,
  ) {
    const { providers, named, bypassCorsPreflight, hideReasons } = authentication
    this.requirement =
      asked === undefined
        ? authentication.requirement
        : (named.find(({ name }) => name === asked)?.requirement ?? NEVER)
    this.#verifiers = new Map(providers.map((one) => [one.name, verifierOf(one)]))
    this.#own = ownFields(providers)
    this.#hidesReasons = hideReasons === true
    this.#bypassesPreflight = bypassCorsPreflight
  }

  /** It is let by without a token, as browsers ask whether they may ask (Fetch standard). */
  isBypassed({ request }: TokenCall): boolean {
    return this.#bypassesPreflight && isPreflight(request)
  }

  /** Fields that only the filter may write. */
  cleaned(call: TokenCall): FieldChanges {
    return { remove: this.#own.filter((name) => call.fieldLines(name).length > 0) }
  }

  /** Keys that have to come first. @param nowMs Wall clock. */
  pending(call: TokenCall, nowMs: number): readonly Promise<void>[] {
    return new TokenSearch(this.#verifiers, call, nowMs).pending()
  }

  /** @param nowMs Wall clock. */
  judge(call: TokenCall, nowMs: number): JwtVerdict {
    const { requirement } = this
    const cleaned = this.cleaned(call)
    if (requirement === undefined || this.isBypassed(call)) {
      return { ok: true, tokens: [], metadata: {}, changes: cleaned }
    }
    const outcome = new TokenSearch(this.#verifiers, call, nowMs).decide(requirement)
    return outcome.ok
      ? acceptance(outcome, cleaned, call)
      : refusal(outcome.problem, call.request, this.#hidesReasons)
  }
}

function ownFields(providers: readonly JwtProvider[]): readonly string[] {
  const names = providers.flatMap(({ payloadHeader, claimHeaders }) => [
    ...(payloadHeader === undefined ? [] : [payloadHeader]),
    ...claimHeaders.map(({ header }) => header),
  ])
  return [...new Set(names.map((name) => name.toLowerCase()))]
}

function isPreflight(request: RequestView): boolean {
  return (
    request.method === 'OPTIONS' &&
    request.header('origin') !== undefined &&
    request.header('access-control-request-method') !== undefined
  )
}

function acceptance(
  { accepted }: Extract<Outcome, { ok: true }>,
  cleaned: FieldChanges,
  call: TokenCall,
): JwtAcceptance {
  const kept = accepted.filter(({ verifier }) => verifier.provider.forward)
  const stripped = accepted.filter(({ verifier }) => !verifier.provider.forward)
  const sources = stripped.flatMap(({ verifier }) => verifier.provider.from)
  const forwarded = new Set(
    kept.flatMap(({ verifier }) => verifier.provider.from.map((source) => JSON.stringify(source))),
  )
  const bare = without(
    sources.filter((source) => !forwarded.has(JSON.stringify(source))),
    call,
  )
  const metadata = Object.fromEntries(
    accepted.flatMap(({ verifier, verdict }) => {
      const { payloadMetadataKey: key } = verifier.provider
      return key === undefined ? [] : [[key, verdict.token.payload] as const]
    }),
  )
  const changes = {
    remove: [...(cleaned.remove ?? []), ...(bare.remove ?? [])],
    set: [...(bare.set ?? [])],
    append: accepted.flatMap(fieldsOf),
    ...(bare.path === undefined ? {} : { path: bare.path }),
  }
  return { ok: true, tokens: accepted.map(({ verdict }) => verdict.token), metadata, changes }
}

function fieldsOf({ verifier: { provider }, verdict }: Accepted) {
  const { payloadHeader, claimHeaders } = provider
  const ofPayload =
    payloadHeader === undefined ? [] : [{ name: payloadHeader, value: verdict.payloadText }]
  const ofClaims = claimHeaders.flatMap(({ header, claim }) => {
    const value = claimText(verdict.token.payload, claim)
    return value === undefined || !isFieldValue(value) ? [] : [{ name: header, value }]
  })
  return [...ofPayload, ...ofClaims]
}

/** Lists and objects as base64 of their JSON (Envoy). A name with dots is a path, or the name itself. */
function claimText(payload: Readonly<Record<string, unknown>>, claim: string): string | undefined {
  let value: unknown = payload
  for (const key of Object.hasOwn(payload, claim) ? [claim] : claim.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Readonly<Record<string, unknown>>)[key]
  }
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (value === null || value === undefined) return undefined
  return Buffer.from(JSON.stringify(value), 'utf8').toString('base64')
}

function refusal(problem: Problem, request: RequestView, hidesReasons: boolean): JwtRefusal {
  const text = problemText(problem)
  const realm = `${request.scheme}://${request.authority}${request.path.split('?', 1)[0]}`
    .slice(0, MAX_REALM_LENGTH)
    .replaceAll(/[^\x21-\x7e]|["\\]/g, '')
  const error = problem === 'missing' ? '' : ', error="invalid_token"'
  const challenge = ['www-authenticate', `Bearer realm="${realm}"${error}`] as const
  const details = `jwt_authn_access_denied{${text.replaceAll(' ', '_')}}`
  const status = problem === 'audience' ? 403 : 401
  if (hidesReasons) return { ok: false, status, headers: [], details }
  return { ok: false, status, body: text, headers: [challenge], details }
}
