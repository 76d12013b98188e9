/**
 * A connection that dials out to a broker and stays: reconnects for ever with full jitter, keeps
 * itself alive, and is up only when the broker has answered (SETUP itself has no answer).
 */
import { backoffMs, type Clock, type Logger } from '@weft/base'
import {
  COMPOSITE_MIME,
  METADATA_ID,
  type RSocketPayload,
  RSocketPeer,
  type RSocketStream,
  renderBearer,
  renderComposite,
  renderKeepalive,
  renderMetadataPush,
  renderRoutingTags,
  renderSetup,
} from '@weft/wire'
import { EVENT_MIME, readConnectionEvent } from '../connection-event.ts'
import { HELLO_MIME } from '../hello.ts'
import {
  type BrokerTarget,
  type Carrier,
  MAX_FRAME_BYTES,
  openCarrier,
  renderTarget,
} from './carrier.ts'

export interface LinkOptions {
  readonly target: BrokerTarget
  /** The content of the hello entry, of each connection anew. */
  readonly hello: () => Readonly<Record<string, unknown>>
  /** The bearer token of each connection; undefined: none. */
  readonly token?: () => string | undefined
}

export interface LinkDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
  onRequest(stream: RSocketStream, payload: RSocketPayload): void
  onState?(isUp: boolean): void
}

const KEEPALIVE_MS = 20_000
const LIFETIME_MS = 60_000
/** From dialling to the broker's answer. */
const OPEN_LIMIT_MS = 5_000
const BACKOFF = { baseMs: 50, maxMs: 5_000 }
const EMPTY = new Uint8Array(0)

export class Link {
  readonly #options: LinkOptions
  readonly #deps: LinkDeps
  #peer: RSocketPeer | undefined
  #carrier: Carrier | undefined
  #failures = 0
  #heardAtMs = 0
  #cancelTimer: (() => void) | undefined
  #closed = false
  #problem: string | undefined
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

  get broker(): string {
    return renderTarget(this.#options.target)
  }

  /** Why there is no connection, as far as anybody said; undefined: there is one. */
  get problem(): string | undefined {
    return this.#peer === undefined ? this.#problem : undefined
  }

  open(): void {
    this.leaving = false
    let carrier: Carrier
    try {
      carrier = this.#dial((frame) => carrier.write(frame))
    } catch (error) {
      this.#retry(messageOf(error))
      return
    }
    this.#carrier = carrier
    this.#cancelTimer = this.#deps.clock.after(OPEN_LIMIT_MS, () => {
      this.#problem = `no answer in ${OPEN_LIMIT_MS} ms`
      carrier.destroy()
    })
  }

  /** @throws When the certificates that are to be shown cannot be read. */
  #dial(write: (frame: Uint8Array) => void): Carrier {
    const peer = this.#peerFor(write)
    return openCarrier(this.#options.target, {
      onOpen: () => this.#introduce(peer),
      onFrame: (bytes, from, to) => {
        this.#heardAtMs = this.#deps.clock.monotonicMs()
        peer.onFrame(bytes, from, to)
      },
      onBroken: (why) => peer.onFrameError(why),
      onClose: (why) => this.#gone(peer, why),
    })
  }

  #peerFor(write: (frame: Uint8Array) => void): RSocketPeer {
    return new RSocketPeer(
      {
        role: 'connecting',
        sendFrameBytes: MAX_FRAME_BYTES,
        maxPayloadBytes: MAX_FRAME_BYTES,
        maxStreams: 16_384,
      },
      {
        write,
        onSetup: () => undefined,
        onRequest: (stream, payload) => this.#deps.onRequest(stream, payload),
        onLease() {},
        onMetadataPush: (metadata) => this.#onEvent(metadata),
        onFatal: (code, message) => {
          this.#problem = message
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

  #introduce(peer: RSocketPeer): void {
    const hello = this.#options.hello()
    let token: string | undefined
    try {
      token = this.#options.token?.()
    } catch (error) {
      this.#problem = messageOf(error)
      this.#carrier?.destroy()
      return
    }
    const entries = [{ mime: HELLO_MIME, content: Buffer.from(JSON.stringify(hello)) }]
    const credentials = { mime: METADATA_ID.authentication, content: renderBearer(token ?? '') }
    peer.write(
      renderSetup({
        majorVersion: 1,
        minorVersion: 0,
        keepaliveMs: KEEPALIVE_MS,
        maxLifetimeMs: LIFETIME_MS,
        resumeToken: undefined,
        lease: false,
        metadataMime: COMPOSITE_MIME,
        dataMime: 'application/octet-stream',
        payload: {
          data: EMPTY,
          metadata: renderComposite(token === undefined ? entries : [...entries, credentials]),
        },
      }),
    )
    askHello(peer).then(
      () => this.#up(peer),
      (error: unknown) => {
        this.#problem = messageOf(error)
      },
    )
  }

  #up(peer: RSocketPeer): void {
    if (peer.closed) return
    this.#cancelTimer?.()
    this.#failures = 0
    this.#problem = undefined
    this.#peer = peer
    this.#deps.log.info('link is up', { broker: this.broker })
    this.#deps.onState?.(true)
    this.#keepAlive(peer)
  }

  #keepAlive(peer: RSocketPeer): void {
    const { clock } = this.#deps
    this.#cancelTimer = clock.after(KEEPALIVE_MS, () => {
      if (clock.monotonicMs() - this.#heardAtMs > LIFETIME_MS) {
        this.#carrier?.destroy()
        return
      }
      peer.write(renderKeepalive(true, 0, EMPTY))
      this.#keepAlive(peer)
    })
  }

  #onEvent(metadata: Uint8Array): void {
    if (readConnectionEvent(metadata)?.goaway !== undefined) this.leaving = true
  }

  /**
   * Tells the broker whether requests are wanted. Resolves when it has heard so: frames are
   * handled in the order in which they are sent, and the question behind it was answered.
   */
  async say(status: 'serving' | 'draining'): Promise<void> {
    const peer = this.#peer
    if (peer === undefined) return
    const content = Buffer.from(JSON.stringify({ status }))
    peer.write(renderMetadataPush(renderComposite([{ mime: EVENT_MIME, content }])))
    await askHello(peer).catch(() => {})
  }

  #gone(peer: RSocketPeer, why: string | undefined): void {
    this.#cancelTimer?.()
    const wasUp = this.#peer === peer
    this.#peer = undefined
    if (why !== undefined) this.#problem = why
    peer.close(LINK_LOST)
    if (wasUp) {
      this.#deps.log.info('link is down', { broker: this.broker, why: why ?? 'it was closed' })
      this.#deps.onState?.(false)
    }
    this.#retry(this.#problem)
  }

  #retry(problem: string | undefined): void {
    this.#problem = problem
    if (this.#closed) return
    const delayMs = backoffMs(BACKOFF, this.#failures++, this.#deps.random)
    this.#cancelTimer = this.#deps.clock.after(delayMs, () => this.open())
  }

  close(): void {
    this.#closed = true
    this.#cancelTimer?.()
    this.#carrier?.end()
  }
}

const LINK_LOST = 'WEFT-502 the connection to the broker is lost'

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Resolves when the broker has answered. */
function askHello(peer: RSocketPeer): Promise<void> {
  const metadata = renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags(['weft.broker.hello']) },
  ])
  return new Promise((resolve, reject) => {
    peer.request(
      'rr',
      { data: EMPTY, metadata },
      {
        onItem: () => resolve(),
        onComplete: () => resolve(),
        onError: (_code, message) => reject(new Error(message)),
        onRequestN() {},
        onCancel() {},
      },
    )
  })
}
