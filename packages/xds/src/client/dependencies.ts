/**
 * Waiting for what is referred to: a set of resources goes to the data plane when all of it is
 * there, when it is known that the rest does not exist, or when the waiting took too long (the
 * idea of gRFC A74). A name that was given up on once is not waited for again.
 */
export class Dependencies {
  readonly #timeoutMs: number
  /** Since when each name is missing. */
  readonly #missingSince = new Map<string, number>()
  readonly #absent = new Set<string>()

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  /** The server said that it does not exist, or sent something that had to be refused. */
  markAbsent(key: string): void {
    this.#absent.add(key)
  }

  /**
   * @param missing Everything that is referred to and not there.
   * @returns When to look again; `undefined` when nothing is worth waiting for.
   */
  waitUntilMs(missing: ReadonlySet<string>, nowMs: number): number | undefined {
    for (const key of this.#missingSince.keys()) {
      if (!missing.has(key)) this.#missingSince.delete(key)
    }
    for (const key of this.#absent) if (!missing.has(key)) this.#absent.delete(key)
    let untilMs: number | undefined
    for (const key of missing) {
      if (this.#absent.has(key)) continue
      const sinceMs = this.#missingSince.get(key) ?? nowMs
      this.#missingSince.set(key, sinceMs)
      const atMs = sinceMs + this.#timeoutMs
      if (atMs > nowMs) untilMs = Math.min(untilMs ?? atMs, atMs)
    }
    return untilMs
  }
}
