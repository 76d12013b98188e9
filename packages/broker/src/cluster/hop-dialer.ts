/**
 * Our end of a link to another broker that we dial: mutual TLS, SETUP with our id, keepalives;
 * up when the other one has said `welcome` as the broker that we meant. Comes back for ever.
 */
import { backoffMs, type Clock, type Logger } from '@weft/base'
import { connectTls, resolveHost, type Socket, type SocketHandler, type Transport } from '@weft/net'
import {
  COMPOSITE_MIME,
  HELLO_MIME,
  readConnectionEvent,
  renderComposite,
  renderKeepalive,
  renderSetup,
} from '@weft/wire'
import type { Broker } from '../broker.ts'
import type { Leg } from '../leg.ts'
import { type BrokerFacts, linkFacts } from '../peer-facts.ts'
import type { HopTls } from './hop-tls.ts'

export interface HopDialerOptions {
  readonly own: BrokerFacts
  /** Whom we want to reach. */
  readonly peer: BrokerFacts
  /** `host:port` */
  readonly addr: string
}

export interface HopDialerDeps {
  readonly broker: Broker
  readonly transport: Transport
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly tls: HopTls
  /** A connection is about to be used: what comes over it is the mux's. */
  onDialled(leg: Leg): void
  onUp(leg: Leg): void
  /** The link shows a certificate that was renewed since, and will be cut when that one ends. */
  onStale(): void
}

/** Short, because requests of many wait when a broker is gone without a word. */
const KEEPALIVE_MS = 1_000
const LIFETIME_MS = 4_000
/** From dialling to `welcome`. */
const OPEN_LIMIT_MS = 5_000
const BACKOFF = { baseMs: 50, maxMs: 2_000 }
const EMPTY = new Uint8Array(0)

export class HopDialer {
  readonly #options: HopDialerOptions
  readonly #deps: HopDialerDeps
  #failures = 0
  #attempt = 0
  #socket: Socket | undefined
  #leg: Leg | undefined
  #isUp = false
  #shown: string | undefined
  #closed = false
  #problem: string | undefined
  #cancel: () => void = () => undefined

  constructor(options: HopDialerOptions, deps: HopDialerDeps) {
    this.#options = options
    this.#deps = deps
  }

  get addr(): string {
    return this.#options.addr
  }

  get incarnation(): string {
    return this.#options.peer.incarnation
  }

  /** Why the link is not up; undefined: it is, or nobody said. */
  get problem(): string | undefined {
    return this.#isUp ? undefined : this.#problem
  }

  open(): void {
    this.#cancel = this.#deps.clock.after(OPEN_LIMIT_MS, () => {
      this.#failed(`no answer in ${OPEN_LIMIT_MS} ms`)
    })
    const { host, port } = splitAddress(this.#options.addr)
    const attempt = ++this.#attempt
    // An answer may come when its attempt is long given up, and another one under way.
    const ifWaiting = (then: () => void) => {
      if (attempt === this.#attempt) then()
    }
    resolveHost(host).then(
      ([first = host]) => ifWaiting(() => this.#dial({ host: first, port })),
      (error: unknown) => ifWaiting(() => this.#failed(messageOf(error))),
    )
  }

  #dial(address: { readonly host: string; readonly port: number }): void {
    if (this.#closed) return
    const { transport, tls } = this.#deps
    const handler: SocketHandler = {
      ...IDLE,
      onOpen: () => this.#introduce(socket),
      onClose: (error) => {
        // Of one that was given up the end is no news.
        if (socket === this.#socket) this.#failed(error?.message ?? 'the connection was closed')
      },
    }
    let socket: Socket
    this.#shown = tls.shown
    try {
      socket = connectTls(transport, address, handler, {
        context: tls.client,
        serverName: undefined,
      })
    } catch (error) {
      this.#failed(messageOf(error))
      return
    }
    this.#socket = socket
  }

  #introduce(socket: Socket): void {
    if (this.#closed || socket !== this.#socket) {
      socket.close()
      return
    }
    const { own, peer } = this.#options
    const setup = {
      majorVersion: 1,
      minorVersion: 0,
      keepaliveMs: KEEPALIVE_MS,
      maxLifetimeMs: LIFETIME_MS,
      resumeToken: undefined,
      lease: false,
      metadataMime: COMPOSITE_MIME,
      dataMime: 'application/octet-stream',
    } as const
    const hello = { v: 1, broker: own.id, incarnation: own.incarnation, features: ['mpush'] }
    const content = Buffer.from(JSON.stringify(hello))
    const principal = socket.tls?.peer?.uriSans[0]
    const facts = linkFacts(setup, peer, { principal, claims: undefined })
    const leg = this.#deps.broker.attachLink(socket, facts)
    this.#leg = leg
    this.#deps.onDialled(leg)
    socket.handler = leg
    const metadata = renderComposite([{ mime: HELLO_MIME, content }])
    leg.sendFrame(renderSetup({ ...setup, payload: { data: EMPTY, metadata } }))
  }

  /** What the other broker says of itself; true: it is up now. */
  onPush(leg: Leg, metadata: Uint8Array): boolean {
    if (leg !== this.#leg || this.#isUp) return false
    const welcome = readConnectionEvent(metadata)?.welcome
    if (typeof welcome !== 'object' || welcome === null || !('broker' in welcome)) return false
    const { peer } = this.#options
    if (welcome.broker !== peer.id) {
      leg.abort(`it is the broker ${String(welcome.broker)}, not ${peer.id}`)
      return false
    }
    this.#cancel()
    this.#isUp = true
    this.#failures = 0
    this.#keepAlive(leg)
    this.#deps.onUp(leg)
    return true
  }

  #keepAlive(leg: Leg): void {
    this.#cancel = this.#deps.clock.after(KEEPALIVE_MS, () => {
      if (leg.closed) return
      leg.sendFrame(renderKeepalive(true, 0, EMPTY))
      if (!this.#closed && this.#deps.tls.shown !== this.#shown) this.#deps.onStale()
      this.#keepAlive(leg)
    })
  }

  /** Why the connection is being cut. */
  onEnd(why: string): void {
    this.#problem = why
  }

  /** The leg is gone. */
  onGone(leg: Leg): void {
    if (leg === this.#leg) this.#failed(this.#problem ?? 'the connection was closed')
  }

  #failed(why: string): void {
    this.#cancel()
    this.#attempt++
    const socket = this.#socket
    this.#socket = undefined
    this.#leg = undefined
    this.#isUp = false
    if (this.#closed) return
    const { peer, addr } = this.#options
    if (this.#problem !== why) {
      this.#deps.log.warn('the link to a broker is down', { broker: peer.id, addr, why })
    }
    this.#problem = why
    if (socket !== undefined && !socket.closed) socket.close()
    const delayMs = backoffMs(BACKOFF, this.#failures++, this.#deps.random)
    this.#cancel = this.#deps.clock.after(delayMs, () => this.open())
  }

  /** The link stays until somebody closes it, and does not come back. */
  leave(): void {
    this.#closed = true
    if (this.#leg === undefined) this.close()
  }

  /** Ends the link, too. */
  close(): void {
    this.#closed = true
    this.#cancel()
    if (this.#leg !== undefined) this.#leg.close()
    else this.#socket?.close()
  }
}

const IDLE: SocketHandler = { onOpen() {}, onData() {}, onEnd() {}, onDrain() {}, onClose() {} }

/** `host:port` or `[v6]:port`. */
function splitAddress(text: string): { readonly host: string; readonly port: number } {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
