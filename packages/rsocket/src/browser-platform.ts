/** A browser: WebSocket, and timers that show by their lateness how busy the page is. */
import { type Clock, realClock } from '@weft/base'
import { openWebSocketCarrier } from './link/websocket-carrier.ts'
import type { Platform } from './platform.ts'

const LOOK_MS = 50

/** @param random Uniform in [0, 1). */
export function browserPlatform(random: () => number): Platform {
  const clock = realClock
  const schedule = (fire: () => void) => queueMicrotask(fire)
  const deps = { schedule, after: clock.after }
  return {
    clock,
    random,
    schemes: ['ws', 'wss'],
    schedule,
    dial: (uri, _tls, handler) => openWebSocketCarrier(uri, deps, handler),
    stay: () => () => {},
    openLagMeter: () => openTimerMeter(clock),
  }
}

function openTimerMeter(clock: Clock) {
  let worstMs = 0
  let cancel = () => {}
  const look = () => {
    const atMs = clock.monotonicMs()
    cancel = clock.after(LOOK_MS, () => {
      worstMs = Math.max(worstMs, clock.monotonicMs() - atMs - LOOK_MS)
      look()
    })
  }
  look()
  return {
    takeMs() {
      const lagMs = worstMs
      worstMs = 0
      return lagMs
    },
    close: () => cancel(),
  }
}
