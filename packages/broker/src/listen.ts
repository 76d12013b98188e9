/** A listener of the broker: RSocket over TCP or WebSocket, in plaintext or over TLS. */
import type { Clock } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import {
  type AcceptedSocket,
  acceptTls,
  type Listening,
  type ServerTlsContext,
  type Socket,
  type SocketHandler,
  type Transport,
} from '@weft/net'

export interface ListenOptions {
  readonly kind: 'tcp' | 'websocket'
  readonly address: SocketAddress
  /** The context of each new connection; absent: plaintext. */
  readonly tls?: () => ServerTlsContext
}

export interface ListenDeps {
  readonly transport: Transport
  readonly clock: Clock
  /** A connection is ready for frames. */
  legOn(socket: Socket): SocketHandler
  readonly handshakeTimeoutMs: number
  /** A TLS handshake begins. False: there are too many connections that nobody vouched for. */
  onHandshake(): boolean
  /** It ended: `legOn` follows when it is done. */
  onShaken(isDone: boolean): void
}

export function openListener(options: ListenOptions, deps: ListenDeps): Promise<Listening> {
  const { address, tls } = options
  return deps.transport.listen({ address }, (socket) =>
    tls === undefined ? deps.legOn(socket) : secure(socket, tls, deps),
  )
}

const CUT: SocketHandler = { onOpen() {}, onData() {}, onEnd() {}, onDrain() {}, onClose() {} }

function secure(
  raw: AcceptedSocket,
  context: () => ServerTlsContext,
  deps: ListenDeps,
): SocketHandler {
  if (!deps.onHandshake()) {
    raw.reset()
    return CUT
  }
  const side = {
    kind: 'server',
    context: context(),
    offeredAlpn: [],
    serverName: undefined,
  } as const
  const events = {
    onOpen(socket: Socket) {
      deps.onShaken(true)
      return deps.legOn(socket)
    },
    onClose: () => deps.onShaken(false),
  }
  return acceptTls(raw, side, events, deps)
}
