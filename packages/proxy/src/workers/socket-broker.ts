/**
 * Keeps every listening socket of the workers open in the supervisor, which never accepts
 * on one. All workers accept on the same socket: one that dies takes no queue of
 * connections with it, and its successor finds the socket where it was.
 *
 * The first worker that wants a socket binds it, with whatever transport it has, and
 * sends the handle here; whoever wants it meanwhile waits for that.
 */
import type { HandedSocket, HandedSockets } from '../upgrade/handed-sockets.ts'

/** What Node sends between processes; closing it leaves the others' copies alone. */
interface Handle {
  close?(): void
}

interface Entry {
  handle: Handle | undefined
  /** Binds it now. */
  binder: number | undefined
  /** Workers that listen on it, by index: one that dies will want it again. */
  readonly holders: Set<number>
  readonly waiting: number[]
}

export interface SocketBrokerDeps {
  /** Tells a worker: here it is, or `undefined`: bind it yourself. */
  give(worker: number, key: string, handle: object | undefined): void
  readonly handed?: HandedSockets
}

export class SocketBroker {
  readonly #deps: SocketBrokerDeps
  readonly #entries = new Map<string, Entry>()

  constructor(deps: SocketBrokerDeps) {
    this.#deps = deps
  }

  take(worker: number, key: string): void {
    const entry = this.#entryOf(key)
    if (entry.handle !== undefined) {
      entry.holders.add(worker)
      this.#deps.give(worker, key, entry.handle)
    } else if (entry.binder === undefined) {
      entry.binder = worker
      this.#deps.give(worker, key, undefined)
    } else {
      entry.waiting.push(worker)
    }
  }

  bound(worker: number, key: string, handle: object): void {
    const entry = this.#entryOf(key)
    entry.handle = handle
    entry.binder = undefined
    entry.holders.add(worker)
    for (const other of entry.waiting.splice(0)) this.take(other, key)
  }

  /** It could not be bound; the next may try. */
  failed(worker: number, key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.binder !== worker) return
    entry.binder = undefined
    const next = entry.waiting.shift()
    if (next === undefined) this.#entries.delete(key)
    else this.take(next, key)
  }

  released(worker: number, key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.holders.delete(worker)
    this.#closeUnused(key, entry)
  }

  /** Its process is gone. What it listened on stays open for the one that comes after it. */
  gone(worker: number): void {
    for (const [key, entry] of [...this.#entries]) {
      const at = entry.waiting.indexOf(worker)
      if (at !== -1) entry.waiting.splice(at, 1)
      this.failed(worker, key)
    }
  }

  /** A worker has its configuration: what it holds, and what those before it held but it does not want. */
  holds(worker: number, keys: ReadonlySet<string>): void {
    for (const [key, entry] of [...this.#entries]) {
      if (keys.has(key) || !entry.holders.delete(worker)) continue
      this.#closeUnused(key, entry)
    }
  }

  handOver(): readonly HandedSocket[] {
    return [...this.#entries].flatMap(([key, { handle }]) =>
      handle === undefined ? [] : [{ key, handle }],
    )
  }

  close(): void {
    for (const { handle } of this.#entries.values()) handle?.close?.()
    this.#entries.clear()
  }

  #entryOf(key: string): Entry {
    const known = this.#entries.get(key)
    if (known !== undefined) return known
    const handle = this.#deps.handed?.take(key)
    const entry: Entry = { handle, binder: undefined, holders: new Set(), waiting: [] }
    this.#entries.set(key, entry)
    return entry
  }

  #closeUnused(key: string, entry: Entry): void {
    if (entry.holders.size > 0 || entry.binder !== undefined || entry.waiting.length > 0) return
    entry.handle?.close?.()
    this.#entries.delete(key)
  }
}
