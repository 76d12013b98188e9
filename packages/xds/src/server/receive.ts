/**
 * A request on an xDS stream: an answer to what was sent, a change of what is wanted, or both
 * (rules P3 to P11 of the design).
 */
import { cannotBind } from './cannot-bind.ts'
import { CDS, comesWhole, EDS, LDS } from './rules.ts'
import type { ServedView } from './served.ts'
import {
  activate,
  GONE,
  markDue,
  type Nack,
  newTypeState,
  type StreamState,
  type TypeState,
} from './stream-state.ts'

export interface SotwRequest {
  readonly typeUrl: string
  readonly nonce: string
  readonly error: string | undefined
  readonly names: readonly string[]
  readonly version: string
}

export interface DeltaRequest {
  readonly typeUrl: string
  readonly nonce: string
  readonly error: string | undefined
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  readonly initialVersions: ReadonlyMap<string, string>
}

/** What the client said to the response in flight; `undefined` when it said nothing. */
export interface Answered {
  readonly names: readonly string[]
  readonly error: string | undefined
  /** What was refused for certain: it was named, or there was nothing else in the response. */
  readonly blamed: readonly Blamed[]
}

interface Blamed {
  readonly name: string
  readonly version: string
}

/** @param view `undefined` while the stream's view is not published. */
export function receiveDelta(
  state: StreamState,
  request: DeltaRequest,
  view: ServedView | undefined,
  nowMs: number,
): Answered | undefined {
  const known = state.types.get(request.typeUrl)
  const type = known ?? addType(state, request.typeUrl)
  activate(state, type)
  const inFlight = takeInFlight(type, request.nonce)
  if (known === undefined) resume(state, type, request.initialVersions)
  changeDelta(type, request, known === undefined, view)
  // An Envoy that lost its stream between a cluster and its endpoints still waits for them, though
  // it says that it has them: what it has came before the cluster.
  if (known === undefined && request.typeUrl === EDS && replays(state)) askAll(state, type)
  if (inFlight === undefined) return undefined
  return settle(state, type, inFlight, request.error, nowMs)
}

export function receiveSotw(
  state: StreamState,
  request: SotwRequest,
  view: ServedView | undefined,
  nowMs: number,
): Answered | undefined {
  const known = state.types.get(request.typeUrl)
  // P4: an answer to something older than the last response; the client will ask again.
  if (request.nonce !== '' && request.nonce !== (known?.lastNonce ?? '')) return undefined
  const type = known ?? addType(state, request.typeUrl)
  activate(state, type)
  if (known === undefined && request.version !== '' && request.typeUrl === CDS) {
    assumeTombstones(state, type, view)
  }
  const inFlight = takeInFlight(type, request.nonce)
  changeSotw(type, request, view)
  if (inFlight === undefined) return undefined
  return settle(state, type, inFlight, request.error, nowMs)
}

function addType(state: StreamState, typeUrl: string): TypeState {
  const type = newTypeState(typeUrl)
  state.types.set(typeUrl, type)
  // Envoy asks for endpoints before clusters after some reconnects (envoy#36951), and then waits
  // for endpoints that come after the clusters.
  const endpoints = state.types.get(EDS)
  if (typeUrl === CDS && endpoints !== undefined && replays(state)) askAll(state, endpoints)
  return type
}

function replays({ rules, kind }: StreamState): boolean {
  return rules.replay && kind === 'envoy'
}

function askAll(state: StreamState, type: TypeState): void {
  for (const name of type.names) markDue(type, name, 'asked')
  activate(state, type)
}

function takeInFlight(type: TypeState, nonce: string): TypeState['inFlight'] {
  const { inFlight } = type
  if (inFlight === undefined || nonce === '' || inFlight.nonce !== nonce) return undefined
  type.inFlight = undefined
  return inFlight
}

/** P11: what the client brings from before the reconnect counts as sent. */
function resume(state: StreamState, type: TypeState, versions: ReadonlyMap<string, string>): void {
  for (const [name, version] of versions) {
    state.resumed = true
    type.sent.set(name, unknownSent(version))
    markDue(type, name, 'changed')
  }
}

function unknownSent(version: string) {
  return {
    version,
    served: undefined,
    olderClusters: 'unknown' as const,
    rejected: false,
    message: undefined,
  }
}

/** State-of-the-world says no versions: a client that comes back may hold whatever is gone. */
function assumeTombstones(state: StreamState, type: TypeState, view: ServedView | undefined): void {
  state.resumed = true
  for (const name of view?.tombstones(CDS) ?? []) type.sent.set(name, unknownSent('?'))
}

function changeDelta(
  type: TypeState,
  request: DeltaRequest,
  first: boolean,
  view: ServedView | undefined,
): void {
  const { typeUrl, subscribe, unsubscribe } = request
  // P5: naming nothing at all in the first request means everything, for these types only.
  if (first && subscribe.length === 0 && comesWhole(typeUrl)) startWildcard(type, typeUrl, view)
  for (const name of subscribe) {
    type.named = true
    if (name === '*') {
      startWildcard(type, typeUrl, view)
      continue
    }
    type.names.add(name)
    // P8: asking again is a question, even if nothing changed. What the client says it holds
    // when it comes back is none.
    if (first && request.initialVersions.has(name)) markDue(type, name, 'changed')
    else markDue(type, name, 'asked')
  }
  for (const name of unsubscribe) {
    if (name === '*') {
      type.wildcard = false
      type.mustAnswer = false
      forgetUnnamed(type)
      continue
    }
    if (!type.names.delete(name) && !type.wildcard) continue
    // P8: under a wildcard the client still gets it, and wants to hear so.
    if (type.wildcard) markDue(type, name, 'asked')
    else forget(type, name)
  }
}

