/**
 * Who else vouches for workloads: Kubernetes (service-account tokens) and OIDC issuers. Their keys
 * are read ahead, so that a token is judged without waiting, and kept for a while when the issuer is
 * down (R62).
 */

import { readFile } from 'node:fs/promises'
import type { Clock, Logger } from '@weft/base'
import { guardedFetch } from '@weft/net'
import {
  hasKeyFor,
  type KeySet,
  parseJwt,
  parseKeySet,
  tokenProblemText,
  verifyJwt,
} from '@weft/traffic'

export interface TokenIssuer {
  /** Equals `iss`. */
  readonly issuer: string
  /** One of them must be in `aud`; never empty (R60). */
  readonly audiences: readonly string[]
  readonly keys:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'uri'; readonly uri: string }
  /** `kubernetes`: the service account that `sub` names; else the first rule that fits. */
  readonly accounts: 'kubernetes' | readonly AccountRule[]
}

/** Claims → service account. */
interface AccountRule {
  /** All must be so; values of lists fit when one of them does. */
  readonly claims: Readonly<Record<string, string>>
  /** A name, or `claim:NAME` for what that claim says. */
  readonly namespace: string
  readonly serviceAccount: string
}

export type JudgedToken =
  | { readonly ok: true; readonly namespace: string; readonly serviceAccount: string }
  | { readonly ok: false; readonly problem: string }

export interface TokenIssuersDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Text behind a URI. @throws When it cannot be had. */
  readonly fetchText?: (uri: string) => Promise<string>
}

interface Known {
  readonly issuer: TokenIssuer
  keys: KeySet['keys']
  readAtMs: number
  triedAtMs: number
}

const SKEW_MS = 60_000
const REFRESH_MS = 300_000
/** R63: tokens of keys that nobody knows make us ask this often at most. */
const MIN_RETRY_MS = 60_000
/** R62: keys older than this are believed no more. */
const MAX_STALE_MS = 24 * 3_600_000
const FETCH_MS = 5_000
const MAX_SET_BYTES = 262_144
const SUBJECT = /^system:serviceaccount:([a-z0-9.-]{1,253}):([a-z0-9.-]{1,253})$/
const NAME = /^[A-Za-z0-9._-]{1,253}$/

export class TokenIssuers {
  readonly #deps: TokenIssuersDeps
  readonly #known: ReadonlyMap<string, Known>
  #cancel: (() => void) | undefined

  private constructor(issuers: readonly TokenIssuer[], deps: TokenIssuersDeps) {
    this.#deps = deps
    this.#known = new Map(
      issuers.map((issuer) => [
        issuer.issuer,
        { issuer, keys: [], readAtMs: -Infinity, triedAtMs: -Infinity },
      ]),
    )
  }

  /** Resolves when the keys were tried to be had once; an issuer that is down is tried again. */
  static async open(
    issuers: readonly TokenIssuer[],
    deps: TokenIssuersDeps,
  ): Promise<TokenIssuers> {
    const opened = new TokenIssuers(issuers, deps)
    if (issuers.length > 0) await opened.#refresh()
    return opened
  }

  judge(token: string): JudgedToken {
    const parsed = parseJwt(token)
    if (!parsed.ok) return refused(tokenProblemText(parsed.problem))
    const { jwt } = parsed
    const known = this.#known.get(jwt.issuer ?? '')
    if (known === undefined) return refused(tokenProblemText('issuer'))
    const { clock } = this.#deps
    const monotonicMs = clock.monotonicMs()
    if (!hasKeyFor(jwt, known.keys) && monotonicMs - known.triedAtMs >= MIN_RETRY_MS) {
      // The issuer may have new keys: this token is refused, its next try may pass.
      void this.#read(known)
    }
    if (monotonicMs - known.readAtMs > MAX_STALE_MS) {
      return refused('the keys of the issuer cannot be had')
    }
    const provider = { ...known.issuer, clockSkewMs: SKEW_MS, spaceDelimitedClaims: [] }
    const verified = verifyJwt(jwt, provider, known.keys, clock.nowMs())
    if (!verified.ok) return refused(tokenProblemText(verified.problem))
    return accountOf(known.issuer, verified.token.payload)
  }

  close(): void {
    this.#cancel?.()
  }

  async #refresh(): Promise<void> {
    await Promise.all([...this.#known.values()].map((known) => this.#read(known)))
    this.#cancel = this.#deps.clock.after(REFRESH_MS, () => void this.#refresh())
  }

  async #read(known: Known): Promise<void> {
    const { clock, log } = this.#deps
    const { fetchText = (uri: string) => fetchKeys(uri, clock) } = this.#deps
    const { issuer, keys } = known.issuer
    known.triedAtMs = clock.monotonicMs()
    try {
      const text =
        keys.kind === 'file' ? await readFile(keys.path, 'utf8') : await fetchText(keys.uri)
      known.keys = parseKeySet(text).keys
      known.readAtMs = clock.monotonicMs()
    } catch (error) {
      log.warn('cannot read the keys of a token issuer', { issuer, error })
    }
  }
}

