/**
 * What a stream may send now, in which order, and what has to wait (rules R7 to R13).
 *
 * A pure function of the stream's state, the resources and the time; it changes the state as if
 * everything that it returns had been written.
 */
import { mayRemoveCluster } from './park.ts'
import {
  CDS,
  comesWhole,
  EDS,
  FRESH_MS,
  LDS,
  MAX_RESPONSE_BYTES,
  RDS,
  ROUTE_GATE_MS,
  VHDS,
} from './rules.ts'
import type { Served, ServedView } from './served.ts'
import {
  activate,
  deactivateIdle,
  GONE,
  hasWork,
  holds,
  isSubscribed,
  markDue,
  type Sent,
  type StreamState,
  type TypeState,
} from './stream-state.ts'

export interface Response {
  readonly typeUrl: string
  readonly resources: readonly Served[]
  /** Delta only. */
  readonly removed: readonly string[]
}

export interface Flushed {
  /** When something that is held back has to be looked at again; `undefined`: not by time. */
  readonly wakeAtMs: number | undefined
}

/** Writes a response and returns its nonce. */
export type Write = (response: Response, lastNonce: string) => string

export function flush(state: StreamState, view: ServedView, nowMs: number, write: Write): Flushed {
  const pass = new Pass(state, view, nowMs, write)
  // A listener that is written may make secrets due, which come before it in the order.
  while (pass.run()) pass.wakeAtMs = undefined
  deactivateIdle(state)
  return { wakeAtMs: pass.wakeAtMs }
}

type Verdict =
  /** @property again Is looked at again when this was answered. */
  | { readonly kind: 'send'; readonly served: Served; readonly again: boolean }
  | { readonly kind: 'remove' | 'skip' }
  | Hold

interface Hold {
  readonly kind: 'hold'
  readonly untilMs: number | undefined
}

const SKIP: Verdict = { kind: 'skip' }
const REMOVE: Verdict = { kind: 'remove' }

class Pass {
  readonly #state: StreamState
  readonly #view: ServedView
  readonly #nowMs: number
  readonly #write: Write
  wakeAtMs: number | undefined

  constructor(state: StreamState, view: ServedView, nowMs: number, write: Write) {
    this.#state = state
    this.#view = view
    this.#nowMs = nowMs
    this.#write = write
  }

  /** One round over all types; true when something was written. */
  run(): boolean {
    let wrote = false
    // What is written may give types further down the list something to do.
    for (const type of this.#state.active) {
      if (type.inFlight !== undefined || !hasWork(type)) continue
      const { typeUrl } = type
      if (this.#state.rules.endpointsGate && typeUrl === EDS && this.#clustersUnanswered()) continue
      const response =
        this.#state.protocol === 'sotw' && comesWhole(typeUrl)
          ? this.#planWhole(typeUrl, type)
          : this.#planParts(typeUrl, type)
      if (response === undefined) continue
      this.#record(type, response)
      wrote = true
    }
    return wrote
  }

  /** Delta, and the state-of-the-world types whose responses may be partial. */
  #planParts(typeUrl: string, type: TypeState): Response | undefined {
    const resources: Served[] = []
    const removed: string[] = []
    let size = 0
    for (const name of candidates(type)) {
      const forced = type.due.get(name) !== 'changed'
      const verdict = this.#decide(typeUrl, type, name, forced)
      if (verdict.kind === 'hold') {
        this.#wakeAt(verdict.untilMs)
        continue
      }
      if (verdict.kind === 'send') {
        const tooMuch = resources.length > 0 && size + verdict.served.size > MAX_RESPONSE_BYTES
        if (tooMuch) break
        resources.push(verdict.served)
        size += verdict.served.size
      }
      if (verdict.kind === 'remove' && this.#state.protocol === 'delta') removed.push(name)
      this.#noteDecided(type, name, verdict)
    }
    const nothing = resources.length === 0 && removed.length === 0
    if (nothing && !(type.mustAnswer && this.#state.protocol === 'delta')) return undefined
    type.mustAnswer = false
    return { typeUrl, resources, removed }
  }

  #noteDecided(type: TypeState, name: string, verdict: Verdict): void {
    if (verdict.kind === 'send' && verdict.again) type.due.set(name, 'changed')
    else type.due.delete(name)
    if (type.typeUrl === CDS && verdict.kind !== 'skip') this.#state.parked.delete(name)
  }

  /** State-of-the-world listeners and clusters: all of them, or nothing has changed. */
  #planWhole(typeUrl: string, type: TypeState): Response | undefined {
    let changed = type.mustAnswer
    const resources = new Map<string, Served>()
    const subscribed = type.wildcard ? this.#view.names(typeUrl) : type.names
    for (const name of new Set([...subscribed, ...type.names])) {
      const served = this.#view.get(typeUrl, name) ?? this.#kept(typeUrl, type, name)
      if (served === undefined) continue
      const gate = this.#gate(typeUrl, served)
      if (gate !== undefined) {
        this.#wakeAt(gate.untilMs)
        return undefined
      }
      resources.set(name, served)
      if (type.due.get(name) === 'asked' || type.sent.get(name)?.version !== served.version)
        changed = true
    }
    const waiting: string[] = []
    for (const name of type.sent.keys()) {
      if (resources.has(name)) continue
      const kept = this.#parked(typeUrl, name)
      if (kept === undefined) {
        changed = true
        continue
      }
      waiting.push(name)
      resources.set(name, kept)
    }
    type.due.clear()
    for (const name of waiting) markDue(type, name, 'changed')
    if (!changed) return undefined
    for (const name of type.sent.keys()) {
      if (resources.has(name)) continue
      type.sent.delete(name)
      this.#state.parked.delete(name)
    }
    type.mustAnswer = false
    return { typeUrl, resources: [...resources.values()], removed: [] }
  }

  /** What the client has of something whose newest version is held back from it. */
  #kept(typeUrl: string, type: TypeState, name: string): Served | undefined {
    return this.#view.isHeldBack(typeUrl, name) ? type.sent.get(name)?.served : undefined
  }

