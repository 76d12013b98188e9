/** How long a client's HTTP/1.1 connection may last, and how many requests it may carry. */
import type { HttpConnectionManager } from '@weft/model'
import type { EngineDeps } from '../exchange/contract.ts'
import type { OverloadState } from '../overload/overload-state.ts'

/** Between the age limit and the end without a further request; Envoy's drain time. */
const DRAIN_MS = 5_000

export class ConnectionAge {
  #openedMs = 0
  #idleSinceMs = 0
  #served = 0
  #worn = false

  /** Its next answer asks the client to go. */
  get worn(): boolean {
    return this.#worn
  }

  begin(nowMs: number): void {
    this.#openedMs = nowMs
  }

  /** One more request is there. */
  serve(manager: HttpConnectionManager, nowMs: number): void {
    const { maxRequestsPerConnection: most, maxConnectionDurationMs: longest } = manager
    this.#served++
    if (most !== undefined && this.#served >= most) this.#worn = true
    if (longest !== undefined && nowMs - this.#openedMs >= longest) this.#worn = true
  }

  /**
   * How long it may rest from now on, in milliseconds; 0: as long as it likes. Who asks again soon
   * after the age limit is still answered: a close could cross the request.
   */
  restMs(
    { idleTimeoutMs: fullMs, maxConnectionDurationMs }: HttpConnectionManager,
    nowMs: number,
    overload: OverloadState | undefined,
  ): number {
    this.#idleSinceMs = nowMs
    const idleMs = overload === undefined ? fullMs : overload.idleMs(fullMs)
    if (maxConnectionDurationMs === undefined) return idleMs
    const leftMs = Math.max(1, this.#openedMs + maxConnectionDurationMs + DRAIN_MS - nowMs)
    return idleMs === 0 ? leftMs : Math.min(idleMs, leftMs)
  }

  /** What is left of a rest that has begun; `undefined`: it has no end. */
  leftMs(manager: HttpConnectionManager, { clock, overload }: EngineDeps): number | undefined {
    const sinceMs = this.#idleSinceMs
    const restMs = this.restMs(manager, sinceMs, overload)
    return restMs === 0 ? undefined : Math.max(1, sinceMs + restMs - clock.monotonicMs())
  }
}
