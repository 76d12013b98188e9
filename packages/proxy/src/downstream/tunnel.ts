/**
 * Bytes both ways between two connections, untouched: TCP proxying, CONNECT and
 * switched protocols. Each side's end is passed on by itself (half-close), a slow
 * reader stops the other side's reading.
 *
 *     client ⇄ Pipe ⇄ Pipe ⇄ upstream
 */
import type { Socket, SocketHandler, Timed } from '@weft/net'
import type { EngineDeps } from '../exchange/contract.ts'
import { flushTo, out } from '../exchange/shared-out.ts'

export interface TunnelOptions {
  /** Without a byte either way, in milliseconds; 0 means no limit. */
  readonly idleTimeoutMs: number
  /**
   * After one side's end, without a byte from the other: then it is over for both. For protocols
   * in which nobody goes on alone; absent: each side ends when it likes.
   */
  readonly lingerMs?: number
  /** Called once, when both connections are gone. `flag` is Envoy's, empty when all went well. */
  onEnd(tunnel: Tunnel, flag: TunnelFlag): void
}

/** Envoy's; empty when all went well, `DT`: it lasted as long as it may. */
export type TunnelFlag = '' | 'UC' | 'DC' | 'SI' | 'DT'

const IDLE_PARTS = 4
/** A read that fills the shared buffer is one of a bulk transfer, and one of less than half is its end. */
const SHARED_READ_BYTES = 65_536
const BULK_ENDS_BELOW_BYTES = 32_768
/** What may wait for a slow reader before the other side is not read any more. */
const MAX_PENDING_BYTES = 131_072

export class Tunnel implements Timed {
  deadlineTick = 0
  slotTick = 0
  /** From the client, to the client. */
  receivedBytes = 0
  sentBytes = 0
  quiet = 0
  readonly #deps: EngineDeps
  readonly #options: TunnelOptions
  readonly #client: Pipe
  readonly #upstream: Pipe
  #flag: TunnelFlag = ''
  #lingers: 'no' | 'yes' | 'closing' = 'no'

  constructor(client: Socket, upstream: Socket, options: TunnelOptions, deps: EngineDeps) {
    this.#deps = deps
    this.#options = options
    this.#client = new Pipe(this, client, (bytes) => {
      this.receivedBytes += bytes
    })
    this.#upstream = new Pipe(this, upstream, (bytes) => {
      this.sentBytes += bytes
    })
    this.#client.other = this.#upstream
    this.#upstream.other = this.#client
    client.handler = this.#client
    upstream.handler = this.#upstream
    this.#armIdle()
  }

  /** Bytes that came before the tunnel stood, and reading begins. */
  start(fromClient: Uint8Array | undefined, fromUpstream: Uint8Array | undefined): void {
    if (fromClient !== undefined) this.#client.onData(fromClient, fromClient.length)
    if (fromUpstream !== undefined) this.#upstream.onData(fromUpstream, fromUpstream.length)
    this.#client.socket.resume()
    this.#upstream.socket.resume()
  }

  /** The client had ended its side before the tunnel stood. */
  clientEnded(): void {
    this.#client.onEnd()
  }

  /** The same for the upstream. */
  upstreamEnded(): void {
    this.#upstream.onEnd()
  }

  close(flag: TunnelFlag): void {
    if (this.#flag === '') this.#flag = flag
    this.#client.socket.close()
    this.#upstream.socket.close()
  }

  #armIdle(): void {
    const { idleTimeoutMs } = this.#options
    if (idleTimeoutMs === 0) return
    const { wheel, clock } = this.#deps
    wheel.arm(this, idleTimeoutMs / IDLE_PARTS, clock.monotonicMs())
  }

  /** One side sent its end. */
  sideEnded(): void {
    const { lingerMs } = this.#options
    if (lingerMs === undefined || this.#lingers !== 'no') return
    this.#lingers = 'yes'
    this.#linger(lingerMs)
  }

  #linger(lingerMs: number): void {
    this.quiet = 1
    this.#deps.wheel.arm(this, lingerMs, this.#deps.clock.monotonicMs())
  }

  #onLingered(): void {
    const { lingerMs = 0 } = this.#options
    if (this.#lingers === 'closing') {
      // Nobody takes what still waits.
      this.#client.socket.reset()
      this.#upstream.socket.reset()
      return
    }
    if (this.quiet > 0) {
      this.#lingers = 'closing'
      this.close('')
    }
    if (!this.#client.gone || !this.#upstream.gone) this.#linger(lingerMs)
  }

  onDeadline(): void {
    if (this.#lingers !== 'no') this.#onLingered()
    else if (++this.quiet >= IDLE_PARTS) this.close('SI')
    else this.#armIdle()
  }

  /** One side is gone. An error cuts the other too; an orderly end lets it finish. */
  lost(pipe: Pipe, error: Error | undefined): void {
    const { other } = pipe
    if (error !== undefined) {
      if (this.#flag === '') this.#flag = pipe === this.#client ? 'DC' : 'UC'
      other?.socket.reset()
    } else other?.socket.close()
    if (!this.#client.gone || !this.#upstream.gone) return
    this.#deps.wheel.disarm(this)
    this.#options.onEnd(this, this.#flag)
  }
}

class Pipe implements SocketHandler {
  readonly socket: Socket
  other: Pipe | undefined
  gone = false
  /** This side sent its end of stream. */
  ended = false
  readonly #tunnel: Tunnel
  readonly #count: (bytes: number) => void

  constructor(tunnel: Tunnel, socket: Socket, count: (bytes: number) => void) {
    this.#tunnel = tunnel
    this.socket = socket
    this.#count = count
  }

  onOpen(): void {}

  onData(bytes: Uint8Array, length: number): void {
    const { other } = this
    if (other === undefined) return
    this.#tunnel.quiet = 0
    this.#count(length)
    if (bytes.length > SHARED_READ_BYTES) {
      // A buffer of our own: sent as it lies, and not read into before it is gone.
      if (!other.socket.write(bytes.subarray(0, length))) this.socket.pause()
      if (length < BULK_ENDS_BELOW_BYTES) this.socket.bulkReads(false)
      return
    }
    // The shared read buffer must not be part of a write that stays pending: copied.
    out.clear()
    out.copy(bytes as Buffer, 0, length)
    if (!flushTo(other.socket) && other.socket.pendingBytes > MAX_PENDING_BYTES) this.socket.pause()
    if (length === SHARED_READ_BYTES) this.socket.bulkReads(true)
  }

  onEnd(): void {
    this.ended = true
    const { other } = this
    this.#tunnel.sideEnded()
    other?.socket.end()
    if (
      other?.ended === true &&
      other.socket.pendingBytes === 0 &&
      this.socket.pendingBytes === 0
    ) {
      this.#tunnel.close('')
    }
  }

  onDrain(): void {
    const { other } = this
    if (this.ended && other?.ended === true) this.#tunnel.close('')
    else other?.socket.resume()
  }

  onClose(error: Error | undefined): void {
    this.gone = true
    this.#tunnel.lost(this, error)
  }
}
