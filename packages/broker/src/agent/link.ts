/**
 * A connection that dials out to a broker and stays: reconnects for ever with full jitter, keeps
 * itself alive, is up only when the broker has answered (SETUP itself has no answer), and sends
 * what one turn of the event loop has in one write.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { backoffMs, type Clock, type Logger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import {
  COMPOSITE_MIME,
  METADATA_ID,
  RSocketFrameReader,
  type RSocketPayload,
  RSocketPeer,
  type RSocketStream,
  renderBearer,
  renderComposite,
  renderKeepalive,
  renderRoutingTags,
  renderSetup,
} from '@weft/wire'
import { HELLO_MIME } from '../hello.ts'

export interface LinkOptions {
  readonly broker: SocketAddress
  /** Absent: plaintext. */
  readonly tls?: { readonly caPem?: string; readonly serverName: string }
  /** The content of the hello entry. */
  readonly hello: Readonly<Record<string, unknown>>
  readonly token?: string
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
const BACKOFF = { baseMs: 50, maxMs: 5_000 }
const MAX_FRAME_BYTES = 0xff_ff_ff
const EMPTY = new Uint8Array(0)

export class Link {
  readonly #options: LinkOptions
  readonly #deps: LinkDeps
  #peer: RSocketPeer | undefined
  #socket: Socket | undefined
  #failures = 0
  #heardAtMs = 0
  #cancelTimer: (() => void) | undefined
  #closed = false

  constructor(options: LinkOptions, deps: LinkDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** Whom to ask; undefined while there is no connection. */
  get peer(): RSocketPeer | undefined {
    return this.#peer
  }

  open(): void {
    const { broker, tls } = this.#options
    const at = { host: broker.host, port: broker.port }
    const socket =
      tls === undefined
        ? connectTcp({ ...at, noDelay: true })
        : connectTls({
            ...at,
            servername: tls.serverName,
            ...(tls.caPem === undefined ? {} : { ca: tls.caPem }),
          })
    this.#socket = socket
    const peer = this.#attach(socket)
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      socket.setNoDelay(true)
      this.#introduce(peer)
    })
    socket.on('error', (error) => this.#deps.log.debug('link failed', { error }))
    socket.once('close', () => this.#gone(peer))
  }

  #attach(socket: Socket): RSocketPeer {
    let isCorked = false
    const peer = new RSocketPeer(
      {
        role: 'connecting',
        sendFrameBytes: MAX_FRAME_BYTES,
        maxPayloadBytes: MAX_FRAME_BYTES,
        maxStreams: 16_384,
      },
      {
        write(frame) {
          if (!isCorked) {
            isCorked = true
            socket.cork()
            setImmediate(() => {
              isCorked = false
              socket.uncork()
            })
          }
          socket.write(frame)
        },
        onSetup: () => undefined,
        onRequest: (stream, payload) => this.#deps.onRequest(stream, payload),
        onLease() {},
        onMetadataPush() {},
        onFatal: (code, message) => {
          this.#deps.log.warn('the broker ends the connection', { code, message })
          socket.end()
        },
      },
    )
    const reader = new RSocketFrameReader(
      {
        closed: false,
        onFrame: (bytes, from, to) => peer.onFrame(bytes, from, to),
        onFrameError: (why) => peer.onFrameError(why),
      },
      MAX_FRAME_BYTES,
    )
    socket.on('data', (bytes: Buffer) => {
      this.#heardAtMs = this.#deps.clock.monotonicMs()
      reader.receive(bytes, bytes.length)
    })
    return peer
  }

  #introduce(peer: RSocketPeer): void {
    const { hello, token } = this.#options
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
    const metadata = renderComposite([
      { mime: METADATA_ID.routing, content: renderRoutingTags(['weft.broker.hello']) },
    ])
    peer.request(
      'rr',
      { data: EMPTY, metadata },
      {
        onItem: () => this.#up(peer),
        onComplete() {},
        onError: (code, message) =>
          this.#deps.log.warn('the broker does not take us', { code, message }),
        onRequestN() {},
        onCancel() {},
      },
    )
  }

  #up(peer: RSocketPeer): void {
    this.#failures = 0
    this.#peer = peer
    this.#deps.log.info('link is up', { broker: this.#options.broker })
    this.#deps.onState?.(true)
    this.#keepAlive(peer)
  }

  #keepAlive(peer: RSocketPeer): void {
    const { clock } = this.#deps
    this.#cancelTimer = clock.after(KEEPALIVE_MS, () => {
      if (clock.monotonicMs() - this.#heardAtMs > LIFETIME_MS) {
        this.#socket?.destroy()
        return
      }
      peer.write(renderKeepalive(true, 0, EMPTY))
      this.#keepAlive(peer)
    })
  }

  #gone(peer: RSocketPeer): void {
    this.#cancelTimer?.()
    const wasUp = this.#peer === peer
    this.#peer = undefined
    peer.close('the connection to the broker is lost')
    if (wasUp) this.#deps.onState?.(false)
    if (this.#closed) return
    const delayMs = backoffMs(BACKOFF, this.#failures++, this.#deps.random)
    this.#cancelTimer = this.#deps.clock.after(delayMs, () => this.open())
  }

  close(): void {
    this.#closed = true
    this.#cancelTimer?.()
    this.#socket?.end()
    this.#socket?.destroySoon()
  }
}
