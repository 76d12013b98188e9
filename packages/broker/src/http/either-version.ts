/**
 * An HTTP server in the clear for HTTP/1.1 and, for who begins with its preface (prior knowledge),
 * HTTP/2: gRPC clients never begin with HTTP/1.1.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import {
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2'
import {
  createServer as createNetServer,
  type ListenOptions,
  type Server as NetServer,
  type Socket,
} from 'node:net'
import { isWebSocket } from './upgrade.ts'

/** Of both versions; they agree in what is used here. */
export type AnyRequest = IncomingMessage | Http2ServerRequest
export type AnyResponse = ServerResponse | Http2ServerResponse

export interface EitherServer {
  /** Requests of HTTP/1.1 for other things, such as CONNECT. */
  readonly http1: Server
  readonly address: ReturnType<NetServer['address']>
  /** @throws The system's error when it cannot be bound. */
  listen(at: ListenOptions): Promise<void>
  /** Closes listener and connections at once. */
  close(): void
}

/** The first bytes of RFC 9113, section 3.4; no method of HTTP/1.1 begins so. */
const PREFACE = Buffer.from('PRI * HTTP/2.0')
const KEEP_ALIVE_MS = 75_000
/** Until the first byte. */
const FIRST_BYTE_MS = 60_000

export function createEitherServer(
  onRequest: (request: AnyRequest, response: AnyResponse) => void,
): EitherServer {
  const http1 = createServer(
    { keepAliveTimeout: KEEP_ALIVE_MS, shouldUpgradeCallback: isWebSocket },
    onRequest,
  )
  const http2: Http2Server = createHttp2Server({ settings: { enablePush: false } }, onRequest)
  const sockets = new Set<Socket>()
  http2.on('session', (session: ServerHttp2Session) => {
    session.setTimeout(KEEP_ALIVE_MS, () => session.close())
    session.on('error', () => {})
  })
  const server = createNetServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    void tellApart(socket, http1, http2)
  })
  return {
    http1,
    get address() {
      return server.address()
    },
    listen: (at) =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(at, () => {
          server.off('error', reject)
          resolve()
        })
      }),
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Bytes that were read to see which it is are put back. */
function tellApart(socket: Socket, http1: Server, http2: Http2Server): void {
  const onError = () => socket.destroy()
  socket.on('error', onError)
  socket.setTimeout(FIRST_BYTE_MS, () => socket.destroy())
  let seen = Buffer.alloc(0)
  const look = () => {
    const chunk: Buffer | null = socket.read()
    if (chunk === null) return
    seen = Buffer.concat([seen, chunk])
    const length = Math.min(seen.length, PREFACE.length)
    const mayBe = seen.subarray(0, length).equals(PREFACE.subarray(0, length))
    if (mayBe && length < PREFACE.length) return
    socket.unshift(seen)
    socket.off('readable', look)
    socket.off('error', onError)
    socket.setTimeout(0)
    socket.removeAllListeners('timeout')
    const chosen = mayBe ? http2 : http1
    chosen.emit('connection', socket)
  }
  socket.on('readable', look)
}
