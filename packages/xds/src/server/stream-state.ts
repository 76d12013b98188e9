/**
 * What one xDS stream knows of its client: what it asked for, what it was sent and what it
 * said to that. Plain data; `receive.ts` changes it on requests, `flush.ts` when it sends.
 *
 *      request ──► receive ──► names, wildcard ──► force ─┐
 *      publish ──► markChanged ─────────────────► dirty ──┼─► flush ──► response
 *      request with the nonce ──► in flight is answered ──┘      │
 *                     ▲                                          ▼
 *                     └───────────────── in flight ◄─────────────┘
 *
 * At most one response per type is in flight, so a nonce can only mean one of them.
 */
import type { ClientKind } from '../node.ts'
import { ALL_RULES, type StreamRules } from './rules.ts'
import type { Served, ServedView } from './served.ts'

/** Version of something that the client was told does not exist (any more). */
export const GONE = ''

export interface Sent {
  version: string
  /** Absent when only the version is known, from before a reconnect. */
  served: Served | undefined
  /** Clusters that versions before this one name, which the client may still be using. */
  olderClusters: ReadonlySet<string> | 'unknown' | undefined
  rejected: boolean
  message: string | undefined
}

interface InFlight {
  readonly nonce: string
  readonly names: readonly string[]
  readonly atMs: number
}

export interface TypeState {
  /** Asked for everything, by `*` or by naming nothing at all (P5). */
  wildcard: boolean
  /** Has named something, or `*`, on this stream. */
  named: boolean
  readonly names: Set<string>
  readonly sent: Map<string, Sent>
  inFlight: InFlight | undefined
  /** Changed since they were sent. */
  readonly dirty: Set<string>
  /** To be sent even if nothing changed. */
  readonly force: Set<string>
  /** Suspects of a rejected response, sent one by one to find the culprit (R10). */
  readonly isolate: Set<string>
  /** The client waits for an answer, even for an empty one. */
  mustAnswer: boolean
  lastNonce: string
  nack: { atMs: number; message: string; count: number } | undefined
}

export interface StreamState {
  readonly protocol: 'sotw' | 'delta'
  readonly kind: ClientKind
  readonly rules: StreamRules
  readonly openedAtMs: number
  readonly types: Map<string, TypeState>
  /** Clusters whose removal waits, and since when. */
  readonly parked: Map<string, number>
  /** The client brought versions from an earlier stream. */
  resumed: boolean
}

export function openStream(
  protocol: 'sotw' | 'delta',
  kind: ClientKind,
  nowMs: number,
  rules: StreamRules = ALL_RULES,
): StreamState {
  return {
    protocol,
    kind,
    rules,
    openedAtMs: nowMs,
    types: new Map(),
    parked: new Map(),
    resumed: false,
  }
}

export function newTypeState(): TypeState {
  return {
    wildcard: false,
    named: false,
    names: new Set(),
    sent: new Map(),
    inFlight: undefined,
    dirty: new Set(),
    force: new Set(),
    isolate: new Set(),
    mustAnswer: false,
    lastNonce: '',
    nack: undefined,
  }
}

export function isSubscribed(type: TypeState, name: string): boolean {
  return type.wildcard || type.names.has(name)
}

/** Whether the client has this name, in whatever version. */
export function holds(type: TypeState | undefined, name: string): boolean {
  const sent = type?.sent.get(name)
  return sent !== undefined && sent.version !== GONE
}

/** Resources of a type changed, appeared or went away; the stream may have to say so. */
export function markChanged(state: StreamState, typeUrl: string, names: Iterable<string>): boolean {
  const type = state.types.get(typeUrl)
  if (type === undefined) return false
  let marked = false
  for (const name of names) {
    if (!isSubscribed(type, name) && !type.sent.has(name)) continue
    type.dirty.add(name)
    marked = true
  }
  return marked
}

/** Everything may have changed: the view is new for this stream. */
export function markAll(state: StreamState, view: ServedView): void {
  for (const [typeUrl, type] of state.types) {
    for (const name of type.names) type.dirty.add(name)
    for (const name of type.sent.keys()) type.dirty.add(name)
    if (type.wildcard) for (const name of view.names(typeUrl)) type.dirty.add(name)
  }
}

/** Nothing to say and nothing unanswered. */
export function isIdle(state: StreamState): boolean {
  for (const type of state.types.values()) {
    if (type.inFlight !== undefined || type.mustAnswer) return false
    if (type.dirty.size > 0 || type.force.size > 0 || type.isolate.size > 0) return false
  }
  return true
}
