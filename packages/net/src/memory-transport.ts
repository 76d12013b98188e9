/**
 * Sockets in one process, for tests: addresses are only names, bytes arrive in a
 * later turn of the event loop, optionally cut into small pieces, and a window
 * stands for the kernel's buffers so that backpressure can be seen.
 */
import type { SocketAddress } from '@weft/model'
import { renderAddress } from '@weft/model'
import { systemError } from './system-error.ts'
import type { AcceptedSocket, SocketHandler, Transport } from './transport.ts'

export interface MemoryOptions {
  /** Delivers at most this many bytes per `onData`. */
  readonly cutBytes?: number
  /** What the pretended kernel holds per direction before `write` returns false. */
  readonly windowBytes?: number
}

const ECONNREFUSED = -111
const ECONNRESET = -104
const EADDRINUSE = -98

export function createMemoryTransport(options: MemoryOptions = {}): Transport {
  const listeners = new Map<string, (socket: AcceptedSocket) => SocketHandler>()
  let nextPort = 40_000
  return {
    name: 'memory',

    async listen({ address }, accept) {
      const port = address.port === 0 ? nextPort++ : address.port
      const actual = { host: address.host, port }
      const key = renderAddress(actual)
      if (listeners.has(key)) throw systemError(`listen on ${key}`, EADDRINUSE)
      listeners.set(key, accept)
      return { address: actual, close: async () => void listeners.delete(key) }
    },

    connect(address, handler) {
      const here = { host: '127.0.0.1', port: nextPort++ }
      const client = new MemorySocket(options, here, address)
      client.handler = handler
      setImmediate(() => {
        const accept = listeners.get(renderAddress(address))
        if (client.closed) return
        if (accept === undefined) {
          client.fail(systemError(`connect to ${renderAddress(address)}`, ECONNREFUSED))
          return
        }
        const server = new MemorySocket(options, address, here)
        client.peer = server
        server.peer = client
        server.handler = accept(server)
        handlerOf(client).onOpen()
        client.flush()
      })
      return client
    },
  }
}

function handlerOf(socket: MemorySocket): SocketHandler {
  return socket.handler
}

class MemorySocket implements AcceptedSocket {
  handler: SocketHandler = NOBODY
  closed = false
  peer: MemorySocket | undefined
  localAddress: SocketAddress
  remoteAddress: SocketAddress
  directAddress: SocketAddress | undefined
  readonly #cutBytes: number
  readonly #windowBytes: number
  /** Written here, not yet delivered there. */
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #ending = false
  #endSent = false
  #paused = false
  #owesDrain = false
  #scheduled = false

  constructor(options: MemoryOptions, local: SocketAddress, remote: SocketAddress) {
    this.#cutBytes = options.cutBytes ?? 65_536
    this.#windowBytes = options.windowBytes ?? 65_536
    this.localAddress = local
    this.remoteAddress = remote
  }

  readdress(remote: SocketAddress, local: SocketAddress): void {
    this.directAddress ??= this.remoteAddress
    this.remoteAddress = remote
    this.localAddress = local
  }

  get pendingBytes(): number {
    return Math.max(0, this.#queuedBytes - this.#windowBytes)
  }

  write(bytes: Uint8Array): boolean {
    if (this.closed || bytes.length === 0) return true
    // A copy: `slice` of a Buffer is none.
    this.#queue.push(Buffer.from(bytes))
    this.#queuedBytes += bytes.length
    this.flush()
    if (this.#queuedBytes <= this.#windowBytes) return true
    this.#owesDrain = true
    return false
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.peer?.flush()
  }

  bulkReads(on: boolean): boolean {
    return !on
  }

  end(): void {
    this.#ending = true
    this.flush()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.#queue = []
    const { peer } = this
    setImmediate(() => {
      this.handler.onClose(undefined)
      if (peer === undefined || peer.closed) return
      // As the kernel does it: end of stream if we had not ended, then writes fail.
      if (!this.#endSent) peer.handler.onEnd()
    })
  }

  reset(): void {
    if (this.closed) return
    this.closed = true
    setImmediate(() => {
      this.handler.onClose(undefined)
      this.peer?.fail(systemError('read', ECONNRESET))
    })
  }

  fail(error: Error): void {
    if (this.closed) return
    this.closed = true
    setImmediate(() => this.handler.onClose(error))
  }

  /** Delivers one piece per turn to the peer, while it reads. */
  flush(): void {
    if (this.#scheduled || this.peer === undefined) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#deliver()
    })
  }

  #deliver(): void {
    const { peer } = this
    if (peer === undefined || this.closed) return
    if (peer.closed) {
      if (this.#queuedBytes > 0) this.fail(systemError('write', ECONNRESET))
      return
    }
    if (peer.#paused) return
    const first = this.#queue[0]
    if (first === undefined) {
      this.#deliverEnd(peer)
      return
    }
    const piece = first.subarray(0, this.#cutBytes)
    if (piece.length === first.length) this.#queue.shift()
    else this.#queue[0] = first.subarray(piece.length)
    this.#queuedBytes -= piece.length
    peer.handler.onData(piece, piece.length)
    this.flush()
    if (this.#owesDrain && this.#queuedBytes <= this.#windowBytes && !this.closed) {
      this.#owesDrain = false
      this.handler.onDrain()
    }
  }

  #deliverEnd(peer: MemorySocket): void {
    if (!this.#ending || this.#endSent) return
    this.#endSent = true
    peer.handler.onEnd()
  }
}

const NOBODY: SocketHandler = {
  onOpen() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}
