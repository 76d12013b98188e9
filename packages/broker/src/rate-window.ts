/** How often something happened within the current second: enough to tell a flood from a habit. */

const WINDOW_MS = 1_000

export class RateWindow {
  #count = 0
  #sinceMs = 0

  /** Counts one more. False: more than `max` in this second. `nowMs` is monotonic. */
  allows(nowMs: number, max: number): boolean {
    if (nowMs - this.#sinceMs >= WINDOW_MS) {
      this.#sinceMs = nowMs
      this.#count = 0
    }
    return ++this.#count <= max
  }
}
