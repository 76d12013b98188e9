/**
 * Waits for enough of a client's first bytes to tell what it speaks, at most
 * `DETECT_MS`: protocols in which the server speaks first send nothing, and are
 * taken for plain TCP then.
 */
import type { Socket, SocketHandler, Timed } from '@weft/net'
import { detectProtocol, type FirstBytes } from '@weft/wire'
import type { EngineDeps } from '../exchange/contract.ts'

const DETECT_MS = 100

export class FirstBytesReader implements SocketHandler, Timed {
  deadlineTick = 0
  slotTick = 0
  readonly #socket: Socket
  readonly #deps: EngineDeps
  readonly #decided: (protocol: FirstBytes, bytes: Buffer) => void
  readonly #gone: () => void
  #bytes: Buffer = Buffer.alloc(0)
  #done = false

  /** @param gone The client went before it could be told what it speaks. */
  constructor(
    socket: Socket,
    deps: EngineDeps,
    decided: (protocol: FirstBytes, bytes: Buffer) => void,
    gone: () => void,
  ) {
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
    if (protocol !== 'undecided') this.#decide(protocol)
  }

  onEnd(): void {
    if (this.#bytes.length === 0) this.#socket.close()
    else this.#decide('unknown')
  }

  onDeadline(): void {
    this.#decide('unknown')
  }

  #decide(protocol: FirstBytes): void {
    if (this.#done) return
    this.#done = true
    this.#deps.wheel.disarm(this)
    this.#decided(protocol, this.#bytes)
  }

  onDrain(): void {}

  onClose(): void {
    this.#done = true
    this.#deps.wheel.disarm(this)
    this.#gone()
  }
}
