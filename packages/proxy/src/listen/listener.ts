/**
 * An open listening socket and its connections: from accept to the protocol that
 * takes over, and the end of both when the proxy drains.
 *
 *     accept ─► hold until configured ─► detect? ─► chain ─► http1 | tcp
 */
import type { SocketAddress } from '@weft/model'
import type { Listening, Socket, SocketHandler } from '@weft/net'
import type { FirstBytes } from '@weft/wire'
import { FirstBytesReader } from '../detect/first-bytes.ts'
import { Http1Connection, type HttpConnection, type HttpHome } from '../downstream/http1.ts'
import { Http2Connection } from '../downstream/http2.ts'
import { proxyTcp } from '../downstream/tcp.ts'
import type { EngineDeps, HttpRuntime } from '../exchange/contract.ts'
import { ExchangePool } from '../exchange/exchange-pool.ts'
import type { ConnectionBudget } from './connection-budget.ts'
import type { ListenerSlot } from './listener-slot.ts'
import { type ConnectionFacts, matchChain, needsDetection } from './match-chain.ts'
import { refuseUnconfigured } from './refuse-unconfigured.ts'

export interface ListenerOptions {
  /** Shared by all listeners of a proxy; default: no limit. */
  readonly connections?: ConnectionBudget
  readonly address: SocketAddress
  readonly reusePort?: boolean
  /** See `ListenOptions.inherited`. */
  readonly inherited?: object
  /** How long connections and requests wait for a configuration, in milliseconds. */
  readonly holdMs?: number
  /** How many may wait; more connections are closed, more requests answered with 503. */
  readonly maxHeld?: number
}

export interface OpenListener {
  /** With the port the kernel chose. */
  readonly address: SocketAddress
  /** See `Listening.handle`. */
  readonly handle: object | undefined
  readonly slot: ListenerSlot
  /** Open connections, tunnels among them. */
  readonly connections: number
  /** Stops accepting; what is open stays. */
  stopAccepting(): Promise<void>
  /**
   * Asks clients to go: answers carry `Connection: close` from now on, idle
   * connections end after `idleMs`. Resolves when all are gone or `deadlineMs`
   * has passed and the rest was cut.
   */
  drain(timing: { readonly idleMs: number; readonly deadlineMs: number }): Promise<void>
  /** Closes everything at once. */
  close(): Promise<void>
}

const DEFAULT_HOLD_MS = 30_000
const DEFAULT_MAX_HELD = 1_024

/** Rejects with the system's error when the address cannot be bound. */
export async function openListener(
  options: ListenerOptions,
  slot: ListenerSlot,
  deps: EngineDeps,
): Promise<OpenListener> {
  const listener = new Listener(options, slot, deps)
  await listener.open()
  return listener
}

class Listener implements OpenListener, HttpHome {
  readonly slot: ListenerSlot
  readonly #options: ListenerOptions
  readonly #deps: EngineDeps
  readonly #sockets = new Set<Socket>()
  readonly #http = new Set<HttpConnection>()
  #listening: Listening | undefined
  readonly exchanges: ExchangePool
  #held = 0
  #whenEmpty: (() => void) | undefined

  constructor(options: ListenerOptions, slot: ListenerSlot, deps: EngineDeps) {
    this.#options = options
    this.slot = slot
    this.#deps = deps
    this.exchanges = new ExchangePool(deps)
  }

  async open(): Promise<void> {
    const { address, reusePort = false, inherited } = this.#options
    const { transport } = this.#deps
    const socketOptions = {
      address,
      reusePort,
      ...(inherited === undefined ? {} : { inherited }),
    }
    this.#listening = await transport.listen(socketOptions, (socket) => this.#accept(socket))
  }

  get handle(): object | undefined {
    return this.#listening?.handle
  }

  get address(): SocketAddress {
    return this.#listening?.address ?? this.#options.address
  }

  get connections(): number {
    return this.#sockets.size
  }

  get draining(): boolean {
    return this.slot.draining
  }