  /** The last version of a cluster that is gone but may not go yet. */
  #parked(typeUrl: string, name: string): Served | undefined {
    if (typeUrl !== CDS) return undefined
    const verdict = mayRemoveCluster(this.#state, this.#view, name, this.#nowMs)
    if (verdict.allowed) return undefined
    this.#wakeAt(verdict.untilMs)
    return this.#view.tombstone(CDS, name)
  }

  #decide(typeUrl: string, type: TypeState, name: string, forced: boolean): Verdict {
    const subscribed = isSubscribed(type, name)
    const sent = type.sent.get(name)
    const served = subscribed ? this.#view.get(typeUrl, name) : undefined
    if (served !== undefined) {
      if (!forced && sent?.version === served.version) {
        // Known by its version from before a reconnect: now it is known what it names.
        if (sent.served === undefined) {
          sent.served = served
          sent.olderClusters = undefined
        }
        return SKIP
      }
      return this.#gate(typeUrl, served) ?? { kind: 'send', served, again: false }
    }
    if (subscribed && holds(type, name) && this.#view.isHeldBack(typeUrl, name)) return SKIP
    if (typeUrl === EDS && subscribed && this.#state.rules.answerEndpoints) {
      return this.#missingEndpoints(type, name, sent, forced)
    }
    return this.#missing(type, name, forced)
  }

  #missing(type: TypeState, name: string, forced: boolean): Verdict {
    const has = holds(type, name)
    if (!forced && !has) return SKIP
    if (type.typeUrl === CDS && has) {
      const verdict = mayRemoveCluster(this.#state, this.#view, name, this.#nowMs)
      if (!verdict.allowed) return { kind: 'hold', untilMs: verdict.untilMs }
    }
    return REMOVE
  }

