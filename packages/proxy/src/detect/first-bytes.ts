/**
 * Finds out what a connection speaks by who speaks first. A client that is silent when it connects
 * may belong to a protocol in which the server greets, so the upstream that opaque bytes would go
 * to is dialled meanwhile, and listened to. No timer is in the way of either:
 *
 *     client's first bytes ─► what they are decides, the dialled connection serves or is dropped
 *     server's first bytes ─► opaque, and the connection is there already
 */
import type { Socket, SocketHandler, Timed } from '@weft/net'
import { type ClientHello, detectProtocol, type FirstBytes, parseClientHello } from '@weft/wire'
import { TcpDial } from '../downstream/tcp-dial.ts'
import type { EngineDeps, TcpRuntime } from '../exchange/contract.ts'

/** What was begun is to be ended within: a ClientHello may take as long as its handshake (R16). */
const HELLO_MS = 10_000
/** Nothing is dialled and the client is silent: it is taken for opaque then. */
const SILENT_MS = 10_000
/** The upstream cannot be had; a client of another protocol may still speak. */
const REFUSED_MS = 1_000
/** Letters came that may become a method, and then nothing. */
const STALLED_MS = 1_000

export interface Detected {
  readonly protocol: FirstBytes
  /** What the client sent. */
  readonly bytes: Buffer
  /** There when the protocol is `tls`. */
  readonly hello: ClientHello | undefined
  /** The way that was begun; whoever does not take it gives it up. */
  readonly dial: TcpDial | undefined
  /** The client sent its end of stream. */
  readonly clientEnded: boolean
}

export interface DetectEvents {
  decided(what: Detected): void
  /** The client went before it could be told what it speaks. */
  gone(): void
}

export class FirstBytesReader implements SocketHandler, Timed {
  deadlineTick = 0
  slotTick = 0
  readonly #socket: Socket
  readonly #deps: EngineDeps
  readonly #events: DetectEvents
  #bytes: Buffer = Buffer.alloc(0)
  #dial: TcpDial | undefined
  #done = false
  #isTls = false

  /** @param opaque Where bytes of no known protocol go, if they go anywhere but to HTTP. */
  constructor(
    socket: Socket,
    opaque: TcpRuntime | undefined,
    deps: EngineDeps,
    events: DetectEvents,
  ) {
    this.#socket = socket
    this.#deps = deps
    this.#events = events
    if (opaque === undefined) this.#arm(SILENT_MS)
    else this.#dialIfSilent(opaque)
  }

  /** Two turns of the loop: what the client has sent already is read in between. */
  #dialIfSilent(opaque: TcpRuntime): void {
    setImmediate(() => setImmediate(() => this.#startDial(opaque)))
  }

  #startDial(opaque: TcpRuntime): void {
    if (this.#done || this.#bytes.length > 0) return
    const dial = new TcpDial(
      opaque,
      this.#socket,
      {
        onConnected: () => dial.listenIn(),
        onFailed: () => this.#lost(),
        onServerSpoke: () => this.#decide('unknown'),
      },
      this.#deps,
    )
    this.#dial = dial
    dial.start()
  }

  /** The upstream did not accept: if the client is of that protocol, the next try will say so. */
  #lost(): void {
    this.#dial = undefined
    if (this.#bytes.length === 0) this.#arm(REFUSED_MS)
  }

  #arm(ms: number): void {
    this.#deps.wheel.arm(this, ms, this.#deps.clock.monotonicMs())
  }

  onOpen(): void {}

  onData(bytes: Uint8Array, length: number): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(0, length)])
    const protocol = detectProtocol(this.#bytes, this.#bytes.length)
    if (protocol === 'tls') this.#readHello()
    else if (protocol !== 'undecided') this.#decide(protocol)
    else this.#arm(STALLED_MS)
  }

  onEnd(): void {
    if (this.#bytes.length === 0) this.#socket.close()
    else this.#decide('unknown', undefined, true)
  }

  onDeadline(): void {
    if (this.#isTls) this.#socket.close()
    else this.#decide('unknown')
  }

  #readHello(): void {
    const result = parseClientHello(this.#bytes, this.#bytes.length)
    if (result.kind === 'hello') this.#decide('tls', result.hello)
    else if (result.kind === 'invalid') this.#decide('unknown')
    else if (!this.#isTls) {
      this.#isTls = true
      this.#arm(HELLO_MS)
    }
  }

  #decide(protocol: FirstBytes, hello?: ClientHello, clientEnded = false): void {
    if (this.#done) return
    this.#done = true
    this.#deps.wheel.disarm(this)
    this.#events.decided({ protocol, bytes: this.#bytes, hello, dial: this.#dial, clientEnded })
  }

  onDrain(): void {}

  onClose(): void {
    if (!this.#done) this.#dial?.giveUp()
    this.#done = true
    this.#deps.wheel.disarm(this)
    this.#events.gone()
  }
}
