/** One issuer's tokens: its keys, and the answers that were found lately. */
import type { JwtProvider } from '@weft/model'
import { parseKeySet, type VerificationKey } from './json-web-keys.ts'
import type { KeysNow, RemoteKeys } from './remote-keys.ts'
import {
  isIssuerOf,
  type TokenProblem,
  tokenKey,
  tokenProblemText,
  type UnverifiedJwt,
  type VerifiedJwt,
  verifyJwt,
} from './verify-token.ts'

/** Envoy's statuses beside those of a token itself. */
export type Problem = TokenProblem | 'missing' | 'keysUnavailable'

export function problemText(problem: Problem): string {
  if (problem === 'missing') return 'Jwt is missing'
  return problem === 'keysUnavailable' ? 'Jwks remote fetch is failed' : tokenProblemText(problem)
}

export type Verdict =
  | Extract<VerifiedJwt, { ok: true }>
  | { readonly ok: false; readonly problem: Problem }

const MAX_CACHED = 1_000

interface Cached {
  readonly verdict: Extract<VerifiedJwt, { ok: true }>
  /** Those that verified it: an answer does not outlive its key. */
  readonly keys: readonly VerificationKey[]
}

export class ProviderVerifier {
  readonly provider: JwtProvider
  readonly #keys: RemoteKeys | readonly VerificationKey[] | undefined
  /** By hash of the whole token (R64); the least recently used goes first. */
  readonly #cache = new Map<string, Cached>()

  constructor(provider: JwtProvider, remote: RemoteKeys | undefined) {
    this.provider = provider
    this.#keys = remote ?? inlineKeys(provider)
  }

  keysFor(jwt: UnverifiedJwt, mayWait: boolean): KeysNow {
    const keys = this.#keys
    if (keys !== undefined && 'keysFor' in keys) return keys.keysFor(jwt, mayWait)
    return { ready: true, keys }
  }

  /** @param audiences In place of the provider's; empty: the provider's. */
  verify(text: string, jwt: UnverifiedJwt, audiences: readonly string[], nowMs: number): Verdict {
    if (!isIssuerOf(this.provider, jwt)) return { ok: false, problem: 'issuer' }
    const { keys } = this.#known(jwt)
    if (keys === undefined) return { ok: false, problem: 'keysUnavailable' }
    const name = `${tokenKey(text)} ${audiences.join(' ')}`
    const cached = this.#cache.get(name)
    if (cached !== undefined) {
      this.#cache.delete(name)
      if (cached.keys === keys && nowMs < cached.verdict.expiresAtMs) {
        this.#cache.set(name, cached)
        return cached.verdict
      }
    }
    const provider = audiences.length === 0 ? this.provider : { ...this.provider, audiences }
    const verdict = verifyJwt(jwt, provider, keys, nowMs)
    if (verdict.ok) this.#remember(name, { verdict, keys })
    return verdict
  }

  #known(jwt: UnverifiedJwt): { readonly keys: readonly VerificationKey[] | undefined } {
    const now = this.keysFor(jwt, false)
    return now.ready ? now : { keys: undefined }
  }

  #remember(name: string, cached: Cached): void {
    this.#cache.set(name, cached)
    if (this.#cache.size <= MAX_CACHED) return
    const [oldest] = this.#cache.keys()
    if (oldest !== undefined) this.#cache.delete(oldest)
  }
}

/** What is no key set verifies nothing. */
function inlineKeys({ keys }: JwtProvider): readonly VerificationKey[] | undefined {
  if (keys.kind === 'remote') return undefined
  try {
    return parseKeySet(keys.jwks).keys
  } catch {
    return undefined
  }
}
