/**
 * The sockets a proxy listens on, and the trees behind them.
 *
 *     hold(address)   opens before there is a configuration; who connects waits
 *     apply(wanted)   opens what is new, swaps the trees of what is open, drains the rest
 *
 * An open socket is known by its address: a configuration that names the address
 * of a held or an older listener takes it over, connections and all. A listener
 * that moves is opened at its new place before the old one stops accepting.
 */
import type { Clock, Logger } from '@weft/base'
import { type Listener, renderAddress, type SocketAddress } from '@weft/model'
import type { ListenerRuntime } from './exchange/contract.ts'
import { http2Memory } from './exchange/http2-memory.ts'
import { bindProblem } from './free-ports.ts'
import type { OpenListener } from './listen/open-listener.ts'
import type { Holding } from './overload/heaviest.ts'
import { type HandedSocket, slotKey, socketKey } from './upgrade/handed-sockets.ts'

export interface WantedListener {
  readonly address: SocketAddress
  readonly runtime: ListenerRuntime
}

/** One open listener as others see it. */
export interface ListenerState {
  /** The newest configuration's name; before one came, what the holder called it. */
  readonly name: string
  /** As bound. */
  readonly address: SocketAddress
  readonly direction: Listener['direction']
  readonly connections: number
}

export type IncludesDirection = (direction: Listener['direction']) => boolean

export interface OpenListenersDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Binds; rejects with the system's error. The name tells sockets with port 0 apart. */
  open(address: SocketAddress, name: string): Promise<OpenListener>
  /** Nothing is accepted there any more; address and name as `open` got them. */
  onStopped?(address: SocketAddress, name: string): void
  /** What could be opened is open; also after a later try at what could not. */
  onApplied?(): void
}

interface Entry {
  name: string
  /** As it was opened under. */
  readonly firstName: string
  direction: Listener['direction']
  /** As asked for; `socket.address` has the port that the kernel chose. */
  readonly wanted: SocketAddress
  readonly socket: OpenListener
  /** Opened by the proxy itself: stays when no configuration names it. */
  readonly isHeld: boolean
  isAccepting: boolean
}

/** A port that is taken may become free, e.g. when an older process has drained. */
const RETRY_MS = 1_000

export class OpenListeners {
  readonly #deps: OpenListenersDeps
  #entries: Entry[] = []
  #wanted: ReadonlyMap<string, WantedListener> = new Map()
  #applying: Promise<void> | undefined
  #applyAgain = false
  #cancelRetry: (() => void) | undefined
  readonly #problems = new Map<string, string>()
  #closed = false

  constructor(deps: OpenListenersDeps) {
    this.#deps = deps
  }

  /**
   * Opens a listener that waits for its configuration.
   *
   * @throws The system's error when the address cannot be bound.
   */
  async hold(
    name: string,
    address: SocketAddress,
    direction: Listener['direction'],
  ): Promise<SocketAddress> {
    const entry = await this.#open(name, address, direction, true)
    return entry.socket.address
  }

