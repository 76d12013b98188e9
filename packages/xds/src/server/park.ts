/**
 * When a cluster may be taken away from a client (R8, R8b): not before the client has confirmed
 * routes and listeners that do without it, and not for longer than `PARK_MS` after that was due.
 */
import { FRESH_MS, LDS, PARK_MS, RDS, VHDS } from './rules.ts'
import type { ServedView } from './served.ts'
import type { Sent, StreamState } from './stream-state.ts'

export type Removal =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly untilMs: number }

const ALLOWED: Removal = { allowed: true }

export function mayRemoveCluster(
  state: StreamState,
  view: ServedView,
  name: string,
  nowMs: number,
): Removal {
  if (!state.rules.park) return ALLOWED
  const sinceMs = state.parked.get(name) ?? nowMs
  state.parked.set(name, sinceMs)
  const untilMs = sinceMs + PARK_MS
  if (nowMs >= untilMs) return ALLOWED
  const freshUntilMs = state.openedAtMs + FRESH_MS
  if (state.rules.parkFresh && state.resumed && nowMs < freshUntilMs && !state.types.has(RDS)) {
    return { allowed: false, untilMs: freshUntilMs }
  }
  return mayBeUsed(state, view, name) ? { allowed: false, untilMs } : ALLOWED
}

function mayBeUsed(state: StreamState, view: ServedView, cluster: string): boolean {
  for (const typeUrl of USERS) {
    const type = state.types.get(typeUrl)
    if (type === undefined) continue
    for (const [name, sent] of type.sent) {
      if (mayName(state, view, typeUrl, name, sent, cluster)) return true
    }
  }
  return false
}

const USERS = [RDS, LDS, VHDS] as const

function mayName(
  state: StreamState,
  view: ServedView,
  typeUrl: string,
  name: string,
  sent: Sent,
  cluster: string,
): boolean {
  if (sent.served?.clusters.has(cluster)) return true
  if (sent.olderClusters === undefined) return false
  if (sent.olderClusters !== 'unknown') return sent.olderClusters.has(cluster)
  // Only a version is known of what was before. If nothing was sent since, and it is today's
  // version, so is what it names.
  const current = view.get(typeUrl, name)
  if (sent.served === undefined && current?.version === sent.version)
    return current.clusters.has(cluster)
  return state.rules.parkFresh
}
