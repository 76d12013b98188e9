/**
 * Who refused what, and what is therefore held back (R10): a version that more than a few nodes of
 * one kind have refused is not sent to further nodes of that kind. They keep, or get, the last
 * version that nobody refused. A new version starts with a clean sheet.
 *
 *     refused by 1 … limit nodes ──► counted
 *     refused by one more ─────────► held back ──► another version is published ──► forgotten
 */
import type { ClientKind } from '../node.ts'
import type { Served, ServedView } from './served.ts'

/** A version that is held back from nodes that do not have it. */
export interface Quarantined {
  readonly kind: ClientKind
  readonly typeUrl: string
  readonly name: string
  readonly version: string
  /** How many nodes have refused it. */
  readonly nodes: number
  readonly sinceMs: number
  /** Of the node that refused it last. */
  readonly message: string
}

export interface Refusal {
  readonly kind: ClientKind
  readonly typeUrl: string
  readonly name: string
  readonly version: string
  readonly node: string
  readonly message: string
}

interface Record {
  readonly refusal: Refusal
  readonly nodes: Set<string>
  message: string
  sinceMs: number | undefined
}

/** What the published view and its past look like to the quarantine. */
export interface PublishedView extends ServedView {
  get(typeUrl: string, name: string): Served | undefined
  /** The version before the published one that nobody had refused when it was replaced. */
  before(typeUrl: string, name: string): Served | undefined
}

export class Quarantine {
  readonly #limit: number
  readonly #records = new Map<string, Record>()
  #held = 0

  /** @param limit So many nodes of a kind may refuse a version before it is held back. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Hot: nearly always nothing is held back. */
  get isEmpty(): boolean {
    return this.#held === 0
  }

  /** True when this refusal was the one too many. */
  refused(refusal: Refusal, nowMs: number): boolean {
    const key = keyOf(refusal.kind, refusal.typeUrl, refusal.name, refusal.version)
    const record = this.#records.get(key) ?? newRecord(refusal)
    this.#records.set(key, record)
    record.nodes.add(refusal.node)
    record.message = refusal.message
    if (record.sinceMs !== undefined || record.nodes.size <= this.#limit) return false
    record.sinceMs = nowMs
    this.#held++
    return true
  }

  holds(kind: ClientKind, typeUrl: string, name: string, version: string): boolean {
    if (this.#held === 0) return false
    return this.#records.get(keyOf(kind, typeUrl, name, version))?.sinceMs !== undefined
  }

  /** Whether anybody has refused this version: nothing to fall back to. */
  isSuspect(typeUrl: string, name: string, version: string): boolean {
    return KINDS.some((kind) => this.#records.has(keyOf(kind, typeUrl, name, version)))
  }

  /** Forgets the versions that nobody can be sent any more. */
  release(isServed: (typeUrl: string, name: string, version: string) => boolean): void {
    for (const [key, { refusal, sinceMs }] of this.#records) {
      if (isServed(refusal.typeUrl, refusal.name, refusal.version)) continue
      this.#records.delete(key)
      if (sinceMs !== undefined) this.#held--
    }
  }

  list(): Quarantined[] {
    return [...this.#records.values()].flatMap(({ refusal, nodes, message, sinceMs }) => {
      if (sinceMs === undefined) return []
      const { kind, typeUrl, name, version } = refusal
      return [{ kind, typeUrl, name, version, nodes: nodes.size, sinceMs, message }]
    })
  }

  /** The view as nodes of this kind may see it. */
  filter(view: PublishedView, kind: ClientKind): ServedView {
    if (this.isEmpty) return view
    const isHeld = (typeUrl: string, served: Served) =>
      this.holds(kind, typeUrl, served.name, served.version)
    const get = (typeUrl: string, name: string) => {
      const served = view.get(typeUrl, name)
      if (served === undefined || !isHeld(typeUrl, served)) return served
      // Nobody had refused it when it was replaced, but perhaps nobody had seen it either.
      const before = view.before(typeUrl, name)
      return before === undefined || isHeld(typeUrl, before) ? undefined : before
    }
    return {
      get,
      isHeldBack(typeUrl, name) {
        const served = view.get(typeUrl, name)
        return served !== undefined && isHeld(typeUrl, served)
      },
      names: (typeUrl) => view.names(typeUrl),
      tombstone: (typeUrl, name) => view.tombstone(typeUrl, name),
      tombstones: (typeUrl) => view.tombstones(typeUrl),
      noEndpoints: (name) => view.noEndpoints(name),
    }
  }
}

const KINDS: readonly ClientKind[] = ['weft', 'envoy', 'grpc']

function keyOf(kind: ClientKind, typeUrl: string, name: string, version: string): string {
  return `${kind} ${typeUrl} ${version} ${name}`
}

function newRecord(refusal: Refusal): Record {
  return { refusal, nodes: new Set(), message: '', sinceMs: undefined }
}
