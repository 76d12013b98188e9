/**
 * Generated pieces by what they were generated from. A piece whose inputs are
 * the same objects as before is the same object again, for every proxy and from
 * one snapshot to the next, so that it is encoded once and diffed by identity.
 */

interface Entry {
  readonly inputs: readonly unknown[]
  readonly value: unknown
  round: number
}

export class TranslateCache {
  readonly #entries = new Map<string, Entry>()
  #round = 0

  /**
   * @param key Names what is made, including every plain value it depends on.
   * @param inputs Everything else it depends on; compared by identity.
   */
  get<T>(key: string, inputs: readonly unknown[], make: () => T): T {
    const known = this.#entries.get(key)
    if (known !== undefined && isSame(known.inputs, inputs)) {
      known.round = this.#round
      return known.value as T
    }
    const value = make()
    this.#entries.set(key, { inputs, value, round: this.#round })
    return value
  }

  /** Forgets what nobody asked for since the call before the last one. */
  sweep(): void {
    for (const [key, entry] of this.#entries) {
      if (entry.round < this.#round - 1) this.#entries.delete(key)
    }
    this.#round++
  }

  get size(): number {
    return this.#entries.size
  }
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i])
}
