/**
 * Counts what is legal once and an attack a thousand times: resets, empty frames,
 * settings, pings, priorities, window updates, small breaches. Each has a limit and a
 * counter under Envoy's name.
 */
import type { Http2Counters, Http2Limits } from './contract.ts'

const DEFAULTS: Http2Limits = {
  prematureResets: 500,
  outboundControlFrames: 1_000,
  controlFramesPerSecond: 1_000,
  consecutiveEmptyFrames: 10,
  priorityFramesPerStream: 100,
  windowUpdatesPerDataFrame: 10,
  continuationFrames: 64,
  glitches: 100,
}
const SECOND_MS = 1_000
/** RST_STREAM for streams that are over already, beyond one for each that was opened. */
const STRAY_RESETS = 100
const GLITCH_WINDOW_MS = 10_000

export class AbuseGuard {
  readonly limits: Http2Limits
  readonly #counters: Http2Counters
  readonly #now: () => number
  #secondFrom = 0
  #controlFrames = 0
  #prematureResets = 0
  #openedInSecond = 0
  #dataInSecond = 0
  #strayResets = 0
  #glitchesFrom = 0
  #glitches = 0
  #opened = 0
  #dataFramesSent = 0
  #windowUpdates = 0
  #priorities = 0
  #empty = 0
  #outbound = 0

  constructor(
    limits: Partial<Http2Limits> | undefined,
    counters: Http2Counters,
    now: () => number,
  ) {
    this.limits = { ...DEFAULTS, ...limits }
    this.#counters = counters
    this.#now = now
  }

  opened(nowMs: number): void {
    this.#second(nowMs)
    this.#opened++
    this.#openedInSecond++
    this.#empty = 0
  }

  dataSent(): void {
    this.#dataFramesSent++
    this.#dataInSecond++
  }

  /** What was queued went out. */
  drained(): void {
    this.#outbound = 0
  }

  #second(nowMs: number): void {
    if (nowMs - this.#secondFrom < SECOND_MS) return
    this.#secondFrom = nowMs
    this.#controlFrames = 0
    this.#prematureResets = 0
    this.#openedInSecond = 0
    this.#dataInSecond = 0
  }

  // Each answers whether the limit is passed.

  /** A stream was reset by the client, or by us for what the client did. */
  reset(openedMs: number): boolean {
    const nowMs = this.#now()
    this.#second(nowMs)
    if (nowMs - openedMs >= SECOND_MS) return false
    this.#prematureResets++
    // A client that cancels some of very many calls is a client.
    const most = this.#prematureResets * 2 > this.#openedInSecond
    if (this.#prematureResets < this.limits.prematureResets || !most) return false
    this.#counters.too_many_premature_resets++
    return true
  }

  /**
   * RST_STREAM for a stream that is over: it crossed our answer on the way, which may
   * happen to every stream, but only once.
   */
  strayReset(): boolean {
    if (++this.#strayResets <= STRAY_RESETS + this.#opened) return false
    this.#counters.inbound_control_frames_flood++
    return true
  }

  /**
   * SETTINGS or PING. Clients measure their bandwidth by a PING for what we send
   * (gRPC), so that each stream and each DATA frame earns one.
   */
  control(): boolean {
    this.#second(this.#now())
    const earned = this.#openedInSecond + this.#dataInSecond
    if (++this.#controlFrames <= this.limits.controlFramesPerSecond + earned) return false
    this.#counters.inbound_control_frames_flood++
    return true
  }

  /** An answer that the peer provoked is about to wait in the output. */
  outboundControl(): boolean {
    if (++this.#outbound <= this.limits.outboundControlFrames) return false
    this.#counters.outbound_control_flood++
    return true
  }

  emptyFrame(): boolean {
    if (++this.#empty <= this.limits.consecutiveEmptyFrames) return false
    this.#counters.inbound_empty_frames_flood++
    return true
  }

  fullFrame(): void {
    this.#empty = 0
  }

  priority(): boolean {
    if (++this.#priorities <= this.limits.priorityFramesPerStream * (1 + this.#opened)) return false
    this.#counters.inbound_priority_frames_flood++
    return true
  }

  windowUpdate(): boolean {
    const earned = this.#opened + this.limits.windowUpdatesPerDataFrame * this.#dataFramesSent
    if (++this.#windowUpdates <= 5 + 2 * earned) return false
    this.#counters.inbound_window_update_frames_flood++
    return true
  }

  continuation(frames: number): boolean {
    if (frames <= this.limits.continuationFrames) return false
    this.#counters.inbound_continuation_frames_flood++
    return true
  }

  glitch(): boolean {
    const now = this.#now()
    if (now - this.#glitchesFrom >= GLITCH_WINDOW_MS) {
      this.#glitchesFrom = now
      this.#glitches = 0
    }
    if (++this.#glitches <= this.limits.glitches) return false
    this.#counters.too_many_glitches++
    return true
  }
}
