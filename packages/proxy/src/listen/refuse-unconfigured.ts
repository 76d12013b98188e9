/**
 * The end of a connection that waited for a configuration in vain. Who speaks
 * HTTP/1 hears 503 and why; everybody else is closed.
 */
import type { Socket, SocketHandler } from '@weft/net'
import { FirstBytesReader } from '../detect/first-bytes.ts'
import { unconfiguredAnswer } from '../downstream/unconfigured-answer.ts'
import type { EngineDeps } from '../exchange/contract.ts'

/** The answer is not lost to a reset when the client still sends: we read on for this long. */
const LINGER_MS = 2_000

export function refuseUnconfigured(socket: Socket, deps: EngineDeps, gone: () => void): void {
  socket.handler = new FirstBytesReader(socket, undefined, deps, {
    decided({ protocol }) {
      if (protocol === 'http1') socket.handler = new Refusal(socket, deps, gone)
      else {
        socket.handler = new Gone(gone)
        socket.close()
      }
    },
    gone,
  })
  socket.resume()
}

class Gone implements SocketHandler {
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

class Refusal extends Gone {
  readonly #socket: Socket
  readonly #cancel: () => void

  constructor(socket: Socket, deps: EngineDeps, gone: () => void) {
    super(gone)
    this.#socket = socket
    this.#cancel = deps.clock.after(LINGER_MS, () => socket.close())
    socket.write(unconfiguredAnswer())
    socket.end()
  }

  override onEnd(): void {
    this.#socket.close()
  }

  override onClose(): void {
    this.#cancel()
    super.onClose()
  }
}
