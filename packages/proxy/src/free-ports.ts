/**
 * Whether listeners that a control plane sends could be opened here, asked before they are
 * accepted: one whose port somebody else has is refused, as Envoy refuses it, and what it
 * would replace goes on.
 *
 *     check ──► free ──► accepted
 *       ▲        │ no
 *       │        ▼
 *       │      refused ──► bound and closed again every second ──► free ──┐
 *       └──────────────────── the control plane is asked for it ◄─────────┘
 */
import type { Clock, Logger } from '@weft/base'
import { isUnixSocket, renderAddress, type SocketAddress } from '@weft/model'
import type { SocketHandler, Transport } from '@weft/net'

export interface PlannedListener {
  readonly name: string
  /** Where it would bind, see `bindAddress`. */
  readonly address: SocketAddress
}

export interface FreePortsDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly transport: Transport
  /** Whether this proxy has a socket there already, or will be given one. */
  isOurs(listener: PlannedListener): boolean
  /** What was refused can be opened now. */
  onFree(names: readonly string[]): void
}

const RETRY_MS = 1_000

export class FreePorts {
  readonly #deps: FreePortsDeps
  readonly #taken = new Map<string, PlannedListener>()
  readonly #problems = new Map<string, string>()
  #cancelRetry: (() => void) | undefined
  #closed = false

  constructor(deps: FreePortsDeps) {
    this.#deps = deps
  }

  /** Why listeners were refused that are still wanted, by name. */
  get problems(): ReadonlyMap<string, string> {
    return this.#problems
  }

  /**
   * @param gone Names that the control plane has taken back.
   * @returns Why some cannot be opened, by name; `undefined` when nobody has to be asked for that.
   */
  check(
    came: readonly PlannedListener[],
    gone: readonly string[],
  ): Promise<ReadonlyMap<string, string>> | undefined {
    for (const name of [...gone, ...came.map((one) => one.name)]) this.#forget(name)
    const unknown = came.filter((one) => !isUnixSocket(one.address) && !this.#deps.isOurs(one))
    return unknown.length === 0 ? undefined : this.#checkAll(unknown)
  }

  close(): void {
    this.#closed = true
    this.#cancelRetry?.()
  }

  async #checkAll(listeners: readonly PlannedListener[]): Promise<ReadonlyMap<string, string>> {
    const problems = new Map<string, string>()
    await Promise.all(
      listeners.map(async (one) => {
        const problem = await this.#problemOf(one.address)
        if (problem === undefined) return
        problems.set(one.name, problem)
        this.#taken.set(one.name, one)
        this.#problems.set(one.name, problem)
      }),
    )
    this.#retryLater()
    return problems
  }

  async #problemOf(address: SocketAddress): Promise<string | undefined> {
    // Port 0 is whatever is free.
    if (address.port === 0) return undefined
    try {
      const probe = await this.#deps.transport.listen({ address }, (socket) => {
        socket.reset()
        return NOBODY
      })
      await probe.close()
      return undefined
    } catch (error) {
      return bindProblem(address, error)
    }
  }

  #retryLater(): void {
    if (this.#taken.size === 0 || this.#closed) return
    this.#cancelRetry?.()
    this.#cancelRetry = this.#deps.clock.after(RETRY_MS, () => void this.#retry())
  }

  async #retry(): Promise<void> {
    const free: string[] = []
    for (const [name, one] of [...this.#taken]) {
      const problem = this.#deps.isOurs(one) ? undefined : await this.#problemOf(one.address)
      // Meanwhile it may be another one's, or nobody's.
      if (this.#taken.get(name) !== one) continue
      if (problem !== undefined) {
        this.#problems.set(name, problem)
        continue
      }
      this.#forget(name)
      free.push(name)
      this.#deps.log.info('port is free now', {
        listener: name,
        at: renderAddress(one.address),
      })
    }
    if (this.#closed) return
    if (free.length > 0) this.#deps.onFree(free)
    this.#retryLater()
  }

  #forget(name: string): void {
    this.#taken.delete(name)
    this.#problems.delete(name)
  }
}

/** In Envoy's words, so that control planes that know them understand ours. */
export function bindProblem(address: SocketAddress, error: unknown): string {
  const why = error instanceof Error ? error.message : String(error)
  return `cannot bind '${renderAddress(address)}': ${why}`
}

const NOBODY: SocketHandler = {
  onOpen() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}
