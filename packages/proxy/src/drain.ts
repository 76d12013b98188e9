/**
 * Leaves without anybody noticing:
 *
 *     told ─── heard ───► no new connections ───► nobody left, or drainMs over ───► closed
 *      │ control plane: unhealthy        │ idle connections end after IDLE_MS
 *      └ answers: Connection: close
 *
 * A sidecar's way out takes connections to the end: the application may need it
 * to finish what it does. Its callers have heard when they send nothing new: how
 * long that takes depends on the control plane, on them and on the machine, so it
 * is seen, not assumed. A gateway's clients hear nothing; there it is `noticeMs`.
 */
import type { Clock } from '@weft/base'
import type { Listener, ProxyRole } from '@weft/model'
import type { OpenListeners } from './open-listeners.ts'

export interface DrainOptions {
  readonly role: ProxyRole
  /** At least. */
  readonly noticeMs: number
  /** So much longer at most, until callers have heard it and see their requests end. */
  readonly busyMs: number
  /** From the start; the notice is part of it. */
  readonly drainMs: number
}

/** A client that was just about to use its idle connection still may. */
const IDLE_MS = 100
/** Callers send nothing for so long: they have heard. */
const QUIET_MS = 300
/** Looked at so often, that a machine that stands still for a while is not taken for quiet. */
const STEP_MS = 50

const isInbound = (direction: Listener['direction']) => direction !== 'outbound'

/** Resolves when no request runs that came in, or the time is over. Nothing is cut. */
export async function drainInbound(
  listeners: OpenListeners,
  options: DrainOptions,
  clock: Clock,
): Promise<void> {
  const leftMs = await stopCallers(listeners, options, clock)
  listeners.closeIdle(isInbound)
  for (let waitedMs = 0; waitedMs < leftMs; waitedMs += STEP_MS) {
    if (listeners.requests(isInbound).active === 0) return
    await pause(clock, STEP_MS)
  }
}

/** Resolves when nobody is left or the time is over and the rest was cut. */
export async function drainListeners(
  listeners: OpenListeners,
  options: DrainOptions,
  clock: Clock,
): Promise<void> {
  const startedMs = clock.monotonicMs()
  await stopCallers(listeners, options, clock)
  const leftMs = Math.max(0, options.drainMs - (clock.monotonicMs() - startedMs))
  await listeners.drain({ idleMs: Math.min(IDLE_MS, leftMs), deadlineMs: leftMs })
}

/** Nothing is accepted any more afterwards. Resolves with what is left of `busyMs`. */
async function stopCallers(
  listeners: OpenListeners,
  { role, noticeMs, busyMs, drainMs }: DrainOptions,
  clock: Clock,
): Promise<number> {
  listeners.announceDrain(() => true)
  const leastMs = Math.min(noticeMs, drainMs)
  const mostMs = Math.min(role === 'gateway' ? leastMs : leastMs + busyMs, drainMs)
  const wantedMs = Math.min(QUIET_MS, leastMs)
  let passedMs = 0
  let quietMs = 0
  let { begun } = listeners.requests(isInbound)
  while (passedMs < leastMs || (passedMs < mostMs && quietMs < wantedMs)) {
    const stepMs = Math.min(STEP_MS, (passedMs < leastMs ? leastMs : mostMs) - passedMs)
    await pause(clock, stepMs)
    passedMs += stepMs
    const now = listeners.requests(isInbound).begun
    quietMs = now === begun ? quietMs + stepMs : 0
    begun = now
  }
  await listeners.stopAccepting((direction) => role === 'gateway' || isInbound(direction))
  return leastMs + busyMs - passedMs
}

function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve)
  })
}