  #accept(socket: Socket): SocketHandler {
    if (this.#options.connections?.take() === false) {
      socket.reset()
      return new Ended(() => undefined)
    }
    this.#sockets.add(socket)
    const runtime = this.slot.current
    if (runtime === undefined) return this.#hold(socket)
    if (needsDetection(runtime)) return this.#detect(socket)
    return this.#dispatch(socket, undefined, undefined)
  }

  /** Nothing is configured yet: the client waits in the open connection, within bounds. */
  #hold(socket: Socket): SocketHandler {
    const { maxHeld = DEFAULT_MAX_HELD, holdMs = DEFAULT_HOLD_MS } = this.#options
    const gone = new Ended(() => this.#forget(socket))
    if (this.#held >= maxHeld) {
      this.#deps.log.warn('closed a connection: too many wait for the first configuration', {
        listener: this.address,
        held: this.#held,
      })
      socket.close()
      return gone
    }
    this.#held++
    socket.pause()
    const stop = (): void => {
      this.#held--
      cancelTimer()
      cancelWait()
    }
    const cancelWait = this.slot.whenPublished(() => {
      stop()
      if (socket.closed) return
      const runtime = this.slot.current
      const detects = runtime !== undefined && needsDetection(runtime)
      socket.handler = detects ? this.#detect(socket) : this.#dispatch(socket, undefined, undefined)
      socket.resume()
    })
    const cancelTimer = this.#deps.clock.after(holdMs, () => {
      stop()
      this.#deps.log.warn('refused a connection: no configuration came', { waitedMs: holdMs })
      refuseUnconfigured(socket, this.#deps, () => this.#forget(socket))
    })
    return new Ended(() => {
      stop()
      this.#forget(socket)
    })
  }

  #detect(socket: Socket): SocketHandler {
    return new FirstBytesReader(
      socket,
      this.#deps,
      (protocol, bytes) => {
        socket.handler = this.#dispatch(socket, protocol, bytes)
      },
      () => this.#forget(socket),
    )
  }

  #dispatch(
    socket: Socket,
    protocol: FirstBytes | undefined,
    firstBytes: Buffer | undefined,
  ): SocketHandler {
    const runtime = this.slot.current
    const facts = factsOf(socket, protocol)
    const chain = runtime === undefined ? undefined : matchChain(runtime, facts)
    if (chain === undefined) {
      this.#deps.log.debug('closed a connection: no filter chain matches', { facts })
      socket.close()
      return new Ended(() => this.#forget(socket))
    }
    if (chain.handler.kind === 'tcp') {
      return proxyTcp(socket, chain.handler, firstBytes, () => this.#forget(socket), this.#deps)
    }
    const { codec } = chain.handler.manager
    const isHttp2 = codec === 'http2' || (codec !== 'http1' && protocol === 'http2')
    const Connection = isHttp2 ? Http2Connection : Http1Connection
    const connection = new Connection(socket, this, this.#deps)
    this.#http.add(connection)
    connection.start(firstBytes)
    return connection
  }

  becomesHttp2(connection: HttpConnection, bytes: Buffer): void {
    const { socket } = connection
    this.#http.delete(connection)
    const successor = new Http2Connection(socket, this, this.#deps)
    this.#http.add(successor)
    socket.handler = successor
    successor.start(bytes)
  }

  // What an HTTP connection asks of its listener.

  runtime(socket: Socket): HttpRuntime | undefined {
    const { current } = this.slot
    if (current === undefined) return undefined
    const [only] = current.chains
    const chain =
      current.chains.length === 1 && current.defaultChain === undefined
        ? only
        : matchChain(current, factsOf(socket, 'http1'))
    return chain?.handler.kind === 'http' ? chain.handler : undefined
  }

  whenPublished(wake: () => void): () => void {
    return this.slot.whenPublished(wake)
  }

  get holdMs(): number {
    return this.#options.holdMs ?? DEFAULT_HOLD_MS
  }

  get mayHold(): boolean {
    return this.slot.held < (this.#options.maxHeld ?? DEFAULT_MAX_HELD)
  }

  left(connection: HttpConnection): void {
    this.#http.delete(connection)
    if (connection.socket.closed) this.#forget(connection.socket)
  }

  #forget(socket: Socket): void {
    if (this.#sockets.delete(socket)) this.#options.connections?.release()
    if (this.#sockets.size === 0) this.#whenEmpty?.()
  }

  async stopAccepting(): Promise<void> {
    await this.#listening?.close()
  }

  async drain(timing: { readonly idleMs: number; readonly deadlineMs: number }): Promise<void> {
    this.slot.draining = true
    for (const connection of this.#http) connection.drain()
    if (this.#sockets.size === 0) return
    const { clock } = this.#deps
    await new Promise<void>((resolve) => {
      const cancelIdle = clock.after(timing.idleMs, () => {
        for (const connection of this.#http) connection.closeIfIdle()
      })
      const cancelDeadline = clock.after(timing.deadlineMs, () => {
        for (const socket of this.#sockets) socket.reset()
        done()
      })
      const done = (): void => {
        this.#whenEmpty = undefined
        cancelIdle()
        cancelDeadline()
        resolve()
      }
      this.#whenEmpty = done
    })
  }

  async close(): Promise<void> {
    await this.stopAccepting()
    for (const socket of this.#sockets) socket.close()
  }
}

function factsOf(socket: Socket, protocol: FirstBytes | undefined): ConnectionFacts {
  return {
    destination: socket.localAddress,
    source: socket.remoteAddress,
    transport: protocol === undefined ? undefined : protocol === 'tls' ? 'tls' : 'raw_buffer',
    protocol: protocol === 'http1' ? 'http/1.1' : protocol === 'http2' ? 'h2c' : undefined,
  }
}

/** A connection nobody handles: only its end is of interest. */
class Ended implements SocketHandler {
  readonly #gone: () => void

  constructor(gone: () => void) {
    this.#gone = gone
  }

  onOpen(): void {}
  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}

  onClose(): void {
    this.#gone()
  }
}
