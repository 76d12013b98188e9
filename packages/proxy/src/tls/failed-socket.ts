/** The socket of a connection that was not even tried. */
import type { SocketAddress } from '@weft/model'
import type { Socket, SocketHandler } from '@weft/net'

const NOWHERE: SocketAddress = { host: '', port: 0 }

/** Reports `error` in a later turn, as a real connection does. */
export function failedSocket(
  remoteAddress: SocketAddress,
  handler: SocketHandler,
  error: Error,
): Socket {
  const socket = {
    handler,
    remoteAddress,
    localAddress: NOWHERE,
    pendingBytes: 0,
    closed: true,
    write: () => true,
    pause() {},
    resume() {},
    bulkReads: (on: boolean) => !on,
    end() {},
    close() {},
    reset() {},
  }
  setImmediate(() => socket.handler.onClose(error))
  return socket
}
