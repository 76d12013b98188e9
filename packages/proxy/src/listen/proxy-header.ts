/**
 * Takes the PROXY protocol header off the start of a connection: from then on the connection's ends
 * are those that the header names. One that has none, or a malformed one, is closed; where it is
 * optional, one that begins with other bytes goes on with its own ends.
 */
import type { ProxyHeaderRules } from '@weft/model'
import type { AcceptedSocket, SocketHandler, Timed } from '@weft/net'
import { parseProxyHeader } from '@weft/wire'
import type { EngineDeps } from '../exchange/contract.ts'
import { noteRelayed } from './relayed.ts'

type ProxyHeaderResult = ReturnType<typeof parseProxyHeader>
type ProxyHeader = Extract<ProxyHeaderResult, { kind: 'header' }>['header']

/** As Envoy's listener filters take at most. */
const HEADER_MS = 15_000
/** `P` of `PROXY`; no header of v2 begins with it. */
const V1_FIRST_BYTE = 0x50

export interface ProxyHeaderEvents {
  /** Sets the socket's handler. `rest`: what followed the header already. */
  begun(rest: Buffer | undefined): void
  gone(): void
}

interface ProxyHeaderOptions extends ProxyHeaderRules {
  readonly mode: 'required' | 'optional'
}

export class ProxyHeaderReader implements SocketHandler, Timed {
  deadlineTick = 0
  slotTick = 0
  readonly #socket: AcceptedSocket
  readonly #options: ProxyHeaderOptions
  readonly #deps: EngineDeps
  readonly #events: ProxyHeaderEvents
  #bytes: Buffer = Buffer.alloc(0)

  constructor(
    socket: AcceptedSocket,
    options: ProxyHeaderOptions,
    deps: EngineDeps,
    events: ProxyHeaderEvents,
  ) {
    this.#socket = socket
    this.#options = options
    this.#deps = deps
    this.#events = events
    deps.wheel.arm(this, HEADER_MS, deps.clock.monotonicMs())
  }

  onData(bytes: Uint8Array, length: number): void {
    if (this.#socket.closed) return
    this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(0, length)])
    const result = this.#parse()
    if (result.kind === 'incomplete') return
    this.#deps.wheel.disarm(this)
    if (result.kind === 'header') {
      this.#announced(result.header)
      const rest = this.#bytes.subarray(result.length)
      this.#events.begun(rest.length === 0 ? undefined : rest)
    } else if (result.kind === 'absent' && this.#options.mode === 'optional') {
      this.#events.begun(this.#bytes)
    } else this.#refuse(result.kind === 'absent' ? 'it has no PROXY header' : result.why)
  }

  /** A version that is refused is not even looked for. */
  #parse(): ProxyHeaderResult {
    const version = this.#bytes[0] === V1_FIRST_BYTE ? 'v1' : 'v2'
    if (this.#options.refuses === version) return { kind: 'absent' }
    return parseProxyHeader(this.#bytes, this.#bytes.length)
  }

  #announced({ addresses, tlvs }: ProxyHeader): void {
    const socket = this.#socket
    if (addresses !== undefined) socket.readdress(addresses.source, addresses.destination)
    if (tlvs.length === 0) return
    // Transports may make an address anew each time that nobody gave them.
    if (addresses === undefined) socket.readdress(socket.remoteAddress, socket.localAddress)
    noteRelayed(socket.remoteAddress, tlvs, this.#options)
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
