/** Connections that nobody new is sent to end when the last stream on them is over. */
import type { Clock } from '@weft/base'
import type { Leg } from '../leg.ts'

const LOOK_MS = 50

/** Calls `done` when nothing is open on the leg any more, or after the limit; never if it goes by itself. */
export function whenQuiet(clock: Clock, leg: Leg, limitMs: number, done: () => void): void {
  const endMs = clock.monotonicMs() + limitMs
  const look = () => {
    if (leg.closed) return
    const isQuiet = leg.streams.size === 0 && (leg.hop?.openStreams ?? 0) === 0
    if (isQuiet || clock.monotonicMs() >= endMs) done()
    else clock.after(LOOK_MS, look)
  }
  clock.after(LOOK_MS, look)
}
