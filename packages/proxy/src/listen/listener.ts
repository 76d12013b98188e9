/**
 * An open listening socket and its connections: from accept to the protocol that
 * takes over, and the end of both when the proxy drains.
 *
 *     accept ─► hold until configured ─► PROXY header? ─► detect? ─► chain ─► TLS? ─► http1 | tcp
 */
import { renderAddress, type SocketAddress } from '@weft/model'
import {
  type AcceptedSocket,
  type Listening,
  type Socket,
  type SocketHandler,
  upgradeToTls,
} from '@weft/net'
import { type Detected, FirstBytesReader } from '../detect/first-bytes.ts'
import type { HttpConnection, HttpHome } from '../downstream/http-home.ts'
import { Http1Connection } from '../downstream/http1.ts'
import { Http2Connection } from '../downstream/http2.ts'
import { proxyTcp, type TcpStart } from '../downstream/tcp.ts'
import type { ChainRuntime, EngineDeps, HttpRuntime, TcpRuntime } from '../exchange/contract.ts'
import { ExchangePool } from '../exchange/exchange-pool.ts'
import type { Holding } from '../overload/heaviest.ts'
import { handshakeStats } from '../tls/handshake-stats.ts'
import type { ConnectionBudget } from './connection-budget.ts'
import { connectionDenial, watchRules } from './connection-rbac.ts'
import type { ListenerSlot } from './listener-slot.ts'
import {
  type ConnectionFacts,
  connectionFacts,
  matchChain,
  needsDetection,
  serverNameScore,
} from './match-chain.ts'
import type { OpenListener } from './open-listener.ts'
import { Ended, Shaking } from './passive-handlers.ts'
import { ProxyHeaderReader } from './proxy-header.ts'
import { refuseUnconfigured } from './refuse-unconfigured.ts'
import { tellRefused, tellUnmatched } from './refused-connection.ts'

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
  /** What each connection's chain was chosen by, for the next configuration's. */
  readonly #facts = new WeakMap<Socket, ConnectionFacts>()
  readonly #http = new Set<HttpConnection>()
  #listening: Listening | undefined
  readonly #adopted = new Map<number, Listening>()
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

  get handles(): readonly object[] {
    const all = [this.#listening, ...this.#adopted.values()]
    return all.flatMap((listening) => listening?.handle ?? [])
  }

  async adopt(slot: number, handle: object): Promise<void> {
    const where = { address: this.address, inherited: handle }
    const listening = await this.#deps.transport.listen(where, (socket) => this.#accept(socket))
    this.discard(slot)
    this.#adopted.set(slot, listening)
  }

  discard(slot: number): void {
    void this.#adopted.get(slot)?.close()
    this.#adopted.delete(slot)
  }

  get address(): SocketAddress {
    return this.#listening?.address ?? this.#options.address
  }

  get connections(): number {
    return this.#sockets.size
  }

  get requests(): { readonly active: number; readonly begun: number } {
    return this.exchanges
  }

  get draining(): boolean {
    return this.slot.draining || this.#deps.overload?.dropsKeepAlive === true
  }

  #accept(socket: AcceptedSocket): SocketHandler {
    const isTooMuch = this.#deps.overload?.refusesConnection() === true
    if (isTooMuch || this.#options.connections?.take() === false) {
      socket.reset()
      return new Ended(() => undefined)
    }
    this.#sockets.add(socket)
    return this.slot.current === undefined ? this.#hold(socket) : this.#begin(socket)
  }

  #begin(socket: AcceptedSocket): SocketHandler {
    const { proxyProtocol: mode, proxyHeader = {} } = this.slot.current ?? {}
    if (mode === undefined) return this.#look(socket)
    return new ProxyHeaderReader(socket, { ...proxyHeader, mode }, this.#deps, {
      begun: (rest) => {
        const next = this.#look(socket, rest)
        socket.handler = next
      },
      gone: () => this.#forget(socket),
    })
  }

  /** @param bytes What came behind a PROXY header. */
  #look(socket: Socket, bytes?: Buffer): SocketHandler {
    const runtime = this.slot.current
    if (runtime !== undefined && needsDetection(runtime)) return this.#detect(socket, bytes)
    return this.#dispatch(socket, { ...NOT_LOOKED_AT, bytes })
  }

  /** Nothing is configured yet: the client waits in the open connection, within bounds. */
  #hold(socket: AcceptedSocket): SocketHandler {
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
      // First, because what comes next may pause it again.
      socket.resume()
      socket.handler = this.#begin(socket)
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

  #detect(socket: Socket, bytes?: Buffer): SocketHandler {
    const reader = new FirstBytesReader(socket, this.#opaque(socket), this.#deps, {
      decided: (what) => {
        socket.handler = this.#dispatch(socket, what)
      },
      gone: () => this.#forget(socket),
    })
    if (bytes === undefined) return reader
    socket.handler = reader
    reader.onData(bytes, bytes.length)
    return socket.handler
  }

  /** Where bytes go that are of no protocol we know, unless an HTTP connection manager gets them. */
  #opaque(socket: Socket): TcpRuntime | undefined {
    const { current } = this.slot
    const facts = connectionFacts(socket, 'unknown', undefined)
    const chain = current === undefined ? undefined : matchChain(current, facts)
    // Nor before it is known whether they may come.
    const isFree = chain?.tls === undefined && chain?.rbac === undefined
    return isFree && chain?.handler.kind === 'tcp' ? chain.handler : undefined
  }

  #dispatch(socket: Socket, what: Looked): SocketHandler {
    const { protocol, hello } = what
    const runtime = this.slot.current
    const facts = connectionFacts(socket, protocol, hello)
    const chain = runtime === undefined ? undefined : matchChain(runtime, facts)
    if (chain === undefined || chain.tls !== undefined || chain.handler.kind !== 'tcp') {
      what.dial?.giveUp()
    }
    if (chain === undefined) {
      this.#deps.log.debug('closed a connection: no filter chain matches', { facts })
      tellUnmatched(runtime, socket, facts.serverName, this.address, this.#deps)
      socket.close()
      return new Ended(() => this.#forget(socket))
    }
    this.#facts.set(socket, facts)
    if (chain.tls !== undefined) return this.#secure(socket, chain, what)
    return this.#serve(socket, chain, what)
  }

  /** The chain wants TLS: a client that does not speak it is closed, one before the secrets waits. */
  #secure(raw: Socket, chain: ChainRuntime, what: Looked): SocketHandler {
    const { tls, name } = chain
    const { hello, bytes } = what
    const gone = new Ended(() => this.#forget(raw))
    if (tls === undefined || hello === undefined) {
      this.#deps.log.debug('closed a connection: its chain takes only TLS', { chain: name })
      tellRefused(chain, raw, { transportFailure: 'not a TLS connection' }, this.#deps)
      raw.close()
      return gone
    }
    const context = this.#deps.tls?.server(tls)
    if (context === undefined) return this.#awaitSecret(raw, chain, what)
    const side = {
      kind: 'server',
      context,
      offeredAlpn: hello.alpn,
      serverName: hello.serverName,
    } as const
    const owner = { kind: 'listener', name: renderAddress(this.address) } as const
    const stats = handshakeStats(this.#deps.filterStats, owner)
    const begunMs = this.#deps.clock.monotonicMs()
    const shaking = new Shaking((error) => {
      stats.failed(error)
      this.#deps.log.debug('TLS handshake failed', { error })
      const transportFailure = error?.message ?? 'the client closed the connection'
      const refusal = { transportFailure, serverName: hello.serverName, begunMs }
      tellRefused(chain, raw, refusal, this.#deps)
      this.#forget(socket)
    })
    const socket = upgradeToTls(raw, bytes, side, shaking, this.#deps)
    shaking.secured = () => {
      stats.done(socket.tls, context.clientCertificate !== 'none')
      this.#secured(socket)
    }
    this.#sockets.delete(raw)
    this.#sockets.add(socket)
    const facts = this.#facts.get(raw)
    if (facts !== undefined) this.#facts.set(socket, facts)
    return gone
  }

  /** A secret has not come: nothing is said, least of all in plaintext. */
  #awaitSecret(raw: Socket, chain: ChainRuntime, what: Looked): SocketHandler {
    const begunMs = this.#deps.clock.monotonicMs()
    const tell = (transportFailure: string): void => {
      const serverName = what.hello?.serverName
      tellRefused(chain, raw, { transportFailure, serverName, begunMs }, this.#deps)
    }
    if (!this.mayHold) {
      tell('too many connections wait for a TLS secret')
      raw.close()
      return new Ended(() => this.#forget(raw))
    }
    raw.pause()
    const stop = (): void => {
      cancelTimer()
      cancelWait()
    }
    const cancelWait = this.slot.whenPublished(() => {
      stop()
      if (raw.closed) return
      raw.handler = this.#dispatch(raw, { ...what, dial: undefined })
    })
    const cancelTimer = this.#deps.clock.after(this.holdMs, () => {
      stop()
      this.#deps.log.warn('closed a connection: its TLS secret did not come', {
        waitedMs: this.holdMs,
      })
      tell('the TLS secret did not come')
      raw.close()
    })
    return new Ended(() => {
      stop()
      this.#forget(raw)
    })
  }

  /** The newest tree counts: it may have come during the handshake. */
  #secured(socket: Socket): void {
    const chain = this.#chainNow(socket)
    if (chain === undefined) {
      tellUnmatched(this.slot.current, socket, undefined, this.address, this.#deps)
      socket.handler = new Ended(() => this.#forget(socket))
      socket.close()
    } else {
      const protocol = socket.tls?.alpn === 'h2' ? 'http2' : undefined
      socket.handler = this.#serve(socket, chain, { ...NOT_LOOKED_AT, protocol })
    }
  }

  #chainNow(socket: Socket): ChainRuntime | undefined {
    const { current } = this.slot
    const facts = this.#facts.get(socket)
    return current === undefined || facts === undefined ? undefined : matchChain(current, facts)
  }

  #serve(socket: Socket, chain: ChainRuntime, what: Looked): SocketHandler {
    const { protocol, bytes } = what
    const serverName = what.hello?.serverName
    const denial = connectionDenial(chain, socket, serverName, this.#deps)
    if (chain.handler.kind === 'tcp') {
      const start: TcpStart = {
        ...what,
        clientEnded: what.clientEnded === true,
        serverName,
        firstBytes: bytes,
        denial,
        watch: (revoke) => {
          const now = () => this.#chainNow(socket)
          return watchRules({ slot: this.slot, chain, now, socket, serverName }, revoke, this.#deps)
        },
      }
      return this.#relay(socket, chain.handler, start)
    }
    if (denial !== undefined) {
      this.#deps.log.debug('closed a connection', { details: denial })
      tellRefused(chain, socket, { denial }, this.#deps)
      socket.close()
      return new Ended(() => this.#forget(socket))
    }
    const { codec } = chain.handler.manager
    const isHttp2 = codec === 'http2' || (codec !== 'http1' && protocol === 'http2')
    const Connection = isHttp2 ? Http2Connection : Http1Connection
    const connection = new Connection(socket, this, this.#deps)
    this.#http.add(connection)
    connection.start(bytes)
    return connection
  }

  /** A way that was begun for another tree is not this one's. */
  #relay(socket: Socket, runtime: TcpRuntime, start: TcpStart): SocketHandler {
    const isOfThis = start.dial?.runtime === runtime
    if (!isOfThis) start.dial?.giveUp()
    const { dial, ...rest } = start
    const whole = isOfThis ? { ...rest, dial } : rest
    return proxyTcp(socket, runtime, whole, () => this.#forget(socket), this.#deps)
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
        : matchChain(
            current,
            this.#facts.get(socket) ?? connectionFacts(socket, 'http1', undefined),
          )
    return chain?.handler.kind === 'http' ? chain.handler : undefined
  }

  /** False: another chain than the connection's is the one for this host. */
  covers(socket: Socket, authority: string): boolean {
    const { current } = this.slot
    const facts = this.#facts.get(socket)
    if (current === undefined || facts?.serverName === undefined) return true
    // Nearly all: with the scheme's own port, and as they wrote it in the handshake.
    if (authority === facts.serverName) return true
    if (current.chains.length === 1 && current.defaultChain === undefined) return true
    const host = authority.replace(/:\d+$/, '').toLowerCase()
    if (host === facts.serverName) return true
    // The chain that a connection made for this host would have, by all that is the same of it.
    const nearest = matchChain(current, { ...facts, serverName: host })
    if (nearest === undefined || nearest === matchChain(current, facts)) return true
    return serverNameScore(nearest.match.serverNames, host) <= 0
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
    await Promise.all([this.#listening, ...this.#adopted.values()].map((one) => one?.close()))
    this.#adopted.clear()
  }

  closeIdle(): void {
    for (const connection of this.#http) connection.closeIfIdle()
  }

  shortenIdle(): void {
    for (const connection of this.#http) connection.shortenIdle()
  }

  addHoldings(into: Holding[]): void {
    for (const connection of this.#http) connection.addHoldings(into)
  }

  async drain(timing: { readonly idleMs: number; readonly deadlineMs: number }): Promise<void> {
    this.slot.draining = true
    for (const connection of this.#http) connection.drain()
    if (this.#sockets.size === 0) return
    const { clock } = this.#deps
    await new Promise<void>((resolve) => {
      const cancelIdle = clock.after(timing.idleMs, () => this.closeIdle())
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

/** What is known of a connection by its first bytes, if these were looked at. */
type Looked = { readonly [Part in keyof Detected]?: Detected[Part] | undefined }

const NOT_LOOKED_AT: Looked = {}
