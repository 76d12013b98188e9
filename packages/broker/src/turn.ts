/** Outboxes that have something to send, flushed once at the end of the event loop's turn. */
import type { Outbox } from './outbox.ts'

export class Turn {
  #due: Outbox[] = []
  #running: Outbox[] = []

  readonly schedule = (outbox: Outbox): void => {
    if (this.#due.length === 0) setImmediate(this.#flush)
    this.#due.push(outbox)
  }

  readonly #flush = (): void => {
    const now = this.#due
    this.#due = this.#running
    this.#running = now
    for (const outbox of now) outbox.flush()
    now.length = 0
  }
}
