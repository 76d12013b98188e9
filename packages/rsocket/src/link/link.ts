/**
 * A connection that dials out to a broker and stays: reconnects for ever with full jitter, keeps
 * itself alive, and is up only when the broker has answered (SETUP itself has no answer).
 *
 *     dial ─► SETUP [─► LEASE of ours] [◄─ LEASE of theirs] ─► weft.broker.hello ─► up
 */
import { backoffMs, type Clock, type Logger } from '@weft/base'
import {
  COMPOSITE_MIME,
  EVENT_MIME,
  HELLO_MIME,
  type Lease,
  METADATA_ID,
  type RSocketPayload,
  RSocketPeer,
  type RSocketStream,
  readConnectionEvent,
  renderBearer,
  renderComposite,
  renderKeepalive,
  renderLease,
  renderMetadataPush,
  renderRoutingTags,
  renderSetup,
} from '@weft/wire'
import { type Carrier, type CarrierHandler, MAX_FRAME_BYTES } from './carrier.ts'

export interface LinkOptions {
  /** The broker as people know it. */
  readonly broker: string
  /** @throws When what it needs, such as certificates, cannot be had. */
  readonly dial: (handler: CarrierHandler) => Carrier
  /** The content of the hello entry, of each connection anew. */
  readonly hello: () => Readonly<Record<string, unknown>>
  /** The bearer token of each connection; undefined: none. */
  readonly token?: (() => string | undefined | Promise<string | undefined>) | undefined
  /** Default: `application/octet-stream`. */
  readonly dataMime?: string
  /** Both sides send as many requests as the other one leases them, and none without. */
  readonly leases?: boolean
  /** Streams that the broker may have open; default 16,384. */
  readonly maxStreams?: number
  /** The longest payload that is taken, in bytes; default 16,777,215. */
  readonly maxPayloadBytes?: number
  /** How often it shows that it lives, in milliseconds; default 20,000. */
  readonly keepaliveMs?: number
  /** Silence after which the other side is dead, in milliseconds; default 60,000. */
  readonly maxLifetimeMs?: number
}

export interface LinkDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
  onRequest(stream: RSocketStream, payload: RSocketPayload): void
  onState?(isUp: boolean): void
  /** An attempt to connect, or a connection, has ended; another attempt follows. */
  onFailed?(): void
  /** SETUP has gone: the time for a first LEASE. */
  onIntroduced?(): void
  /** The broker leased requests. */
  onLease?(): void
  /** What the broker tells, its answer to hello included (`welcome`). */
  onEvent?(event: Readonly<Record<string, unknown>>): void
}

/** What the broker said when it refused or ended the connection. */
export interface Refusal {
  readonly code: number
  readonly message: string
}

const KEEPALIVE_MS = 20_000
const LIFETIME_MS = 60_000
const MAX_STREAMS = 16_384
/** From dialling to the broker's answer. */
const OPEN_LIMIT_MS = 5_000
const BACKOFF = { baseMs: 50, maxMs: 5_000 }
/** A connection that did not last so long does not make the next delay short again. */
const STABLE_MS = 5_000
/** A closed connection whose other side does not read is cut after so long. */
const CLOSE_LIMIT_MS = 1_000
/** What the broker may make this side answer while it does not read: keepalives, refusals. */
const MAX_REPLY_BYTES = 4_194_304
const EMPTY = new Uint8Array(0)

export class Link {
  readonly #options: LinkOptions
  readonly #deps: LinkDeps
  #peer: RSocketPeer | undefined
  #carrier: Carrier | undefined
  #failures = 0
  #heardAtMs = 0
  #upAtMs = 0
  #cancelTimer: (() => void) | undefined
  #closed = false
  #problem: string | undefined
  #refusal: Refusal | undefined
  #lease: { left: number; untilMs: number } | undefined
  #onFirstLease: (() => void) | undefined
  /** For what it waits while it comes up. */
  #awaited = ''
  #replyBytes = 0
  /** The broker has said that it goes: what is new goes elsewhere if it can. */
  leaving = false

