/**
 * Accepted connections that begin with TLS at once. Nothing is made for one before it speaks: who
 * only connects costs a socket, not a session of OpenSSL and its buffers.
 */
import type { AcceptedSocket, Socket, SocketHandler } from '../transport.ts'
import type { ServerTls } from './secure-socket.ts'
import { TLS_HANDSHAKE_TIMEOUT_MS, type TlsDeps, upgradeToTls } from './upgrade.ts'

export interface AcceptTlsEvents {
  /** The handshake is done; says who hears the rest. */
  onOpen(socket: Socket): SocketHandler
  /** It ended before; never after `onOpen`. */
  onClose(error: Error | undefined): void
}

/** Keeps nothing of the handshake, as long as the connection lives. */
const DEAF: SocketHandler = { onOpen() {}, onData() {}, onEnd() {}, onDrain() {}, onClose() {} }

/** The handler of `raw`: waits for its first bytes, then goes on as TLS over it. */
export function acceptTls(
  raw: AcceptedSocket,
  side: ServerTls,
  events: AcceptTlsEvents,
  { clock, handshakeTimeoutMs = TLS_HANDSHAKE_TIMEOUT_MS }: TlsDeps,
): SocketHandler {
  const endMs = clock.monotonicMs() + handshakeTimeoutMs
  let error: Error | undefined
  let socket: Socket
  const shaking: SocketHandler = {
    ...DEAF,
    onOpen() {
      socket.handler = events.onOpen(socket)
    },
    onClose: (why) => events.onClose(why),
  }
  const cancel = clock.after(handshakeTimeoutMs, () => {
    error = new Error(`no TLS handshake within ${handshakeTimeoutMs} ms`)
    raw.close()
  })
  return {
    ...DEAF,
    onData(bytes, length) {
      cancel()
      const leftMs = Math.max(1, endMs - clock.monotonicMs())
      const deps = { clock, handshakeTimeoutMs: leftMs }
      raw.handler = DEAF
      socket = upgradeToTls(raw, bytes.subarray(0, length), side, shaking, deps)
    },
    onEnd: () => raw.close(),
    onClose(why) {
      cancel()
      events.onClose(why ?? error)
    },
  }
}
