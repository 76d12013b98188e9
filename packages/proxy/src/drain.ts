/**
 * Leaves without anybody noticing:
 *
 *     told ──── noticeMs ───► no new connections ───► nobody left, or drainMs over ───► closed
 *      │ control plane: unhealthy        │ idle connections end after IDLE_MS
 *      └ answers: Connection: close
 *
 * A sidecar's way out takes connections to the end: the application may need it
 * to finish what it does.
 */
import type { Clock } from '@weft/base'
import type { ProxyRole } from '@weft/model'
import type { OpenListeners } from './open-listeners.ts'

export interface DrainOptions {
  readonly role: ProxyRole
  readonly noticeMs: number
  /** From the start; the notice is part of it. */
  readonly drainMs: number
}

/** A client that was just about to use its idle connection still may. */
const IDLE_MS = 100

/** Resolves when nobody is left or the time is over and the rest was cut. */
export async function drainListeners(
  listeners: OpenListeners,
  options: DrainOptions,
  clock: Clock,
): Promise<void> {
  const { role, noticeMs, drainMs } = options
  listeners.announceDrain(() => true)
  const waitMs = Math.min(noticeMs, drainMs)
  await pause(clock, waitMs)
  await listeners.stopAccepting((direction) => role === 'gateway' || direction !== 'outbound')
  await listeners.drain({
    idleMs: Math.min(IDLE_MS, drainMs - waitMs),
    deadlineMs: drainMs - waitMs,
  })
}

function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve)
  })
}