  /** Resolves when what can be open is open. Calls during a call are merged: the newest counts. */
  apply(wanted: ReadonlyMap<string, WantedListener>): Promise<void> {
    this.#wanted = wanted
    if (this.#applying !== undefined) {
      this.#applyAgain = true
      return this.#applying
    }
    this.#applying = this.#applyAll().finally(() => {
      this.#applying = undefined
    })
    return this.#applying
  }

  /** Why listeners are not open, by name; empty when all are. */
  get problems(): ReadonlyMap<string, string> {
    return this.#problems
  }

  /** Whether a socket of ours has the port, at whichever address: others are in nobody's way. */
  hasPort({ port }: SocketAddress): boolean {
    return this.#entries.some(
      ({ isAccepting, socket }) => isAccepting && socket.address.port === port,
    )
  }

  list(): readonly ListenerState[] {
    return this.#entries
      .filter(({ isAccepting }) => isAccepting)
      .map(({ name, direction, socket }) => ({
        name,
        direction,
        address: socket.address,
        connections: socket.connections,
      }))
  }

  /** Open connections, also of listeners that stopped accepting. */
  get connections(): number {
    return this.#entries.reduce((sum, { socket }) => sum + socket.connections, 0)
  }

  /** HTTP requests and tunnels: those that run, and those that ever began. */
  requests(includes: IncludesDirection): { readonly active: number; readonly begun: number } {
    const sum = { active: 0, begun: 0 }
    for (const { direction, socket } of this.#entries) {
      if (!includes(direction)) continue
      sum.active += socket.requests.active
      sum.begun += socket.requests.begun
    }
    return sum
  }

  /** Answers ask clients to go elsewhere from now on; new connections are still taken. */
  announceDrain(includes: IncludesDirection): void {
    for (const { direction, socket } of this.#entries) {
      if (includes(direction)) socket.slot.draining = true
    }
  }

  /** What a successor needs to accept on the same sockets. */
  handOver(): readonly HandedSocket[] {
    return this.#entries.flatMap(({ firstName, wanted, socket, isAccepting }) => {
      const key = socketKey(firstName, wanted)
      const handles = isAccepting ? socket.handles : []
      return handles.map((handle, slot) => ({ key: slotKey(key, slot), handle }))
    })
  }

  /** Accepts on another's socket of the same address, too, see `SocketBroker`. */
  standIn(key: string, slot: number, handle: object): void {
    void this.#keyed(key)
      ?.socket.adopt(slot, handle)
      .catch((error: unknown) => this.#deps.log.error('cannot stand in', { socket: key, error }))
  }

  standDown(key: string, slot: number): void {
    this.#keyed(key)?.socket.discard(slot)
  }

  #keyed(key: string): Entry | undefined {
    return this.#entries.find(
      ({ firstName, wanted, isAccepting }) => isAccepting && socketKey(firstName, wanted) === key,
    )
  }

  async stopAccepting(includes: IncludesDirection): Promise<void> {
    await Promise.all(
      this.#entries
        .filter(({ direction }) => includes(direction))
        .map((entry) => this.#stop(entry)),
    )
  }

  closeIdle(includes: IncludesDirection): void {
    for (const { direction, socket } of this.#entries) if (includes(direction)) socket.closeIdle()
  }

  shortenIdle(): void {
    for (const { socket } of this.#entries) socket.shortenIdle()
  }

  bufferAtMost(bytes: number): void {
    http2Memory.outBytes = bytes
  }

  holdings(): readonly Holding[] {
    const all: Holding[] = []
    for (const { socket } of this.#entries) socket.addHoldings(all)
    return all
  }

  /** Resolves when the connections are gone: idle ones after `idleMs`, all by `deadlineMs`. */
  async drain(timing: { readonly idleMs: number; readonly deadlineMs: number }): Promise<void> {
    await Promise.all(this.#entries.map(({ socket }) => socket.drain(timing)))
  }

  /** Closes sockets and connections at once. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelRetry?.()
    await Promise.all(
      this.#entries.map(async (entry) => {
        entry.isAccepting = false
        await entry.socket.close()
      }),
    )
  }

  async #applyAll(): Promise<void> {
    do {
      this.#applyAgain = false
      await this.#applyOnce(this.#wanted)
    } while (this.#applyAgain && !this.#closed)
  }

  async #applyOnce(wanted: ReadonlyMap<string, WantedListener>): Promise<void> {
    this.#cancelRetry?.()
    this.#problems.clear()
    const used = new Set<Entry>()
    for (const [name, { address, runtime }] of wanted) {
      const known = this.#entryAt(name, address)
      if (known !== undefined) {
        takeOver(known, runtime)
        used.add(known)
        continue
      }
      try {
        const entry = await this.#open(name, address, runtime.direction, false)
        if (this.#closed) {
          await this.#stop(entry)
          return
        }
        takeOver(entry, runtime)
        used.add(entry)
      } catch (error) {
        this.#problems.set(name, bindProblem(address, error))
        this.#deps.log.error('listener does not open', { listener: name, error })
      }
    }
    for (const entry of this.#entries) {
      if (used.has(entry) || entry.isHeld || !entry.isAccepting) continue
      this.#deps.log.info('listener drains', { listener: entry.name })
      // No deadline: a configuration never cuts a connection.
      entry.socket.slot.draining = true
      await this.#stop(entry)
    }
    this.#entries = this.#entries.filter(
      ({ isAccepting, socket }) => isAccepting || socket.connections > 0,
    )
    this.#deps.onApplied?.()
    if (this.#problems.size === 0 || this.#closed) return
    this.#cancelRetry = this.#deps.clock.after(RETRY_MS, () => void this.apply(this.#wanted))
  }

  /** By the address it is bound to; a port of 0 is asked for under a name. */
  #entryAt(name: string, address: SocketAddress): Entry | undefined {
    const text = renderAddress(address)
    return this.#entries.find(
      (entry) =>
        entry.isAccepting &&
        (renderAddress(entry.socket.address) === text ||
          (entry.name === name && renderAddress(entry.wanted) === text)),
    )
  }

  async #open(
    name: string,
    wanted: SocketAddress,
    direction: Listener['direction'],
    isHeld: boolean,
  ): Promise<Entry> {
    const socket = await this.#deps.open(wanted, name)
    const entry = {
      ...{ name, firstName: name, direction, wanted, socket, isHeld },
      isAccepting: true,
    }
    this.#entries.push(entry)
    this.#deps.log.info('listener opens', { listener: name, at: renderAddress(socket.address) })
    return entry
  }

  async #stop(entry: Entry): Promise<void> {
    if (!entry.isAccepting) return
    entry.isAccepting = false
    await entry.socket.stopAccepting()
    this.#deps.onStopped?.(entry.wanted, entry.firstName)
  }
}

function takeOver(entry: Entry, runtime: ListenerRuntime): void {
  entry.name = runtime.name
  entry.direction = runtime.direction
  // The same tree is no news: nobody needs to look at it again.
  const { slot } = entry.socket
  if (slot.current !== runtime) slot.publish(runtime)
}