  constructor(options: LinkOptions, deps: LinkDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** Whom to ask; undefined while there is no connection. */
  get peer(): RSocketPeer | undefined {
    return this.#peer
  }

  /** What carries the frames of `peer`. */
  get carrier(): Carrier | undefined {
    return this.#carrier
  }

  get broker(): string {
    return this.#options.broker
  }

  /** Attempts to connect since the last connection that lasted. */
  get failures(): number {
    return this.#failures
  }

  /** Why there is no connection, as far as anybody said; undefined: there is one. */
  get problem(): string | undefined {
    return this.#peer === undefined ? this.#problem : undefined
  }

  /** The broker's last word when it let nobody in; undefined: it said none, or there is a link. */
  get refusal(): Refusal | undefined {
    return this.#refusal
  }

  /** The broker takes a request now. */
  get mayAsk(): boolean {
    if (this.#peer === undefined) return false
    if (this.#options.leases !== true) return true
    const lease = this.#lease
    return lease !== undefined && lease.left > 0 && this.#deps.clock.monotonicMs() < lease.untilMs
  }

  /** Counts a request against the broker's lease. */
  takePermit(): void {
    if (this.#lease !== undefined) this.#lease.left--
  }

  open(): void {
    this.leaving = false
    let carrier: Carrier
    try {
      carrier = this.#dial((frame) => carrier.outgoing.write(frame))
    } catch (error) {
      this.#retry(messageOf(error))
      return
    }
    this.#carrier = carrier
    this.#awaited = 'answer'
    this.#replyBytes = 0
    this.#cancelTimer = this.#deps.clock.after(OPEN_LIMIT_MS, () => {
      this.#problem = `no ${this.#awaited} in ${OPEN_LIMIT_MS} ms`
      carrier.destroy()
    })
  }

  /** @throws When the certificates that are to be shown cannot be read. */
  #dial(write: (frame: Uint8Array) => void): Carrier {
    const peer = this.#peerFor(write)
    return this.#options.dial({
      onOpen: () => void this.#introduce(peer),
      onFrame: (bytes, from, to) => {
        this.#heardAtMs = this.#deps.clock.monotonicMs()
        const before = this.#carrier?.outgoing.waitingBytes ?? 0
        peer.onFrame(bytes, from, to)
        this.#onAnswered(before)
      },
      onBroken: (why) => peer.onFrameError(why),
      onClose: (why) => this.#gone(peer, why),
    })
  }

  /** A broker that asks, and does not read what it is answered, costs no memory without end. */
  #onAnswered(before: number): void {
    const carrier = this.#carrier
    if (carrier === undefined || carrier.outgoing.hasRoom) {
      this.#replyBytes = 0
      return
    }
    this.#replyBytes += Math.max(0, carrier.outgoing.waitingBytes - before)
    if (this.#replyBytes <= MAX_REPLY_BYTES) return
    this.#problem = 'the broker does not read the answers to what it sends'
    carrier.destroy()
  }

  #peerFor(write: (frame: Uint8Array) => void): RSocketPeer {
    const { maxStreams = MAX_STREAMS, maxPayloadBytes = MAX_FRAME_BYTES } = this.#options
    return new RSocketPeer(
      { role: 'connecting', sendFrameBytes: MAX_FRAME_BYTES, maxPayloadBytes, maxStreams },
      {
        write,
        onSetup: () => undefined,
        onRequest: (stream, payload) => this.#deps.onRequest(stream, payload),
        onLease: (lease) => this.#onLease(lease),
        onMetadataPush: (metadata) => {
          const event = readConnectionEvent(metadata)
          if (event !== undefined) this.#onEvent(event)
        },
        onFatal: (code, message) => {
          this.#problem = message
          this.#refusal = { code, message }
          this.#deps.log.warn('the broker ends the connection', {
            broker: this.broker,
            code,
            message,
          })
          this.#carrier?.end()
        },
      },
    )
  }

  async #introduce(peer: RSocketPeer): Promise<void> {
    const { keepaliveMs = KEEPALIVE_MS, maxLifetimeMs = LIFETIME_MS } = this.#options
    const { leases = false, dataMime = 'application/octet-stream' } = this.#options
    try {
      this.#awaited = 'token (of `token`)'
      const token = await this.#options.token?.()
      this.#awaited = 'answer'
      peer.write(
        renderSetup({
          ...{ majorVersion: 1, minorVersion: 0, keepaliveMs, maxLifetimeMs },
          resumeToken: undefined,
          lease: leases,
          metadataMime: COMPOSITE_MIME,
          dataMime,
          payload: { data: EMPTY, metadata: this.#introduction(token) },
        }),
      )
      if (leases) {
        const leased = new Promise<void>((resolve) => {
          this.#onFirstLease = resolve
        })
        this.#deps.onIntroduced?.()
        this.#awaited = 'answer, or no lease,'
        await leased
        this.#awaited = 'answer'
      }
      const welcome = await askHello(peer)
      this.#up(peer)
      this.#onEvent({ welcome })
    } catch (error) {
      if (peer.closed) return
      this.#problem = messageOf(error)
      this.#carrier?.destroy()
    }
  }

  #introduction(token: string | undefined): Uint8Array {
    const hello = { mime: HELLO_MIME, content: utf8(JSON.stringify(this.#options.hello())) }
    if (token === undefined) return renderComposite([hello])
    const credentials = { mime: METADATA_ID.authentication, content: renderBearer(token) }
    return renderComposite([hello, credentials])
  }

  #up(peer: RSocketPeer): void {
    if (peer.closed) return
    this.#cancelTimer?.()
    this.#upAtMs = this.#deps.clock.monotonicMs()
    this.#problem = undefined
    this.#refusal = undefined
    this.#peer = peer
    this.#deps.log.info('link is up', { broker: this.broker })
    this.#deps.onState?.(true)
    this.#keepAlive(peer)
  }

  #keepAlive(peer: RSocketPeer): void {
    const { clock } = this.#deps
    const { keepaliveMs = KEEPALIVE_MS, maxLifetimeMs = LIFETIME_MS } = this.#options
    const leftMs = this.#heardAtMs + maxLifetimeMs - clock.monotonicMs()
    this.#cancelTimer = clock.after(Math.max(0, Math.min(keepaliveMs, leftMs)), () => {
      if (clock.monotonicMs() - this.#heardAtMs >= maxLifetimeMs) {
        this.#problem = `nothing was heard for ${maxLifetimeMs} ms`
        this.#carrier?.destroy()
        return
      }
      peer.write(renderKeepalive(true, 0, EMPTY))
      this.#keepAlive(peer)
    })
  }

  #onEvent(event: Readonly<Record<string, unknown>>): void {
    if (event.goaway !== undefined) this.leaving = true
    this.#deps.onEvent?.(event)
  }

  #onLease({ requests, ttlMs }: Lease): void {
    this.#lease = { left: requests, untilMs: this.#deps.clock.monotonicMs() + ttlMs }
    if (requests === 0) return
    this.#onFirstLease?.()
    this.#onFirstLease = undefined
    this.#deps.onLease?.()
  }

  /** Lets the broker send so many requests for so long, in place of what it was let before. */
  lease(lease: Lease): void {
    this.#carrier?.outgoing.write(renderLease(lease))
  }

  /** Tells the broker something about this side (METADATA_PUSH); nothing while there is no link. */
  tell(event: Readonly<Record<string, unknown>>): void {
    const content = utf8(JSON.stringify(event))
    this.#peer?.write(renderMetadataPush(renderComposite([{ mime: EVENT_MIME, content }])))
  }

  /**
   * Tells the broker whether requests are wanted. Resolves when it has heard so: frames are
   * handled in the order in which they are sent, and the question behind it was answered.
   */
  async say(status: 'serving' | 'draining'): Promise<void> {
    const peer = this.#peer
    if (peer === undefined) return
    this.tell({ status })
    await askHello(peer).catch(() => {})
  }

  #gone(peer: RSocketPeer, why: string | undefined): void {
    this.#cancelTimer?.()
    const wasUp = this.#peer === peer
    this.#peer = undefined
    this.#carrier = undefined
    this.#lease = undefined
    this.#onFirstLease = undefined
    if (why !== undefined) this.#problem = why
    peer.close(LINK_LOST)
    const { clock, log } = this.#deps
    if (wasUp) {
      if (clock.monotonicMs() - this.#upAtMs >= STABLE_MS) this.#failures = 0
      log.info('link is down', { broker: this.broker, why: why ?? 'it was closed' })
    }
    this.#retry(this.#problem)
    if (wasUp) this.#deps.onState?.(false)
  }

  #retry(problem: string | undefined): void {
    this.#problem = problem
    if (this.#closed) return
    const delayMs = backoffMs(BACKOFF, this.#failures++, this.#deps.random)
    this.#cancelTimer = this.#deps.clock.after(delayMs, () => this.open())
    this.#deps.onFailed?.()
  }

  /** Sends what waits and closes, for good; at the latest after a second. */
  close(): void {
    this.#closed = true
    this.#cancelTimer?.()
    const carrier = this.#carrier
    if (carrier === undefined) return
    this.#cancelTimer = this.#deps.clock.after(CLOSE_LIMIT_MS, () => carrier.destroy())
    carrier.end()
  }
}

const LINK_LOST = 'WEFT-502 the connection to the broker is lost'

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}

/** Resolves with what the broker says of itself when it has answered. */
function askHello(peer: RSocketPeer): Promise<unknown> {
  const metadata = renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags(['weft.broker.hello']) },
  ])
  return new Promise((resolve, reject) => {
    peer.request(
      'rr',
      { data: EMPTY, metadata },
      {
        onItem: ({ data }) => resolve(parsed(data)),
        onComplete: () => resolve(undefined),
        onError: (_code, message) => reject(new Error(message)),
        onRequestN() {},
        onCancel() {},
      },
    )
  })
}

/** Of a broker of another make it may be anything. */
function parsed(data: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(data))
  } catch {
    return undefined
  }
}
