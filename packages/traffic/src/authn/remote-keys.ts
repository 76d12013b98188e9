/**
 * Keys of an issuer, fetched and kept:
 *
 *     none ── fetched ──► fresh ── cache time ──► refreshed behind ── stale time ──► none: deny
 *               ▲            │ a token names a key that is not there: at most one fetch a minute (R63)
 *               └── back-off after a failure, 1 s doubling to 1 min
 *
 * What is not there is denied; there are no keys but the issuer's (R62).
 */
import type { Clock, Logger } from '@weft/base'
import { parseKeySet, type VerificationKey } from './json-web-keys.ts'
import { hasKeyFor, type UnverifiedJwt } from './verify-token.ts'

/** What came of asking for a key set. */
export type FetchedKeys =
  | {
      readonly ok: true
      readonly body: string
      /** `max-age` of the answer, in milliseconds. */
      readonly maxAgeMs: number | undefined
    }
  | { readonly ok: false; readonly problem: string }

interface RemoteKeysDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly fetch: (uri: string) => Promise<FetchedKeys>
}

export type KeysNow =
  /** `undefined`: the issuer's keys are not known. */
  | { readonly ready: true; readonly keys: readonly VerificationKey[] | undefined }
  /** Whoever waits asks again. */
  | { readonly ready: false; readonly when: Promise<void> }

const MIN_CACHE_MS = 60_000
const MAX_CACHE_MS = 86_400_000
/** For so long after the cache time an outage of the issuer's changes nothing. */
const STALE_MS = 3_600_000
const UNKNOWN_KEY_INTERVAL_MS = 60_000
const FIRST_BACKOFF_MS = 1_000
const MAX_BACKOFF_MS = 60_000

export class RemoteKeys {
  readonly #uri: string
  readonly #cacheMs: number
  readonly #deps: RemoteKeysDeps
  #keys: readonly VerificationKey[] | undefined
  #freshUntilMs = 0
  #failures = 0
  #notBeforeMs = 0
  #unknownKeyFetchMs = Number.NEGATIVE_INFINITY
  #fetching: Promise<void> | undefined

  /** @param cacheMs Unless the issuer says otherwise. */
  constructor(uri: string, cacheMs: number, deps: RemoteKeysDeps) {
    this.#uri = uri
    this.#cacheMs = cacheMs
    this.#deps = deps
  }

  /** @param mayWait False: with what is known now. */
  keysFor(jwt: UnverifiedJwt, mayWait: boolean): KeysNow {
    const nowMs = this.#deps.clock.monotonicMs()
    if (this.#keys !== undefined && nowMs >= this.#freshUntilMs + STALE_MS) this.#keys = undefined
    if (nowMs >= this.#freshUntilMs && nowMs >= this.#notBeforeMs) void this.#refresh()
    const keys = this.#keys
    const knowsKey = keys !== undefined && hasKeyFor(jwt, keys)
    if (keys !== undefined && !knowsKey && this.#mayAskForUnknown(nowMs)) {
      this.#unknownKeyFetchMs = nowMs
      void this.#refresh()
    }
    const fetching = this.#fetching
    if (!knowsKey && fetching !== undefined && mayWait) return { ready: false, when: fetching }
    return { ready: true, keys }
  }

  #mayAskForUnknown(nowMs: number): boolean {
    return nowMs - this.#unknownKeyFetchMs >= UNKNOWN_KEY_INTERVAL_MS && nowMs >= this.#notBeforeMs
  }

  #refresh(): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined
    })
    return this.#fetching
  }

  async #fetch(): Promise<void> {
    const { clock, log, fetch } = this.#deps
    const found = await this.#read(fetch)
    const nowMs = clock.monotonicMs()
    if (typeof found === 'string') {
      const backoffMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#failures)
      this.#failures++
      this.#notBeforeMs = nowMs + backoffMs
      const state = this.#keys === undefined ? 'no keys' : 'keys from before'
      log.warn('Cannot fetch keys for tokens', { uri: this.#uri, problem: found, state })
      return
    }
    this.#failures = 0
    this.#notBeforeMs = 0
    this.#keys = found.keys
    const cacheMs = found.maxAgeMs ?? this.#cacheMs
    this.#freshUntilMs = nowMs + Math.min(MAX_CACHE_MS, Math.max(MIN_CACHE_MS, cacheMs))
  }

  /** A text says why not. */
  async #read(fetch: RemoteKeysDeps['fetch']) {
    const first = await fetch(this.#uri)
    if (!first.ok) return first.problem
    const target = discoveredUri(first.body)
    const answer = target === undefined ? first : await fetch(target)
    if (!answer.ok) return `${target}: ${answer.problem}`
    try {
      return { keys: parseKeySet(answer.body).keys, maxAgeMs: answer.maxAgeMs }
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }
}

/** Of an OpenID Connect discovery document: where the keys are. */
function discoveredUri(body: string): string | undefined {
  if (!body.includes('"jwks_uri"')) return undefined
  try {
    const document: unknown = JSON.parse(body)
    if (typeof document !== 'object' || document === null || 'keys' in document) return undefined
    const uri = 'jwks_uri' in document ? document.jwks_uri : undefined
    return typeof uri === 'string' ? uri : undefined
  } catch {
    return undefined
  }
}
