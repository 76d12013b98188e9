/**
 * Which keys have had a certificate. A key is certified for one identity, and anew only as long as
 * the answer to the first request may have been lost: a renewal comes with a new key.
 */

const RETRY_MS = 600_000
const MAX_KEYS = 100_000

interface Entry {
  readonly identity: string
  readonly firstAtMs: number
}

export class KeyLedger {
  /** In the order of their first use. */
  readonly #entries = new Map<string, Entry>()
  readonly #nowMs: () => number

  /** @param nowMs Monotonic. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Why the key may not be certified; `undefined`: it may, and is remembered. */
  claim(keyHash: string, identity: string): string | undefined {
    const nowMs = this.#nowMs()
    const known = this.#entries.get(keyHash)
    if (known === undefined) {
      this.#remember(keyHash, { identity, firstAtMs: nowMs })
      return undefined
    }
    if (known.identity !== identity) return 'its key belongs to another identity'
    return nowMs - known.firstAtMs <= RETRY_MS
      ? undefined
      : 'its key had a certificate before; make a new key for each'
  }

  #remember(keyHash: string, entry: Entry): void {
    if (this.#entries.size >= MAX_KEYS) {
      const [oldest] = this.#entries.keys()
      if (oldest !== undefined) this.#entries.delete(oldest)
    }
    this.#entries.set(keyHash, entry)
  }
}
