/**
 * What filters remember for longer than a configuration: an unrelated push must neither refill a
 * bucket nor forget what was measured. Bounded; the least recently bound goes first.
 */
import type { EngineDeps } from '../exchange/contract.ts'

const MAX_ENTRIES = 10_000

export class FilterMemory<T> {
  readonly #all = new WeakMap<EngineDeps, Map<string, T>>()

  /** @param key All that the value depends on, as JSON. */
  get(deps: EngineDeps, key: unknown, create: () => T): T {
    let all = this.#all.get(deps)
    if (all === undefined) {
      all = new Map()
      this.#all.set(deps, all)
    }
    const text = JSON.stringify(key)
    const value = all.get(text) ?? create()
    all.delete(text)
    all.set(text, value)
    if (all.size > MAX_ENTRIES) {
      const [oldest] = all.keys()
      if (oldest !== undefined) all.delete(oldest)
    }
    return value
  }
}
