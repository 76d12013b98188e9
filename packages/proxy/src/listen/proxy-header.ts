/**
 * Takes the PROXY protocol header off the start of a connection: from then on the connection's ends
 * are those that the header names. One that has none, or a malformed one, is closed; where it is
 * optional, one that begins with other bytes goes on with its own ends.
 */
import type { AcceptedSocket, SocketHandler, Timed } from '@weft/net'
import { type ProxyTlv, parseProxyHeader } from '@weft/wire'
import type { EngineDeps } from '../exchange/contract.ts'

/** As Envoy's listener filters take at most. */
const HEADER_MS = 15_000

export interface ProxyHeaderEvents {
  /** Sets the socket's handler. `rest`: what followed the header already. */
  begun(rest: Buffer | undefined, tlvs: readonly ProxyTlv[]): void
  gone(): void
}

export class ProxyHeaderReader implements SocketHandler, Timed {
  deadlineTick = 0
  slotTick = 0
  readonly #socket: AcceptedSocket
  readonly #isOptional: boolean
  readonly #deps: EngineDeps
  readonly #events: ProxyHeaderEvents
  #bytes: Buffer = Buffer.alloc(0)

  constructor(
    socket: AcceptedSocket,
    mode: 'required' | 'optional',
    deps: EngineDeps,
    events: ProxyHeaderEvents,
  ) {
    this.#socket = socket
    this.#isOptional = mode === 'optional'
    this.#deps = deps
    this.#events = events
    deps.wheel.arm(this, HEADER_MS, deps.clock.monotonicMs())
  }

  onData(bytes: Uint8Array, length: number): void {
    if (this.#socket.closed) return
    this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(0, length)])
    const result = parseProxyHeader(this.#bytes, this.#bytes.length)
    if (result.kind === 'incomplete') return
    this.#deps.wheel.disarm(this)
    if (result.kind === 'header') {
      const { addresses, tlvs } = result.header
      if (addresses !== undefined) {
        this.#socket.readdress(addresses.source, addresses.destination)
      }
      const rest = this.#bytes.subarray(result.length)
      this.#events.begun(rest.length === 0 ? undefined : rest, tlvs)
    } else if (result.kind === 'absent' && this.#isOptional) this.#events.begun(this.#bytes, [])
    else this.#refuse(result.kind === 'absent' ? 'it has no PROXY header' : result.why)
  }

  #refuse(why: string): void {
    const client = this.#socket.remoteAddress
    this.#deps.log.debug('closed a connection: PROXY protocol', { client, why })
    this.#socket.close()
  }

  onDeadline(): void {
    this.#refuse(`no PROXY header within ${HEADER_MS} ms`)
  }

  onOpen(): void {}
  onDrain(): void {}

  onEnd(): void {
    this.#socket.close()
  }

  onClose(): void {
    this.#deps.wheel.disarm(this)
    this.#events.gone()
  }
}