  /** R12, R12a: an answer always; the last endpoints as long as the client may use the cluster. */
  #missingEndpoints(
    type: TypeState,
    name: string,
    sent: Sent | undefined,
    forced: boolean,
  ): Verdict {
    const answer = (served: Served, again: boolean): Verdict =>
      !forced && sent?.version === served.version ? SKIP : { kind: 'send', served, again }
    const none = this.#view.noEndpoints(name)
    const mayKeep = this.#state.rules.keepEndpoints && sent?.version !== none.version
    if (!mayKeep || !this.#clusterMayBeUsed(name)) return answer(none, false)
    const last = this.#view.tombstone(EDS, name)
    if (last !== undefined) {
      // The name stays due: when the cluster has gone, so do its endpoints.
      const verdict = answer(last, true)
      return verdict.kind === 'skip' ? { kind: 'hold', untilMs: undefined } : verdict
    }
    const untilMs = this.#state.openedAtMs + FRESH_MS
    if (!holds(type, name) || this.#nowMs >= untilMs) return answer(none, false)
    return { kind: 'hold', untilMs }
  }

  #clusterMayBeUsed(endpointsName: string): boolean {
    const clusters = this.#state.types.get(CDS)
    if (clusters === undefined) {
      return this.#nowMs < this.#state.openedAtMs + FRESH_MS && this.#state.kind !== 'grpc'
    }
    if (holds(clusters, endpointsName)) return true
    for (const { version, served } of clusters.sent.values()) {
      if (version === GONE || served === undefined) continue
      const uses = served.needs.some((need) => need.typeUrl === EDS && need.name === endpointsName)
      if (uses) return true
    }
    return false
  }

  /** R11 and R13: what a route or listener has to wait for. */
  #gate(typeUrl: string, served: Served): Hold | undefined {
    const isRoute = typeUrl === RDS || typeUrl === VHDS
    if (!isRoute && typeUrl !== LDS) return undefined
    if (this.#state.rules.clustersFirst) {
      for (const name of served.clusters) {
        const wait = this.#clusterWait(name)
        if (wait !== undefined) return wait
      }
    }
    if (!isRoute || !this.#state.rules.routeGate || this.#state.kind !== 'envoy') return undefined
    const waiting = this.#state.types.get(CDS)?.inFlight
    if (waiting === undefined) return undefined
    const untilMs = waiting.atMs + ROUTE_GATE_MS
    return this.#nowMs < untilMs ? { kind: 'hold', untilMs } : undefined
  }

  /** A cluster that exists, is wanted and was not written yet is worth waiting for. */
  #clusterWait(name: string): Hold | undefined {
    const clusters = this.#state.types.get(CDS)
    if (this.#view.get(CDS, name) === undefined || holds(clusters, name)) return undefined
    if (clusters !== undefined) {
      return isSubscribed(clusters, name) ? { kind: 'hold', untilMs: undefined } : undefined
    }
    // A gRPC client asks for clusters when it knows the routes; others ask for clusters first.
    const untilMs = this.#state.openedAtMs + FRESH_MS
    const wait = this.#state.kind !== 'grpc' && this.#nowMs < untilMs
    return wait ? { kind: 'hold', untilMs } : undefined
  }

  #clustersUnanswered(): boolean {
    return this.#state.types.get(CDS)?.inFlight !== undefined
  }

  #record(type: TypeState, response: Response): void {
    for (const served of response.resources) {
      noteSent(type, served.name, served.version, served)
      this.#replay(response.typeUrl, served)
    }
    for (const name of response.removed) noteSent(type, name, GONE)
    const nonce = this.#write(response, type.lastNonce)
    type.lastNonce = nonce
    const names = [...response.resources.map((served) => served.name), ...response.removed]
    type.inFlight = { nonce, names, atMs: this.#nowMs }
  }

  /** R7: an Envoy that takes a cluster anew waits for its endpoints anew (envoy#47302). */
  #replay(typeUrl: string, served: Served): void {
    const { rules, kind, types } = this.#state
    if (!rules.replay || kind !== 'envoy' || (typeUrl !== CDS && typeUrl !== LDS)) return
    for (const need of served.needs) {
      const type = types.get(need.typeUrl)
      if (!type?.names.has(need.name)) continue
      markDue(type, need.name, 'asked')
      activate(this.#state, type)
    }
  }

  #wakeAt(atMs: number | undefined): void {
    if (atMs === undefined) return
    this.wakeAtMs = Math.min(this.wakeAtMs ?? atMs, atMs)
  }
}

/** One suspect alone, else everything that is due: what was asked for first. */
function candidates({ due }: TypeState): readonly string[] {
  if (due.size === 1) return [...due.keys()]
  const asked: string[] = []
  const changed: string[] = []
  for (const [name, why] of due) {
    if (why === 'suspect') return [name]
    if (why === 'asked') asked.push(name)
    else changed.push(name)
  }
  return asked.length === 0 ? changed : [...asked, ...changed]
}

function noteSent(type: TypeState, name: string, version: string, served?: Served): void {
  const before = type.sent.get(name)
  if (before === undefined) {
    type.sent.set(name, {
      version,
      served,
      olderClusters: undefined,
      rejected: false,
      message: undefined,
    })
    return
  }
  before.olderClusters = clustersBefore(before)
  before.version = version
  before.served = served
  before.rejected = false
  before.message = undefined
}

/** Until the answer comes, the client may be using any version that it had. */
function clustersBefore({ olderClusters, served }: Sent): Sent['olderClusters'] {
  if (olderClusters === 'unknown') return 'unknown'
  if (olderClusters === undefined || olderClusters.size === 0) return served?.clusters
  return served === undefined ? olderClusters : olderClusters.union(served.clusters)
}
