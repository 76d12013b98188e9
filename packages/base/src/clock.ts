/**
 * Time as a dependency. Whatever waits or stamps takes a `Clock`, so that a test
 * walks through an hour without waiting (`FakeClock` in testkit).
 *
 * The only file that touches `Date.now`, `performance.now` and `setTimeout`.
 */

/** Read once: as a global it is a getter, and that costs as much as asking the clock. */
const { performance } = globalThis

export interface Clock {
  /** Wall-clock time in milliseconds since the epoch; may jump. For logs and certificates. */
  nowMs(): number
  /** Monotonic time in milliseconds with a fraction; never goes back. For durations and deadlines. */
  monotonicMs(): number
  /** Calls `fire` once after `delayMs` (>= 0). The returned function cancels; calling it again is harmless. */
  after(delayMs: number, fire: () => void): () => void
}

/** The clock of the machine. A pending timer does not keep the process alive. */
export const realClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, fire) {
    const timer = setTimeout(fire, delayMs)
    // In browsers, where the SDK runs too, it is a number.
    timer.unref?.()
    return () => clearTimeout(timer)
  },
}

/**
 * Resolves after `delayMs`, or rejects with the signal's reason as soon as it aborts.
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    function onAbort() {
      cancel()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** The longest time that timers take. */
const FOREVER_MS = 0x7fff_ffff

/** For programs that wait for others while they have no socket. The returned function ends it. */
export function keepProcessAlive(): () => void {
  const timer = setInterval(() => {}, FOREVER_MS)
  return () => clearInterval(timer)
}
