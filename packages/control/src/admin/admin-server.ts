/**
 * HTTP for the admin endpoints. It listens on loopback and has no login, so it
 * must not be usable by web pages that a browser on the same machine shows:
 * requests whose Host is a name other than localhost are refused (DNS
 * rebinding), and so is anything that says it comes from another origin.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { isIP } from 'node:net'
import type { Logger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import { adminEndpoints } from './catalog.ts'
import { type AdminAnswer, jsonAnswer, type PlaneView, textAnswer } from './endpoint.ts'

// Imported as a module it would hand out its WebSocket too, for which Node loads all of undici:
// 7 MB in every process.
const { createServer }: typeof import('node:http') = createRequire(import.meta.url)('node:http')

/** Of a POST, in bytes. */
const MAX_BODY_BYTES = 10 * 1024 * 1024

export interface AdminServer {
  readonly address: SocketAddress
  close(): Promise<void>
}

export async function openAdminServer(
  address: SocketAddress,
  plane: PlaneView,
  log: Logger,
): Promise<AdminServer> {
  const server = createServer((request, response) => {
    answer(request, plane).then(
      (result) => write(request, response, result),
      (error: unknown) => {
        log.error('admin endpoint failed', { url: request.url, error })
        write(request, response, jsonAnswer({ error: 'internal error' }, 500))
      },
    )
  })
  await listen(server, address)
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port
  return {
    address: { host: address.host, port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(server: Server, { host, port }: SocketAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function answer(request: IncomingMessage, plane: PlaneView): Promise<AdminAnswer> {
  const refusal = refuse(request)
  if (refusal !== undefined) return refusal
  const url = targetOf(request.url ?? '/')
  if (url === undefined) return jsonAnswer({ error: 'the request target is not a path' }, 400)
  const method = request.method === 'HEAD' ? 'GET' : request.method
  if (url.pathname === '/') return textAnswer(help())
  const onPath = adminEndpoints.filter(({ path }) => path === url.pathname)
  if (onPath.length === 0) return jsonAnswer({ error: `no endpoint ${url.pathname}` }, 404)
  const endpoint = onPath.find((one) => one.method === method)
  if (endpoint === undefined) {
    return jsonAnswer({ error: `${url.pathname} wants ${onPath[0]?.method}` }, 405)
  }
  const body = method === 'POST' ? await readBody(request) : ''
  if (body === undefined) return jsonAnswer({ error: 'the body is too large' }, 413)
  const header = (name: string) => {
    const value = request.headers[name]
    return Array.isArray(value) ? value.join(',') : value
  }
  return endpoint.answer({ query: url.searchParams, header, body }, plane)
}

/** A path may begin with `//`, which a URL by itself would take for a host. */
function targetOf(target: string): URL | undefined {
  const url = target.startsWith('/') ? `http://admin${target}` : target
  return URL.canParse(url) ? new URL(url) : undefined
}

function refuse(request: IncomingMessage): AdminAnswer | undefined {
  const host = hostName(request.headers.host ?? '')
  if (host !== 'localhost' && isIP(host) === 0) {
    return jsonAnswer({ error: 'the Host header must be localhost or an IP address' }, 403)
  }
  const { origin } = request.headers
  if (origin !== undefined && !isSameOrigin(origin, request.headers.host ?? '')) {
    return jsonAnswer({ error: 'requests of other origins are refused' }, 403)
  }
  const type = request.headers['content-type'] ?? ''
  if (request.method === 'POST' && !/^(application|text)\/(x-)?(yaml|json)\b/i.test(type)) {
    return jsonAnswer({ error: 'content-type must be application/yaml or application/json' }, 415)
  }
  return undefined
}

function isSameOrigin(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host
}

/** Without port and brackets. */
function hostName(host: string): string {
  const bare = host.replace(/:\d+$/, '')
  return bare.startsWith('[') ? bare.slice(1, -1) : bare.toLowerCase()
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    const data = chunk as Buffer
    bytes += data.length
    if (bytes > MAX_BODY_BYTES) return undefined
    chunks.push(data)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function write(request: IncomingMessage, response: ServerResponse, result: AdminAnswer): void {
  response.writeHead(result.status, {
    'content-type': result.contentType,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  if (request.method !== 'HEAD') {
    const pieces = typeof result.body === 'string' ? [result.body] : result.body
    for (const piece of pieces) response.write(piece)
  }
  response.end()
}

function help(): string {
  const width = Math.max(...adminEndpoints.map(({ path }) => path.length))
  return adminEndpoints
    .map(({ method, path, summary }) => `${method.padEnd(4)} ${path.padEnd(width)}  ${summary}\n`)
    .join('')
}
