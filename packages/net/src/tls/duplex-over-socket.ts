/** One of our sockets as a Node stream: what `node:tls` needs when it cannot have the handle. */
import { Duplex } from 'node:stream'
import type { Socket, SocketHandler } from '../transport.ts'

export class DuplexOverSocket extends Duplex implements SocketHandler {
  readonly #socket: Socket
  #written: ((error?: Error) => void) | undefined
  #isGone = false

  constructor(socket: Socket) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    socket.handler = this
  }

  onOpen(): void {}

  onData(bytes: Uint8Array, length: number): void {
    // The buffer is shared by all connections: what stays is copied.
    if (!this.push(Buffer.from(bytes.subarray(0, length)))) this.#socket.pause()
  }

  onEnd(): void {
    this.push(null)
  }

  onDrain(): void {
    const written = this.#written
    this.#written = undefined
    written?.()
  }

  onClose(error: Error | undefined): void {
    this.#isGone = true
    this.destroy(error)
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (this.#socket.write(chunk)) done()
    else this.#written = done
  }

  override _final(done: () => void): void {
    this.#socket.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#isGone) this.#socket.close()
    done(error)
  }
}
