/**
 * The keys of one token issuer, from a file or an https URL, as they change:
 *
 *     loading ──► keys ──► old, or a token names a key that is not there ──► loading …
 *                             │ unreachable, unreadable
 *                             └──► the keys of before stay; tried again soon
 */
import { readFile } from 'node:fs/promises'
import type { Clock, Logger } from '@weft/base'
import { guardedFetch } from '@weft/net'
import { parseKeySet, type VerificationKey } from '@weft/traffic'

export interface KeyFeedOptions {
  /** Path of a file, or an http(s) URL. */
  readonly from: string
  /** Hosts that may be on loopback or asked over plain http, for development. */
  readonly allowedHosts: readonly string[]
}

export interface KeyFeedDeps {
  readonly clock: Clock
  readonly log: Logger
  /** There are other keys. */
  onKeys(): void
}

/** Keys of one issuer, and how to ask for newer ones. */
export interface Keys {
  readonly keys: readonly VerificationKey[]
  /** Resolves when they are as new as can be had now. */
  renew(): Promise<void>
}

const FILE_MS = 5_000
const URL_MS = 300_000
const MIN_URL_MS = 10_000
const MAX_URL_MS = 3_600_000
const RETRY_MS = 10_000
/** However many tokens name keys that nobody knows. */
const MIN_BETWEEN_MS = 10_000
const FETCH_MS = 5_000
const MAX_SET_BYTES = 262_144

export class KeyFeed implements Keys {
  readonly #options: KeyFeedOptions
  readonly #deps: KeyFeedDeps
  #text: string | undefined
  #keys: readonly VerificationKey[] = []
  #loading: Promise<void> | undefined
  #loadedAtMs = Number.NEGATIVE_INFINITY
  #problem: string | undefined
  #closed = false
  #cancel: () => void = () => undefined

  constructor(options: KeyFeedOptions, deps: KeyFeedDeps) {
    this.#options = options
    this.#deps = deps
  }

  get keys(): readonly VerificationKey[] {
    return this.#keys
  }

  /** Why the last try failed; undefined: it did not. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Resolves with the first try. */
  open(): Promise<void> {
    return this.#load()
  }

  renew(): Promise<void> {
    if (this.#loading !== undefined) return this.#loading
    const ageMs = this.#deps.clock.monotonicMs() - this.#loadedAtMs
    return ageMs < MIN_BETWEEN_MS ? Promise.resolve() : this.#load()
  }

  close(): void {
    this.#closed = true
    this.#cancel()
  }

  #load(): Promise<void> {
    this.#cancel()
    this.#loadedAtMs = this.#deps.clock.monotonicMs()
    this.#loading ??= this.#tryOnce().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #tryOnce(): Promise<void> {
    const { clock, log, onKeys } = this.#deps
    const { from } = this.#options
    let againMs = RETRY_MS
    try {
      const { text, goodMs } = await this.#read()
      againMs = goodMs
      if (text !== this.#text) {
        const { keys, problems } = parseKeySet(text)
        this.#text = text
        this.#keys = keys
        for (const problem of problems)
          log.warn('a key of a key set is not used', { from, problem })
        onKeys()
      }
      this.#problem = undefined
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error)
      log.warn('a key set is not read; the keys of before stay', { from, problem: this.#problem })
    }
    if (!this.#closed) this.#cancel = clock.after(againMs, () => void this.#load())
  }

  async #read(): Promise<{ readonly text: string; readonly goodMs: number }> {
    const { from, allowedHosts } = this.#options
    if (!isUrl(from)) return { text: await readFile(from, 'utf8'), goodMs: FILE_MS }
    const { clock } = this.#deps
    const rules = { clock, timeoutMs: FETCH_MS, maxBytes: MAX_SET_BYTES, allowedHosts }
    const fetched = await guardedFetch(from, rules)
    if (!fetched.ok) throw new Error(`Cannot fetch ${from}: ${fetched.problem}`)
    const goodMs = Math.min(Math.max(fetched.maxAgeMs ?? URL_MS, MIN_URL_MS), MAX_URL_MS)
    return { text: fetched.body, goodMs }
  }
}

function isUrl(from: string): boolean {
  return /^https?:\/\//i.test(from)
}
