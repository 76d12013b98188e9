/**
 * Leaves without anybody noticing:
 *
 *     told ──── noticeMs ───► no new connections ───► nobody left, or drainMs over ───► closed
 *      │ control plane: unhealthy        │ idle connections closed
 *      └ answers: Connection: close
 *
 * A sidecar's way out stays open to the end: the application may need it to
 * finish what it does.
 */
import type { Clock } from '@weft/base'
import type { Listener, ProxyRole } from '@weft/model'
import type { OpenListeners } from './open-listeners.ts'

export interface DrainOptions {
  readonly role: ProxyRole
  readonly noticeMs: number
  /** From the start; the notice is part of it. */
  readonly drainMs: number
}

/** How often the remaining connections are counted. */
const COUNT_MS = 20

/** Resolves when nobody is left or the time is over. */
export async function drainListeners(
  listeners: OpenListeners,
  options: DrainOptions,
  clock: Clock,
): Promise<void> {
  const { role, noticeMs, drainMs } = options
  const isLeaving = (direction: Listener['direction']) =>
    role === 'gateway' || direction !== 'outbound'
  const endsAtMs = clock.monotonicMs() + drainMs
  listeners.announceDrain(() => true)
  await pause(clock, Math.min(noticeMs, drainMs))
  await listeners.stopAccepting(isLeaving)
  // Connections that came or fell idle during the notice.
  listeners.announceDrain(() => true)
  while (listeners.connections() > 0 && clock.monotonicMs() < endsAtMs) {
    await pause(clock, COUNT_MS)
  }
}

function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve)
  })
}
