/** The writing half of a taken-over TLS handle: one write at a time, what waits goes as one. */
import type { HandleInternals, HandleRequest } from '../handle-transport.ts'
import { systemError } from '../system-error.ts'
import { giveWriteMemory, takeWriteMemory } from '../write-memory.ts'

/** Node's `TLSWrap`. */
export interface TlsHandle {
  onread: () => Uint8Array | undefined
  onerror: (error: Error) => void
  /** The TCP handle below. */
  readonly _parent: { readonly writeQueueSize: number }
  useUserBuffer(buffer: Uint8Array): void
  /** What was read for it, still encrypted. */
  receive(bytes: Uint8Array): void
  readStart(): number
  readStop(): number
  writeBuffer(request: HandleRequest, bytes: Uint8Array): number
  shutdown(request: HandleRequest): number
}

export interface TlsWriterEvents {
  /** Everything is with the kernel, after a `write` that said false. */
  onDrain(): void
  onError(error: Error): void
}

/** Node hands over ten buffers of 16 KB at once: when nothing waits after such a write, the kernel has all of it. */
const AT_ONCE_BYTES = 131_072

export class TlsWriter {
  readonly handle: TlsHandle
  pendingBytes = 0
  readonly #internals: HandleInternals
  readonly #events: TlsWriterEvents
  #isBusy = false
  #mustTell = false
  #waiting: Buffer | undefined
  #waitingBytes = 0
  #ends = false
  readonly #oncomplete = (status: number): void => this.#sent(status)

  constructor(handle: TlsHandle, internals: HandleInternals, events: TlsWriterEvents) {
    this.handle = handle
    this.#internals = internals
    this.#events = events
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isBusy) {
      this.pendingBytes += bytes.length
      this.#mustTell = true
      this.#keep(bytes)
      return false
    }
    if (!this.#send(bytes)) return true
    if (bytes.length <= AT_ONCE_BYTES && this.handle._parent.writeQueueSize === 0) return true
    this.pendingBytes += bytes.length
    this.#mustTell = true
    return false
  }

  #keep(bytes: Uint8Array): void {
    const before = this.#waitingBytes
    const needed = before + bytes.length
    let into = this.#waiting
    if (into === undefined || into.length < needed) {
      const larger = takeWriteMemory(
        into === undefined ? needed : Math.max(needed, 2 * into.length),
      )
      if (into !== undefined) {
        into.copy(larger, 0, 0, before)
        giveWriteMemory(into)
      }
      into = larger
    }
    into.set(bytes, before)
    this.#waiting = into
    this.#waitingBytes = needed
  }

  /** After what was written: the end of our stream. */
  end(): void {
    this.#ends = true
    if (!this.#isBusy) this.#shutdown()
  }

  /** False when it failed, which was reported. */
  #send(bytes: Uint8Array): boolean {
    const request = new this.#internals.WriteWrap()
    request.oncomplete = this.#oncomplete
    this.#isBusy = true
    const failed = this.handle.writeBuffer(request, bytes)
    if (failed === 0) return true
    this.#events.onError(systemError('write', failed))
    return false
  }

  #sent(status: number): void {
    this.#isBusy = false
    if (status !== 0) {
      this.#events.onError(systemError('write', status))
      return
    }
    const waiting = this.#waiting
    if (waiting !== undefined) {
      this.pendingBytes = this.#waitingBytes
      this.#waiting = undefined
      this.#waitingBytes = 0
      this.#send(waiting.subarray(0, this.pendingBytes))
      giveWriteMemory(waiting)
      return
    }
    this.pendingBytes = 0
    if (this.#mustTell) {
      this.#mustTell = false
      this.#events.onDrain()
    }
    // The handler may have written again.
    if (this.#ends && !this.#isBusy) this.#shutdown()
  }

  #shutdown(): void {
    this.#ends = false
    const request = new this.#internals.ShutdownWrap()
    // A failed shutdown means the peer is gone, which the next read reports.
    request.oncomplete = () => undefined
    this.handle.shutdown(request)
  }
}
