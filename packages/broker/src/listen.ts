/** A listener of the broker: RSocket over TCP or WebSocket, in plaintext or over TLS. */
import type { Clock } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import {
  type AcceptedSocket,
  type Listening,
  type ServerTlsContext,
  type Socket,
  type SocketHandler,
  type Transport,
  upgradeToTls,
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
  onTlsFailed(): void
}

export function openListener(options: ListenOptions, deps: ListenDeps): Promise<Listening> {
  const { address, tls } = options
  return deps.transport.listen({ address }, (socket) =>
    tls === undefined ? deps.legOn(socket) : secure(socket, tls(), deps),
  )
}

function secure(raw: AcceptedSocket, context: ServerTlsContext, deps: ListenDeps): SocketHandler {
  const shaking: SocketHandler = {
    onOpen() {
      socket.handler = deps.legOn(socket)
    },
    onData() {},
    onEnd() {},
    onDrain() {},
    onClose: () => deps.onTlsFailed(),
  }
  const side = { kind: 'server', context, offeredAlpn: [], serverName: undefined } as const
  const socket = upgradeToTls(raw, undefined, side, shaking, deps)
  return raw.handler
}
