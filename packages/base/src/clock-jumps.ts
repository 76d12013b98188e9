/**
 * Says so when the machine's clock is set (F27). Nothing waits by it, every timer is monotonic;
 * but stamps in logs, the age of tokens and certificates go by it, and whoever wonders about them
 * should find the reason.
 */
import type { Clock } from './clock.ts'
import type { Logger } from './log.ts'

const LOOK_EVERY_MS = 1_000
/** Less is a clock that is corrected, or a look that was late between two readings. */
const JUMP_MS = 2_000

/** Logs every jump of the wall clock against the monotonic one. The returned function stops it. */
export function watchClockJumps(clock: Clock, log: Logger): () => void {
  let offsetMs = clock.nowMs() - clock.monotonicMs()
  let cancel: (() => void) | undefined
  const look = () => {
    const nowMs = clock.nowMs() - clock.monotonicMs()
    const byMs = Math.round(nowMs - offsetMs)
    if (Math.abs(byMs) >= JUMP_MS) {
      offsetMs = nowMs
      log.warn('the clock of this machine was set; certificates and tokens go by it', { byMs })
    }
    cancel = clock.after(LOOK_EVERY_MS, look)
  }
  cancel = clock.after(LOOK_EVERY_MS, look)
  return () => cancel?.()
}
