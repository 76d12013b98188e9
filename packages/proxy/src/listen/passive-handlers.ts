/** Handlers of connections from which nothing is read yet, or any more. */
import type { SocketHandler } from '@weft/net'

/** A connection nobody handles: only its end is of interest. */
export class Ended implements SocketHandler {
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

/** A connection whose TLS handshake goes on. */
export class Shaking implements SocketHandler {
  secured: () => void = () => undefined
  readonly #failed: (error: Error | undefined) => void

  constructor(failed: (error: Error | undefined) => void) {
    this.#failed = failed
  }

  onOpen(): void {
    this.secured()
  }

  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}

  onClose(error: Error | undefined): void {
    this.#failed(error)
  }
}