function changeSotw(type: TypeState, request: SotwRequest, view: ServedView | undefined): void {
  const { typeUrl, names, nonce } = request
  const wanted = new Set(names)
  const everything = wanted.delete('*')
  const legacy = names.length === 0 && comesWhole(typeUrl) && !type.named
  if (names.length > 0) type.named = true
  if (everything || legacy) {
    if (!type.wildcard || nonce === '') startWildcard(type, typeUrl, view)
  } else if (type.wildcard) {
    type.wildcard = false
    type.mustAnswer = true
  }
  for (const name of type.names) {
    if (wanted.has(name)) continue
    type.names.delete(name)
    if (!type.wildcard) forget(type, name)
  }
  for (const name of wanted) {
    // P10: new names are answered; without a nonce the client asks for all of them again.
    if (type.names.has(name) && nonce !== '') continue
    type.names.add(name)
    markDue(type, name, 'asked')
    if (comesWhole(typeUrl)) type.mustAnswer = true
  }
  if (!type.wildcard) forgetUnnamed(type)
}

function startWildcard(type: TypeState, typeUrl: string, view: ServedView | undefined): void {
  type.wildcard = true
  // Even nothing is an answer that clients wait for with everything else.
  type.mustAnswer = true
  for (const name of view?.names(typeUrl) ?? []) markDue(type, name, 'changed')
}

function forgetUnnamed(type: TypeState): void {
  for (const name of [...type.sent.keys(), ...type.due.keys()]) {
    if (!type.names.has(name)) forget(type, name)
  }
}

function forget(type: TypeState, name: string): void {
  type.sent.delete(name)
  type.due.delete(name)
}

const NOTHING: readonly Blamed[] = []
const NOBODY: ReadonlySet<string> = new Set()

/** P3: a refusal is one because it says so, never because of versions. */
function settle(
  state: StreamState,
  type: TypeState,
  { names }: NonNullable<TypeState['inFlight']>,
  error: string | undefined,
  nowMs: number,
): Answered {
  const suspects = error === undefined ? NOBODY : suspectsOf(names, error)
  for (const name of names) {
    const sent = type.sent.get(name)
    if (sent === undefined) continue
    if (sent.version === GONE) {
      type.sent.delete(name)
    } else if (suspects.has(name)) {
      sent.rejected = true
      sent.message = error
    } else {
      sent.olderClusters = undefined
      sent.rejected = false
      sent.message = undefined
    }
  }
  if (error === undefined) {
    setNack(state, type, undefined)
    return { names, error, blamed: NOTHING }
  }
  const isLocal =
    type.typeUrl === LDS && [...suspects].every((name) => cannotBind(name, error) !== undefined)
  const count = (type.nack?.count ?? 0) + 1
  setNack(state, type, { atMs: nowMs, message: error, count, isLocal })
  // What one machine has no port for is good elsewhere.
  if (isLocal) return { names: [...suspects], error, blamed: NOTHING }
  const isCertain = names.length === 1 || mentionsAny(names, error)
  if (!isCertain) isolate(type, names)
  return { names: [...suspects], error, blamed: isCertain ? versionsOf(type, suspects) : NOTHING }
}

function setNack(state: StreamState, type: TypeState, nack: Nack | undefined): void {
  if (type.nack?.isLocal === false) state.refused--
  if (nack?.isLocal === false) state.refused++
  type.nack = nack
}

function versionsOf(type: TypeState, names: Iterable<string>): Blamed[] {
  return [...names].flatMap((name) => {
    const version = type.sent.get(name)?.version
    return version === undefined || version === GONE ? [] : [{ name, version }]
  })
}

/** Nobody was named: one of several is bad, and the others should not pay for it. */
function isolate(type: TypeState, names: readonly string[]): void {
  for (const name of names) if (type.sent.has(name)) markDue(type, name, 'suspect')
}

/** Clients use what is good in a response and name what is not; if they name nothing, it is all. */
function suspectsOf(names: readonly string[], error: string): Set<string> {
  const named = names.filter((name) => mentions(error, name))
  return new Set(named.length > 0 ? named : names)
}

function mentionsAny(names: readonly string[], error: string): boolean {
  return names.some((name) => mentions(error, name))
}

/** Whole names only: `a` is not mentioned by `a.b`. */
function mentions(error: string, name: string): boolean {
  for (let at = error.indexOf(name); at >= 0; at = error.indexOf(name, at + 1)) {
    const before = error[at - 1] ?? ' '
    const after = error.slice(at + name.length, at + name.length + 2)
    // A full stop that ends a sentence is no part of a name.
    if (!/[\w|/-]/.test(before) && !/^([\w|/-]|\.\w)/.test(after)) return true
  }
  return false
}
