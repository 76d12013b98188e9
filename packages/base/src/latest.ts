/**
 * Hands the newest value to slow readers and drops what lies between, so that a
 * burst of changes costs a reader one round and never a backlog.
 */

export class Latest<T> {
  #value: T | undefined
  #version = 0
  readonly #waiting = new Set<() => void>()

  /** What was set last, or `undefined` before the first `set`. */
  get value(): T | undefined {
    return this.#value
  }

  set(value: T): void {
    this.#value = value
    this.#version++
    for (const wake of [...this.#waiting]) wake()
  }

  /** Yields the value of now (once there is one) and then after each change. Ends when `signal` aborts. */
  async *watch(signal: AbortSignal): AsyncGenerator<T, void, undefined> {
    let seen = 0
    while (!signal.aborted) {
      if (this.#version > seen) {
        seen = this.#version
        yield this.#value as T
      } else {
        await this.#changed(signal)
      }
    }
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal.addEventListener('abort', wake, { once: true })
    })
  }
}
