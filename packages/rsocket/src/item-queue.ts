/**
 * The items of the other side, for whoever consumes them one by one. Credit follows consumption:
 * at most `window` items are asked for and not consumed, so a slow consumer costs a window.
 */
import type { Message } from './message.ts'

export class ItemQueue implements AsyncIterableIterator<Message> {
  /** Items that may be asked for and not consumed, at least 1. */
  readonly window: number
  readonly #items: Message[] = []
  #waiting: { resolve(result: IteratorResult<Message>): void; reject(error: unknown): void }[] = []
  #over = false
  #error: unknown
  #consumed = 0
  /** Asks for `n` items more. */
  onDemand: (n: number) => void = () => {}
  /** Nobody wants items any more. */
  onReturn: () => void = () => {}

  constructor(window: number) {
    this.window = window
  }

  /** Items that wait to be consumed. */
  get length(): number {
    return this.#items.length
  }

  push(item: Message): void {
    if (this.#over) return
    const next = this.#waiting.shift()
    if (next === undefined) this.#items.push(item)
    else {
      next.resolve({ done: false, value: item })
      this.#onConsumed()
    }
  }

  /** No more items come. */
  end(): void {
    if (this.#over) return
    this.#over = true
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined })
  }

  /** What came before is still given, then it throws. */
  fail(error: unknown): void {
    if (this.#over) return
    this.#over = true
    const next = this.#waiting.shift()
    if (next === undefined) this.#error = error
    else next.reject(error)
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined })
  }

  next(): Promise<IteratorResult<Message>> {
    const item = this.#items.shift()
    if (item !== undefined) {
      this.#onConsumed()
      return Promise.resolve({ done: false, value: item })
    }
    if (this.#error !== undefined) {
      const error = this.#error
      this.#error = undefined
      return Promise.reject(error)
    }
    if (this.#over) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  return(): Promise<IteratorResult<Message>> {
    const wasOver = this.#over
    this.#items.length = 0
    this.#error = undefined
    this.end()
    if (!wasOver) this.onReturn()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #onConsumed(): void {
    if (++this.#consumed * 2 < this.window || this.#over) return
    const n = this.#consumed
    this.#consumed = 0
    this.onDemand(n)
  }
}
