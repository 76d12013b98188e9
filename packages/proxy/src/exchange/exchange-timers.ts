/**
 * The time limits of an exchange on one timer: the whole of it, one try, the time
 * without a byte either way, the request's body, and the stream with its answer.
 */
import type { Timed } from '@weft/net'
import type { EngineDeps } from './contract.ts'

/** The idle limit is looked at this often within its length, so that bytes only reset a counter. */
const IDLE_PARTS = 4

export interface TimeoutHandler {
  onRequestTimeout(): void
  onTryTimeout(): void
  onIdleTimeout(): void
  /** The request's last byte did not come in time. */
  onBodyTimeout(): void
  /** The stream lasted as long as streams may. */
  onStreamTimeout(): void
}

export class ExchangeTimers implements Timed {
  deadlineTick = 0
  slotTick = 0
  /** In milliseconds; 0 means no limit. */
  requestMs = 0
  perTryMs = 0
  idleMs = 0
  /** Parts of the idle limit without a byte; any byte sets it back to 0. */
  quiet = 0
  readonly #deps: EngineDeps
  readonly #handler: TimeoutHandler
  #requestAtMs = 0
  #tryAtMs = 0
  #idleAtMs = 0
  #bodyAtMs = 0
  #streamAtMs = 0

  constructor(deps: EngineDeps, handler: TimeoutHandler) {
    this.#deps = deps
    this.#handler = handler
  }

  reset(): void {
    this.requestMs = 0
    this.perTryMs = 0
    this.idleMs = 0
    this.quiet = 0
    this.#requestAtMs = 0
    this.#tryAtMs = 0
    this.#idleAtMs = 0
    this.#bodyAtMs = 0
    this.#streamAtMs = 0
  }

  /** No limits any more, e.g. because a tunnel has its own. */
  disarm(): void {
    this.#requestAtMs = 0
    this.#tryAtMs = 0
    this.#idleAtMs = 0
    this.#bodyAtMs = 0
    this.#streamAtMs = 0
    this.#deps.wheel.disarm(this)
  }

  /** As soon as the head is there. In milliseconds, 0 for no limit. */
  armRequest(nowMs: number, bodyMs: number, streamMs: number): void {
    if (bodyMs > 0) this.#bodyAtMs = nowMs + bodyMs
    if (streamMs > 0) this.#streamAtMs = nowMs + streamMs
    this.#arm(nowMs)
  }

  get limitsBody(): boolean {
    return this.#bodyAtMs !== 0
  }

  /** The route's own limit for the stream; 0: none. */
  limitStream(startedMs: number, streamMs: number): void {
    this.#streamAtMs = streamMs === 0 ? 0 : startedMs + streamMs
  }

  /** At the start. The whole exchange's limit counts from the end of the request (as in Envoy). */
  arm(nowMs: number, requestDone: boolean): void {
    if (this.idleMs > 0) this.#idleAtMs = nowMs + this.idleMs / IDLE_PARTS
    if (this.requestMs > 0 && requestDone) this.#requestAtMs = nowMs + this.requestMs
    this.#arm(nowMs)
  }

  requestDone(nowMs: number): void {
    this.#bodyAtMs = 0
    // A deadline runs from the start; the end of the request does not prolong it.
    if (this.requestMs === 0 || this.#requestAtMs !== 0) return
    this.#requestAtMs = nowMs + this.requestMs
    this.#arm(nowMs)
  }

  armTry(nowMs: number): void {
    if (this.perTryMs === 0) return
    this.#tryAtMs = nowMs + this.perTryMs
    this.#arm(nowMs)
  }

  /** The try is over; what follows it is not its time. */
  endTry(): void {
    this.#tryAtMs = 0
  }

  #arm(nowMs: number): void {
    let atMs = Number.POSITIVE_INFINITY
    if (this.#requestAtMs !== 0) atMs = this.#requestAtMs
    if (this.#tryAtMs !== 0 && this.#tryAtMs < atMs) atMs = this.#tryAtMs
    if (this.#idleAtMs !== 0 && this.#idleAtMs < atMs) atMs = this.#idleAtMs
    if (this.#bodyAtMs !== 0 && this.#bodyAtMs < atMs) atMs = this.#bodyAtMs
    if (this.#streamAtMs !== 0 && this.#streamAtMs < atMs) atMs = this.#streamAtMs
    if (atMs !== Number.POSITIVE_INFINITY) this.#deps.wheel.arm(this, atMs - nowMs, nowMs)
  }

  onDeadline(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    if (isDue(this.#streamAtMs, nowMs)) {
      this.#handler.onStreamTimeout()
      return
    }
    if (isDue(this.#bodyAtMs, nowMs)) {
      this.#handler.onBodyTimeout()
      return
    }
    if (isDue(this.#requestAtMs, nowMs)) {
      this.#handler.onRequestTimeout()
      return
    }
    if (isDue(this.#tryAtMs, nowMs)) {
      this.#tryAtMs = 0
      this.#arm(nowMs)
      this.#handler.onTryTimeout()
      return
    }
    if (isDue(this.#idleAtMs, nowMs)) {
      if (++this.quiet >= IDLE_PARTS) {
        this.#handler.onIdleTimeout()
        return
      }
      this.#idleAtMs = nowMs + this.idleMs / IDLE_PARTS
    }
    this.#arm(nowMs)
  }
}

function isDue(atMs: number, nowMs: number): boolean {
  return atMs !== 0 && nowMs >= atMs
}
