/** How long a client's HTTP/1.1 connection may last, and how many requests it may carry. */
import type { HttpConnectionManager } from '@weft/model'

/** Between the age limit and the end without a further request; Envoy's drain time. */
const DRAIN_MS = 5_000

export class ConnectionAge {
  #openedMs = 0
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
   * How long it may rest, in milliseconds; 0: as long as it likes. Who asks again soon after the
   * age limit is still answered: a close could cross the request.
   */
  restMs({ idleTimeoutMs, maxConnectionDurationMs }: HttpConnectionManager, nowMs: number): number {
    if (maxConnectionDurationMs === undefined) return idleTimeoutMs
    const leftMs = Math.max(1, this.#openedMs + maxConnectionDurationMs + DRAIN_MS - nowMs)
    return idleTimeoutMs === 0 ? leftMs : Math.min(idleTimeoutMs, leftMs)
  }
}
