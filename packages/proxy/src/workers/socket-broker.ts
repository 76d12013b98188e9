/**
 * Keeps every listening socket of the workers open in the supervisor, which never accepts
 * on one: who connects while a worker is dead waits in the socket's queue and is not refused.
 *
 *     own sockets (SO_REUSEPORT)   the kernel spreads connections by their addresses; while a
 *                                  worker is missing another one accepts on its socket, too
 *     one shared socket            where the system cannot do that; whoever wakes first accepts
 *
 * A worker binds its socket itself, with whatever transport it has, and sends the handle
 * here. The first one finds out whether the address is free: with SO_REUSEPORT alone, two
 * gateways on one port would not notice each other.
 */
import { type HandedSocket, type HandedSockets, slotKey } from '../upgrade/handed-sockets.ts'
import type { SocketOrder } from './messages.ts'

/** What Node sends between processes; closing it leaves the others' copies alone. */
interface Handle {
  close?(): void
}

interface Entry {
  /** By the index of the worker it was made for. */
  readonly handles: Map<number, Handle>
  isShared: boolean
  /** Known once one listens. */
  port: number | undefined
  /** Tries to be the first. */
  binder: number | undefined
  /** Workers that listen. */
  readonly holders: Set<number>
  /** Who accepts on the socket of a worker that is missing. */
  readonly standIns: Map<number, number>
  readonly waiting: number[]
}

export interface SocketBrokerDeps {
  give(worker: number, key: string, order: SocketOrder, handle?: object): void
  /** `slot`: whose socket it is. */
  standIn(worker: number, key: string, slot: number, handle: object): void
  standDown(worker: number, key: string, slot: number): void
  readonly handed?: HandedSockets
}

export class SocketBroker {
  readonly #deps: SocketBrokerDeps
  readonly #entries = new Map<string, Entry>()

  constructor(deps: SocketBrokerDeps) {
    this.#deps = deps
  }

  /** Whether the workers listen there, or can at once. */
  has(key: string): boolean {
    return this.#entries.has(key) || this.#deps.handed?.has(key) === true
  }

  /** As `OpenListeners.hasPort`. */
  hasPort(port: number): boolean {
    return this.#entries.values().some((entry) => entry.port === port)
  }

  take(worker: number, key: string): void {
    const entry = this.#entryOf(key)
    const { handles, standIns, port, isShared, waiting } = entry
    const own = handles.get(worker) ?? (isShared ? [...handles.values()][0] : undefined)
    if (own !== undefined) {
      const standIn = standIns.get(worker)
      if (standIn !== undefined) this.#deps.standDown(standIn, key, worker)
      standIns.delete(worker)
      this.#deps.give(worker, key, { kind: 'inherit' }, own)
    } else if (port !== undefined) {
      this.#deps.give(worker, key, { kind: 'join', port })
    } else if (entry.binder === undefined && handles.size === 0) {
      entry.binder = worker
      this.#deps.give(worker, key, { kind: 'first' })
    } else {
      waiting.push(worker)
    }
  }

  /** It listens. @param handle When it has bound the socket itself. */
  opened(
    worker: number,
    key: string,
    { port, isShared }: { readonly port: number; readonly isShared: boolean },
    handle: object | undefined,
  ): void {
    const entry = this.#entryOf(key)
    if (handle !== undefined) {
      entry.handles.set(worker, handle)
      entry.isShared ||= isShared
    }
    entry.port = port
    if (entry.binder === worker) entry.binder = undefined
    entry.holders.add(worker)
    for (const other of entry.waiting.splice(0)) this.take(other, key)
    this.#cover(key, entry)
  }

  /** It could not bind. Who cannot join asks again and gets a socket that is open. */
  failed(worker: number, key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    if (entry.binder !== worker) {
      if (entry.handles.size > 0) entry.isShared = true
      return
    }
    entry.binder = undefined
    const next = entry.waiting.shift()
    if (next === undefined) this.#entries.delete(key)
    else this.take(next, key)
  }

  /** It does not want to listen there any more. */
  released(worker: number, key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined || !entry.holders.delete(worker)) return
    if (entry.holders.size === 0) {
      this.#close(key, entry)
      return
    }
    if (!entry.isShared) {
      entry.handles.get(worker)?.close?.()
      entry.handles.delete(worker)
    }
    this.#cover(key, entry)
  }

  /** Its process is gone, or will be. */
  gone(worker: number): void {
    for (const [key, entry] of [...this.#entries]) {
      const at = entry.waiting.indexOf(worker)
      if (at !== -1) entry.waiting.splice(at, 1)
      entry.holders.delete(worker)
      for (const [slot, standIn] of entry.standIns) {
        if (standIn === worker) entry.standIns.delete(slot)
      }
      if (entry.binder === worker) this.failed(worker, key)
      else this.#cover(key, entry)
    }
  }

  /** Every worker has its configuration: what nobody listens on is not wanted. */
  prune(): void {
    for (const [key, entry] of [...this.#entries]) {
      const { holders, binder, waiting } = entry
      if (holders.size === 0 && binder === undefined && waiting.length === 0)
        this.#close(key, entry)
    }
  }

  handOver(): readonly HandedSocket[] {
    return [...this.#entries].flatMap(([key, { handles }]) =>
      [...handles].map(([slot, handle]) => ({ key: slotKey(key, slot), handle })),
    )
  }

  close(): void {
    for (const [key, entry] of [...this.#entries]) this.#close(key, entry)
  }

  #entryOf(key: string): Entry {
    const known = this.#entries.get(key)
    if (known !== undefined) return known
    const entry: Entry = {
      handles: this.#deps.handed?.takeSlots(key) ?? new Map(),
      isShared: false,
      port: undefined,
      binder: undefined,
      holders: new Set(),
      standIns: new Map(),
      waiting: [],
    }
    this.#entries.set(key, entry)
    return entry
  }

  /** Nobody's socket is left alone while somebody listens. */
  #cover(key: string, { handles, holders, standIns, isShared }: Entry): void {
    if (isShared) return
    for (const [slot, handle] of handles) {
      const standIn = standIns.get(slot)
      if (holders.has(slot) || (standIn !== undefined && holders.has(standIn))) continue
      const load = (worker: number) => [...standIns.values()].filter((w) => w === worker).length
      const [chosen] = [...holders].sort((a, b) => load(a) - load(b))
      if (chosen === undefined) return
      standIns.set(slot, chosen)
      this.#deps.standIn(chosen, key, slot, handle)
    }
  }

  #close(key: string, entry: Entry): void {
    for (const handle of entry.handles.values()) handle.close?.()
    this.#entries.delete(key)
  }
}