function refused(problem: string): JudgedToken {
  return { ok: false, problem }
}

function accountOf({ accounts }: TokenIssuer, claims: Readonly<Record<string, unknown>>) {
  if (accounts === 'kubernetes') {
    const [, namespace, serviceAccount] = SUBJECT.exec(String(claims.sub ?? '')) ?? []
    return judged(namespace, serviceAccount)
  }
  const rule = accounts.find((one) =>
    Object.entries(one.claims).every(([name, wanted]) => says(claims, name, wanted)),
  )
  if (rule === undefined) return refused('no service account is for the claims of the token')
  return judged(resolve(rule.namespace, claims), resolve(rule.serviceAccount, claims))
}

function judged(namespace: string | undefined, serviceAccount: string | undefined): JudgedToken {
  if (namespace === undefined || serviceAccount === undefined) {
    return refused('the token names no service account')
  }
  if (!NAME.test(namespace) || !NAME.test(serviceAccount)) {
    return refused('the service account of the token is no name')
  }
  return { ok: true, namespace, serviceAccount }
}

function says(claims: Readonly<Record<string, unknown>>, name: string, wanted: string): boolean {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined
  return Array.isArray(value) ? value.includes(wanted) : value === wanted
}

function resolve(text: string, claims: Readonly<Record<string, unknown>>): string | undefined {
  if (!text.startsWith('claim:')) return text
  const name = text.slice('claim:'.length)
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined
  return typeof value === 'string' ? value : undefined
}

/**
 * The address is the operator's, not a tenant's; still it leads where it says and nowhere else (R61,
 * R76): a loopback that is written as such may be asked, one that a name leads to may not.
 */
async function fetchKeys(uri: string, clock: Clock): Promise<string> {
  const host = new URL(uri).hostname.replace(/^\[|\]$/g, '')
  const isHere = host === 'localhost' || host === '127.0.0.1' || host === '::1'
  const fetched = await guardedFetch(uri, {
    clock,
    timeoutMs: FETCH_MS,
    maxBytes: MAX_SET_BYTES,
    allowedHosts: isHere ? [host] : [],
  })
  if (!fetched.ok) throw new Error(`Cannot fetch ${uri}: ${fetched.problem}`)
  return fetched.body
}

/** @throws {Error} When the text is no list of issuers; the message says what is wrong. */
export function parseTokenIssuers(text: string): readonly TokenIssuer[] {
  const value: unknown = JSON.parse(text)
  if (!Array.isArray(value)) throw new Error('must be a list of issuers')
  return value.map((one, i) => {
    const issuer = readIssuer(one)
    if (typeof issuer === 'string') throw new Error(`[${i}]: ${issuer}`)
    return issuer
  })
}

/** A text says what is wrong. */
function readIssuer(value: unknown): TokenIssuer | string {
  if (!isFields(value)) return 'must be an object'
  const { issuer, audiences, jwksFile, jwksUri, accounts, ...others } = value
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) return `has an unknown field ${unknown}`
  if (typeof issuer !== 'string' || issuer === '') return 'issuer must be a text'
  if (!isTexts(audiences) || audiences.length === 0) return 'audiences must be a list of texts'
  if ((typeof jwksFile === 'string') === (typeof jwksUri === 'string')) {
    return 'either jwksFile or jwksUri must be a text'
  }
  const keys =
    typeof jwksFile === 'string'
      ? ({ kind: 'file', path: jwksFile } as const)
      : ({ kind: 'uri', uri: String(jwksUri) } as const)
  if (accounts === 'kubernetes') return { issuer, audiences, keys, accounts }
  if (!Array.isArray(accounts) || accounts.length === 0 || !accounts.every(isRule)) {
    return 'accounts must be "kubernetes" or a list of {claims, namespace, serviceAccount}'
  }
  return { issuer, audiences, keys, accounts }
}

function isRule(value: unknown): value is AccountRule {
  if (!isFields(value)) return false
  const { claims, namespace, serviceAccount } = value
  if (typeof namespace !== 'string' || typeof serviceAccount !== 'string') return false
  return isFields(claims) && isTexts(Object.values(claims))
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}
