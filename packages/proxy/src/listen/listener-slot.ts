/**
 * Holds one listener's newest tree. Empty until the first configuration: who
 * arrives before waits, which is what lets an application start before the
 * control plane answers.
 */
import type { ListenerRuntime } from '../exchange/contract.ts'

export class ListenerSlot {
  #current: ListenerRuntime | undefined
  /** True from the start of a graceful drain: answers carry `Connection: close`. */
  draining = false
  readonly #waiting = new Set<() => void>()
  readonly #watchers = new Set<() => void>()

  constructor(current?: ListenerRuntime) {
    this.#current = current
  }

  get current(): ListenerRuntime | undefined {
    return this.#current
  }

  /** Takes effect for every request that begins from now on. */
  publish(runtime: ListenerRuntime): void {
    this.#current = runtime
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
    for (const look of [...this.#watchers]) look()
  }

  /** Calls `look` at every `publish` until the returned function is called. */
  watch(look: () => void): () => void {
    this.#watchers.add(look)
    return () => this.#watchers.delete(look)
  }

  /** Calls `wake` once, at the next `publish`. The returned function gives up. */
  whenPublished(wake: () => void): () => void {
    this.#waiting.add(wake)
    return () => this.#waiting.delete(wake)
  }

  /** How many wait for a tree. */
  get held(): number {
    return this.#waiting.size
  }
}
