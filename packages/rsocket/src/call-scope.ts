/** How long a call may go on: until its signal aborts or its time is over. */
import type { Clock } from '@weft/base'
import { RSocketError } from './errors.ts'
import type { CallOptions } from './types.ts'

const MAX_TIMEOUT_MS = 0x7fff_ffff

export class CallScope {
  readonly #signal: AbortSignal | undefined
  readonly #cancelTimer: () => void
  #listener: ((reason: unknown) => void) | undefined
  #ended = false
  #reason: unknown
  readonly #onAbort = (): void => this.#end(this.#signal?.reason)

  /** @throws {RangeError} If `timeoutMs` is out of range; the signal's reason if it has aborted. */
  constructor({ signal, timeoutMs }: CallOptions, clock: Clock) {
    if (timeoutMs !== undefined && !(timeoutMs >= 1 && timeoutMs <= MAX_TIMEOUT_MS)) {
      throw new RangeError(
        `Cannot call: timeoutMs must be 1 to ${MAX_TIMEOUT_MS} milliseconds, got ${timeoutMs}`,
      )
    }
    signal?.throwIfAborted()
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#cancelTimer =
      timeoutMs === undefined
        ? () => {}
        : clock.after(timeoutMs, () =>
            this.#end(new RSocketError('CANCELED', `WEFT-504 no answer in ${timeoutMs} ms`)),
          )
  }

  get isOver(): boolean {
    return this.#ended
  }

  /** @throws The reason of the end. */
  throwIfOver(): void {
    if (this.#ended) throw this.#reason
  }

  /** Tells the end to this listener, and to no earlier one; at once when it has come already. */
  watch(listener: ((reason: unknown) => void) | undefined): void {
    this.#listener = listener
    if (this.#ended) listener?.(this.#reason)
  }

  close(): void {
    this.#listener = undefined
    this.#cancelTimer()
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }

  #end(reason: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#reason = reason
    this.#listener?.(reason)
  }
}

/** Waits for what may hang, until the call is over. */
export async function within<T>(scope: CallScope, what: T | Promise<T>): Promise<T> {
  try {
    return await new Promise<T>((resolve, reject) => {
      scope.watch(reject)
      Promise.resolve(what).then(resolve, reject)
    })
  } finally {
    scope.watch(undefined)
  }
}
