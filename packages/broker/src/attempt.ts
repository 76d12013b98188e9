/** One try of a request at a responder: handed over, timed, taken back, judged. */
import type { Timed } from '@weft/net'
import type { AttemptOutcome } from '@weft/traffic'
import { RSOCKET_ERROR } from '@weft/wire'
import { withDataMime } from './alibaba-dialect.ts'
import type { Leg } from './leg.ts'
import { writeInitialN, writeStreamId } from './rewrite.ts'
import type { CallWatch } from './router.ts'
import type { StreamEntry } from './stream-entry.ts'

/** Gives the request to a responder. */
export function hand(
  entry: StreamEntry,
  responder: Leg,
  bytes: Uint8Array,
  from: number,
  to: number,
): void {
  const id = responder.takeId()
  entry.responder = responder
  entry.responderId = id
  entry.attempts++
  entry.startedAtMs = responder.owner.nowMs
  entry.handedAt = responder.outbox.appendedBytes
  responder.activeRequests++
  if (responder.lease !== undefined) responder.lease.requests--
  responder.streams.set(id, entry)
  writeStreamId(bytes, from, id)
  if (responder.facts.isAlibaba && entry.requester.metadataForm === 'composite') {
    const told = withDataMime(bytes, from, to, entry.requester.facts.setup.dataMime)
    if (told !== undefined) {
      responder.send(told, 0, told.length)
      return
    }
  }
  responder.send(bytes, from, to)
}

/** Gives a request that was kept to another responder, with all credit that the first one had. */
export function handAgain(entry: StreamEntry, responder: Leg, held: Buffer): void {
  if (entry.toRequester !== undefined) writeInitialN(held, 0, entry.toRequester.outstanding)
  hand(entry, responder, held, 0, held.length)
}

/** The responder has nothing to do with the stream any more. */
export function leave(entry: StreamEntry): void {
  const { responder } = entry
  if (responder === undefined) return
  if (responder.streams.get(entry.responderId) === entry) {
    responder.streams.delete(entry.responderId)
    responder.activeRequests--
  }
  responder.waiting.delete(entry)
}

/** The limit of one try, and the pause before the next; calls with a watch have one. */
export class AttemptTimer implements Timed {
  deadlineTick = 0
  slotTick = 0
  /** No responder has the request: the next try begins when the time is over. */
  isPause = false
  readonly #entry: StreamEntry
  readonly #onDue: (entry: StreamEntry) => void

  constructor(entry: StreamEntry, onDue: (entry: StreamEntry) => void) {
    this.#entry = entry
    this.#onDue = onDue
  }

  arm(delayMs: number, isPause: boolean): void {
    this.isPause = isPause
    const { owner } = this.#entry.requester
    owner.wheel.arm(this, delayMs, owner.clock.monotonicMs())
  }

  disarm(): void {
    this.isPause = false
    this.#entry.requester.owner.wheel.disarm(this)
  }

  onDeadline(): void {
    this.#onDue(this.#entry)
  }
}

/** What an ERROR of the responder comes to, as rules for HTTP see it. */
export function outcomeOfError(entry: StreamEntry, code: number): AttemptOutcome {
  switch (code) {
    case RSOCKET_ERROR.rejected:
      return { kind: 'refusedStream' }
    case RSOCKET_ERROR.canceled:
      return { kind: 'reset', sentBytes: entry.requestBytes }
    case RSOCKET_ERROR.invalid:
      return { kind: 'response', status: 400 }
    case RSOCKET_ERROR.denied:
      return { kind: 'response', status: 403 }
    default:
      return { kind: 'response', status: 500 }
  }
}

/** The connection to the responder is gone. */
export function outcomeOfLoss(entry: StreamEntry): AttemptOutcome {
  if (!entry.wasHanded) return { kind: 'connectFailure' }
  return { kind: 'reset', sentBytes: entry.requestBytes }
}

/** Waits for the next try; nobody has the request. */
export function isPaused({ timer }: StreamEntry): boolean {
  return timer?.isPause === true
}

/** Who gets the call first. */
export function beginWatch(entry: StreamEntry, watch: CallWatch): ReturnType<CallWatch['pick']> {
  entry.watch = watch
  return watch.pick()
}
