/**
 * Sends the items of an iterable on our half of a stream: one when the other side has asked for
 * one and the transport has room, so that whoever makes them waits with the slowest of the three.
 */
import type { RSocketStream } from '@weft/wire'
import type { OutgoingFrames } from './link/carrier.ts'
import { encode, type Outgoing } from './message.ts'

export type Items = AsyncIterator<Outgoing> | Iterator<Outgoing>

export class Producer {
  readonly #stream: RSocketStream
  readonly #outgoing: OutgoingFrames
  readonly #isLent: boolean
  #wake: (() => void) | undefined
  #items: Items | undefined
  /** What the iterable said when it was told that nobody wants more. */
  #returned: Promise<unknown> | undefined
  #stopped = false
  /** Items that were taken from the iterable. */
  taken = 0

  /** @param isLent An iterable of which nothing was taken stays as it is, for another attempt. */
  constructor(stream: RSocketStream, outgoing: OutgoingFrames, isLent = false) {
    this.#stream = stream
    this.#outgoing = outgoing
    this.#isLent = isLent
  }

  /** The other side asks for more. */
  onRequestN(): void {
    this.#resume()
  }

  /** Nobody wants more: the iterable is told by `return`. */
  stop(): void {
    this.#stopped = true
    // At once: one that waits for an event would else wait on, with nobody to give it to.
    if (this.#items !== undefined && !this.#mayBeLent) this.#tell(this.#items)
    this.#resume()
  }

  get #mayBeLent(): boolean {
    return this.#isLent && this.taken === 0
  }

  #tell(items: Items): void {
    this.#returned ??= (async () => items.return?.(undefined))()
    // `run` hears of it, too.
    this.#returned.catch(() => {})
  }

  #resume(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  get #mayGoOn(): boolean {
    return !this.#stopped && this.#stream.maySend
  }

  /**
   * Runs to the end of the items, or until it is stopped.
   *
   * @throws What the iterable throws, and what has no form as bytes.
   */
  async run(items: Items): Promise<void> {
    // Also when it throws itself: then there is nothing to tell it.
    let isOver = false
    this.#items = items
    try {
      while (this.#mayGoOn) {
        if (this.#stream.credit === 0) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
          continue
        }
        await this.#outgoing.whenRoom()
        if (!this.#mayGoOn) break
        isOver = true
        this.taken++
        const { done, value } = await items.next()
        if (done === true) {
          if (this.#mayGoOn) this.#stream.complete()
          return
        }
        isOver = false
        if (this.#mayGoOn) this.#stream.next({ data: encode(value) })
      }
    } finally {
      this.#items = undefined
      if (!isOver && !this.#mayBeLent) this.#tell(items)
      await this.#returned
    }
  }
}

export function iteratorOf(items: AsyncIterable<Outgoing> | Iterable<Outgoing>): Items {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
}

/** Async iterables, and iterators such as generators; not arrays, which are data. */
export function isItems(value: unknown): value is AsyncIterable<Outgoing> | Iterable<Outgoing> {
  if (typeof value !== 'object' || value === null) return false
  return (
    Symbol.asyncIterator in value ||
    (Symbol.iterator in value && 'next' in value && typeof value.next === 'function')
  )
}
