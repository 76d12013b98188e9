/** The bytes of an HTTP/2 session, from and to its socket. Both sides of the proxy have one. */
import type { Socket } from '@weft/net'
import type { Http2SessionApi } from '@weft/wire'
import { type Flushable, flushLater } from './flush-later.ts'
import { http2Memory } from './http2-memory.ts'

export class Http2Link implements Flushable {
  readonly session: Http2SessionApi
  readonly socket: Socket
  /** What `session.out` began with; it grows into memory of the pool and comes back to this. */
  #own: Buffer
  /** Belongs to the write that is pending. */
  #lent: Buffer | undefined
  #scheduled = false
  /** The socket closes when all is written. */
  #ending = false

  constructor(session: Http2SessionApi, socket: Socket) {
    this.session = session
    this.socket = socket
    this.#own = session.out.bytes
  }

  /** Memory in which something waits for the client. */
  get heldBytes(): number {
    return this.session.out.bytes.length + (this.#lent?.length ?? 0)
  }

  /** `session.out` is not empty any more. */
  schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    flushLater(this)
  }

  flush(): void {
    this.#scheduled = false
    const { session, socket } = this
    const { out } = session
    // What the kernel did not take yet goes first; the rest waits where it can still grow together.
    if (socket.pendingBytes > 0) return
    // `drained` may let streams that waited write at once.
    for (let rounds = 0; out.length > 0 && rounds < MAX_ROUNDS; rounds++) {
      const taken = socket.write(out.bytes.subarray(0, out.length))
      this.#takeMemory(taken || socket.copiesWrites === true)
      if (!taken) {
        session.pendingBytes = socket.pendingBytes
        session.drained()
        return
      }
      session.pendingBytes = 0
      session.drained()
    }
    if (out.length > 0) this.schedule()
    else if (this.#ending) socket.close()
  }

  /** What was written is of no use any more, or is the socket's until it has drained. */
  #takeMemory(taken: boolean): void {
    const { out } = this.session
    const { bytes } = out
    if (taken && bytes === this.#own) {
      out.clear()
      return
    }
    if (taken) http2Memory.give(bytes)
    else this.#lent = bytes
    if (bytes !== this.#own) {
      out.detach(this.#own)
      return
    }
    out.detach()
    this.#own = out.bytes
  }

  onDrain(): void {
    if (this.#lent !== undefined) http2Memory.give(this.#lent)
    this.#lent = undefined
    this.session.pendingBytes = 0
    this.session.drained()
    this.flush()
  }

  /** Writes what there is and closes. */
  end(): void {
    this.#ending = true
    this.schedule()
  }
}

const MAX_ROUNDS = 4
