/**
 * What one xDS stream knows of its client: what it asked for, what it was sent and what it
 * said to that. Plain data; `receive.ts` changes it on requests, `flush.ts` when it sends.
 *
 *      request ──► receive ──► names, wildcard ──► asked ───┐
 *      publish ──► markChanged ─────────────────► changed ──┼─► flush ──► response
 *      request with the nonce ──► in flight is answered ────┘      │
 *                     ▲                                            ▼
 *                     └───────────────── in flight ◄───────────────┘
 *
 * At most one response per type is in flight, so a nonce can only mean one of them.
 *
 * Hot: with thousands of streams each look at a stream's maps is a cache miss, so the types
 * that may have something to do stand in a list of their own, and most looks stop there.
 */
import type { ClientKind } from '../node.ts'
import { ALL_RULES, SEND_ORDER, type StreamRules } from './rules.ts'
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

/**
 * Why a name has to be looked at; what is stronger stays.
 *
 *     changed   since it was sent
 *     asked     to be sent even if nothing changed
 *     suspect   of a rejected response, sent one by one to find the culprit (R10)
 */
export type Due = 'changed' | 'asked' | 'suspect'

export interface TypeState {
  readonly typeUrl: string
  /** Place in the order of sending. */
  readonly rank: number
  /** Stands in the stream's list of active types. */
  active: boolean
  /** Asked for everything, by `*` or by naming nothing at all (P5). */
  wildcard: boolean
  /** Has named something, or `*`, on this stream. */
  named: boolean
  readonly names: Set<string>
  readonly sent: Map<string, Sent>
  inFlight: InFlight | undefined
  /** Names that have to be looked at by the next flush, and why. */
  readonly due: Map<string, Due>
  /** The client waits for an answer, even for an empty one. */
  mustAnswer: boolean
  lastNonce: string
  nack: Nack | undefined
}

export interface Nack {
  readonly atMs: number
  readonly message: string
  readonly count: number
  /** All that was refused are listeners that cannot be bound there. */
  readonly isLocal: boolean
}

export interface StreamState {
  readonly protocol: 'sotw' | 'delta'
  readonly kind: ClientKind
  readonly rules: StreamRules
  readonly openedAtMs: number
  readonly types: Map<string, TypeState>
  /** All types with something to do or unanswered, in the order of sending; others may be among them. */
  readonly active: TypeState[]
  /** Types whose last answer was a refusal for more than want of a port. */
  refused: number
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
    active: [],
    refused: 0,
    parked: new Map(),
    resumed: false,
  }
}

export function newTypeState(typeUrl: string): TypeState {
  const rank = SEND_ORDER.indexOf(typeUrl)
  return {
    typeUrl,
    rank: rank < 0 ? SEND_ORDER.length : rank,
    active: false,
    wildcard: false,
    named: false,
    names: new Set(),
    sent: new Map(),
    inFlight: undefined,
    due: new Map(),
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

/** Whoever gives a type something to do says so here. */
export function activate({ active }: StreamState, type: TypeState): void {
  if (type.active) return
  type.active = true
  let at = active.length
  while (at > 0 && (active[at - 1]?.rank ?? 0) > type.rank) at--
  active.splice(at, 0, type)
}

/** Takes from the list what has nothing to do. */
export function deactivateIdle({ active }: StreamState): void {
  let kept = 0
  for (const type of active) {
    type.active = isBusy(type)
    if (type.active) active[kept++] = type
  }
  active.length = kept
}

export function markDue(type: TypeState, name: string, why: Due): void {
  const before = type.due.get(name)
  if (before === undefined || (before !== why && (before === 'changed' || why === 'suspect'))) {
    type.due.set(name, why)
  }
}

/** Resources of a type changed, appeared or went away; the stream may have to say so. */
export function markChanged(state: StreamState, typeUrl: string, names: Iterable<string>): boolean {
  const type = state.types.get(typeUrl)
  if (type === undefined) return false
  let marked = false
  for (const name of names) {
    if (!isSubscribed(type, name) && !type.sent.has(name)) continue
    markDue(type, name, 'changed')
    marked = true
  }
  if (marked) activate(state, type)
  return marked
}

/** Everything may have changed: the view is new for this stream. */
export function markAll(state: StreamState, view: ServedView): void {
  for (const [typeUrl, type] of state.types) {
    for (const name of type.names) markDue(type, name, 'changed')
    for (const name of type.sent.keys()) markDue(type, name, 'changed')
    if (type.wildcard) for (const name of view.names(typeUrl)) markDue(type, name, 'changed')
    activate(state, type)
  }
}

/** Nothing to say and nothing unanswered. */
export function isIdle(state: StreamState): boolean {
  for (const type of state.active) if (isBusy(type)) return false
  return true
}

export function hasWork(type: TypeState): boolean {
  return type.mustAnswer || type.due.size > 0
}

function isBusy(type: TypeState): boolean {
  return type.inFlight !== undefined || hasWork(type)
}
