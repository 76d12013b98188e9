/** Applications that say what arrived at them: HTTP/1.1, HTTP/2, with and without TLS, and bytes. */
import { once } from 'node:events'
import {
  createServer as createHttp,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import {
  createServer as createHttp2,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { createServer as createHttps, type ServerOptions } from 'node:https'
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net'
import { createServer as createTls, type TLSSocket } from 'node:tls'

export interface Echo {
  readonly backend: string
  readonly method: string
  readonly path: string
  readonly host: string
  readonly http: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: number
  readonly trailers: Readonly<Record<string, string>>
  /** Of the TLS connection. */
  readonly sni?: string
  readonly peer?: string
}

export interface App extends AsyncDisposable {
  readonly port: number
  /** Paths of the requests that came, in order. */
  readonly seen: string[]
}

export type AppKind = 'http1' | 'h2c' | 'https' | 'h2' | 'tcp' | 'tls'

/**
 * An application on a free port. A request can ask for its answer: `?status=` with a number,
 * `?delay=` in milliseconds, `?size=` in bytes, `?fail=` so many times 503 for this path before it goes well,
 * `?only=` a name: 503 when it is this application's.
 */
export async function startApp(
  name: string,
  kind: AppKind = 'http1',
  tls: ServerOptions = {},
): Promise<App> {
  const seen: string[] = []
  const failures = new Map<string, number>()
  const answer = (
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
  ) => {
    seen.push(request.url ?? '')
    let body = 0
    request.on('data', (chunk: Buffer) => {
      body += chunk.length
    })
    request.on('end', () => {
      const query = new URL(request.url ?? '/', 'http://x').searchParams
      const key = request.url ?? ''
      const failed = failures.get(key) ?? 0
      failures.set(key, failed + 1)
      const fails = failed < Number(query.get('fail') ?? 0) || query.get('only') === name
      const socket = request.socket as Socket &
        Partial<TLSSocket> & { readonly servername?: string }
      const peer = socket.getPeerCertificate?.().subject?.CN
      const echo: Echo = {
        backend: name,
        method: request.method ?? '',
        path: request.url ?? '',
        host: (request.headers[':authority'] ?? request.headers.host ?? '').toString(),
        http: request.httpVersion,
        headers: Object.fromEntries(
          Object.entries(request.headers).map(([field, value]) => [field, String(value)]),
        ),
        body,
        trailers: request.trailers as Record<string, string>,
        ...(typeof socket.servername === 'string' ? { sni: socket.servername } : {}),
        ...(peer === undefined ? {} : { peer: String(peer) }),
      }
      const send = () => {
        response.statusCode = fails ? 503 : Number(query.get('status') ?? 200)
        response.setHeader('content-type', 'application/json')
        response.setHeader('x-backend', name)
        const size = Number(query.get('size') ?? 0)
        response.end(size > 0 ? Buffer.alloc(size, 'z') : JSON.stringify(echo))
      }
      const delayMs = Number(query.get('delay') ?? 0)
      if (delayMs === 0) send()
      else setTimeout(send, delayMs)
    })
  }
  const bytes = (socket: Socket | TLSSocket) => {
    socket.on('error', () => socket.destroy())
    socket.write(`${name}:`)
    socket.pipe(socket)
  }
  const server = ((): Server => {
    switch (kind) {
      case 'http1':
        return createHttp(answer as RequestListener)
      case 'h2c':
        return createHttp2(answer)
      case 'https':
        return createHttps(tls, answer as RequestListener)
      case 'h2':
        return createSecureServer({ ...tls, allowHTTP1: true } as object, answer)
      case 'tcp':
        return createTcp(bytes)
      case 'tls':
        return createTls(tls, bytes)
    }
  })()
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
    seen.push(request.url ?? '')
    socket.on('error', () => socket.destroy())
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n')
    socket.write(`${name}:`)
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
