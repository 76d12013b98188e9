/**
 * Tries after the first one: another responder at once for what was certainly not processed, or
 * what the watch of the call says – after a pause, in which nobody has the request.
 *
 *     handed ── ERROR, loss, time over, first answer ──► watch ──► goes on
 *        ▲                                                │ again
 *        └───────────── pause ◄────────────────────────────┘
 */
import { type AttemptOutcome, isUnprocessed } from '@weft/traffic'
import { NO_RESPONDER, RSOCKET_ERROR, renderCancel } from '@weft/wire'
import { AttemptTimer, handAgain, leave } from './attempt.ts'
import { Leg } from './leg.ts'
import type { CallWatch, Refusal } from './router.ts'
import type { StreamEntry } from './stream-entry.ts'

/** How a request ends when there is no other try. */
export interface Ends {
  end(entry: StreamEntry, refusal: Refusal): void
  onTimeout(entry: StreamEntry): void
}

export const NOBODY: Refusal = {
  code: RSOCKET_ERROR.rejected,
  message: NO_RESPONDER,
}

export class Tries {
  readonly #ends: Ends

  constructor(ends: Ends) {
    this.#ends = ends
  }

  /** Whether there is another try. */
  again(entry: StreamEntry, outcome: AttemptOutcome): boolean {
    const { watch } = entry
    if (watch === undefined) return isUnprocessed(outcome) && this.#moveOn(entry)
    if (!entry.awaitsAnswer) return false
    entry.timer?.disarm()
    return this.follow(entry, watch, watch.onFailure(outcome, entry.held !== undefined))
  }

  /** Another responder gets a request that was certainly not processed. */
  #moveOn(entry: StreamEntry): boolean {
    const { held, responder, pickAgain } = entry
    if (held === undefined || entry.retriesLeft === 0) return false
    if (responder === undefined || pickAgain === undefined) return false
    entry.tried = [...(entry.tried ?? []), responder]
    const next = pickAgain(entry.tried)
    if (!(next instanceof Leg) || entry.tried.includes(next)) return false
    entry.retriesLeft--
    entry.requester.owner.counters.retriedRequests++
    leave(entry)
    handAgain(entry, next, held)
    return true
  }

  /** A responder has the request. */
  begin(entry: StreamEntry, watch: CallWatch): void {
    entry.awaitsAnswer = true
    if (watch.perTryMs > 0) this.#timerOf(entry).arm(watch.perTryMs, false)
  }

  #timerOf(entry: StreamEntry): AttemptTimer {
    entry.timer ??= new AttemptTimer(entry, (due) => this.#onTimer(due))
    return entry.timer
  }

  /** @param delayMs As `CallWatch` says it; false: it was the last try. */
  follow(entry: StreamEntry, watch: CallWatch, delayMs: number): boolean {
    if (delayMs < 0 || entry.held === undefined) return false
    entry.requester.owner.counters.retriedRequests++
    leave(entry)
    entry.responder = undefined
    if (delayMs > 0) this.#timerOf(entry).arm(delayMs, true)
    else this.#startAgain(entry, watch, entry.held)
    return true
  }

  #startAgain(entry: StreamEntry, watch: CallWatch, held: Buffer): void {
    const next = watch.pick()
    if (next instanceof Leg) {
      handAgain(entry, next, held)
      this.begin(entry, watch)
    } else this.#ends.end(entry, next ?? NOBODY)
  }

  /** A try took too long, or the pause before the next is over. */
  #onTimer(entry: StreamEntry): void {
    const { watch, held, timer, responder, responderId } = entry
    if (watch === undefined) return
    if (timer?.isPause === true) {
      timer.isPause = false
      if (held !== undefined) this.#startAgain(entry, watch, held)
      return
    }
    const delayMs = watch.onFailure({ kind: 'perTryTimeout' }, held !== undefined)
    if (this.follow(entry, watch, delayMs)) {
      responder?.sendFrame(renderCancel(responderId))
      return
    }
    entry.awaitsAnswer = false
    this.#ends.onTimeout(entry)
  }
}
