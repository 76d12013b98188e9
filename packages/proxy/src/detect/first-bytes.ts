/**
 * Waits for enough of a client's first bytes to tell what it speaks, at most
 * `DETECT_MS`: protocols in which the server speaks first send nothing, and are
 * taken for plain TCP then.
 */
import type { Socket, SocketHandler, Timed } from '@weft/net'
import { type ClientHello, detectProtocol, type FirstBytes, parseClientHello } from '@weft/wire'
import type { EngineDeps } from '../exchange/contract.ts'

const DETECT_MS = 100
/** A ClientHello that has begun may take as long as the handshake it begins (R16). */
const HELLO_MS = 10_000

/** `hello` is there when the protocol is `tls`. */
type Decided = (protocol: FirstBytes, bytes: Buffer, hello: ClientHello | undefined) => void

export class FirstBytesReader implements SocketHandler, Timed {
  deadlineTick = 0
  slotTick = 0
  readonly #socket: Socket
  readonly #deps: EngineDeps
  readonly #decided: Decided
  readonly #gone: () => void
  #bytes: Buffer = Buffer.alloc(0)
  #done = false
  #isTls = false

  /** @param gone The client went before it could be told what it speaks. */
  constructor(socket: Socket, deps: EngineDeps, decided: Decided, gone: () => void) {
    this.#socket = socket
    this.#deps = deps
    this.#decided = decided
    this.#gone = gone
    deps.wheel.arm(this, DETECT_MS, deps.clock.monotonicMs())
  }

  onOpen(): void {}

  onData(bytes: Uint8Array, length: number): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(0, length)])
    const protocol = detectProtocol(this.#bytes, this.#bytes.length)
    if (protocol === 'tls') this.#readHello()
    else if (protocol !== 'undecided') this.#decide(protocol)
  }

  onEnd(): void {
    if (this.#bytes.length === 0) this.#socket.close()
    else this.#decide('unknown')
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
      this.#deps.wheel.arm(this, HELLO_MS, this.#deps.clock.monotonicMs())
    }
  }

  #decide(protocol: FirstBytes, hello?: ClientHello): void {
    if (this.#done) return
    this.#done = true
    this.#deps.wheel.disarm(this)
    this.#decided(protocol, this.#bytes, hello)
  }

  onDrain(): void {}

  onClose(): void {
    this.#done = true
    this.#deps.wheel.disarm(this)
    this.#gone()
  }
}
