/**
 * The admin port's HTTP, over `node:http`: it is off the data path. Finds the
 * endpoint, refuses what must not get through, streams the answer.
 *
 * Being on loopback protects what may be looked at, and a browser on the same
 * machine is the way around that. So: a `Host` that is a name is refused (DNS
 * rebinding makes a page's own name point here), a request that a page of another
 * origin made is refused, GET changes nothing, and a POST takes the token.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Logger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import { ADMIN_HEADERS, AdminAccess, foreignCall } from '@weft/net'
import { adminEndpoints } from './catalog.ts'
import { type AdminAnswer, type ProxyView, textAnswer } from './endpoint.ts'

// Imported as a module it would hand out its WebSocket too, for which Node loads all of undici:
// 7 MB in every process.
const { createServer }: typeof import('node:http') = createRequire(import.meta.url)('node:http')

export interface AdminServer {
  readonly address: SocketAddress
  /** Can be sent to a process that takes over. */
  readonly server: Server
  /** Takes what changes something; whoever started the proxy may know it. */
  readonly token: string
  close(): Promise<void>
}

/** Scrapers and a few people; not a load. */
const MAX_CONNECTIONS = 64
const REQUEST_TIMEOUT_MS = 10_000

export async function openAdminServer(
  address: SocketAddress,
  proxy: ProxyView,
  log: Logger,
  { token, inherited }: { readonly token?: string; readonly inherited?: object } = {},
): Promise<AdminServer> {
  const access = new AdminAccess(address, token)
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    serve(request, response, proxy, access).catch((error: unknown) => {
      // The client went away in the middle of an answer, which is its right.
      const path = pathOf(request.url)
      if (!response.destroyed) log.warn('admin request failed', { path, error })
      response.destroy()
    })
  })
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, inherited ?? { host: address.host, port: address.port })
  const bound = server.address()
  return {
    address:
      typeof bound === 'object' && bound !== null
        ? { host: address.host, port: bound.port }
        : address,
    server,
    token: access.token,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(server: Server, where: object): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  proxy: ProxyView,
  access: AdminAccess,
): Promise<void> {
  request.resume()
  const { method = 'GET', headers } = request
  const isForeign = foreignCall(callOf(request).header) !== undefined
  const refusal = access.refusal(method, pathOf(request.url), headers.authorization)
  // What a page of another origin asks is answered as such, below.
  if (refusal !== undefined && !isForeign) {
    const fields = { ...headersOf(textAnswer('')), 'www-authenticate': 'Bearer realm="weft"' }
    response.writeHead(401, fields)
    response.end(`${refusal}\n`)
    return
  }
  // Whether it is ready must be said at once, whatever the workers do.
  if (proxy.workers !== undefined && method !== 'POST' && request.url !== '/ready') {
    await proxy.workers.refresh()
  }
  const answer = answerFor(callOf(request), proxy)
  response.writeHead(answer.status, {
    ...headersOf(answer),
    ...('allow' in answer && answer.allow !== undefined ? { allow: answer.allow } : {}),
  })
  if (request.method === 'HEAD') {
    response.end()
  } else if (typeof answer.body === 'string') {
    response.end(answer.body)
  } else {
    await pipeline(Readable.from(answer.body), response)
  }
}

function headersOf({ contentType }: AdminAnswer) {
  return { 'content-type': contentType, ...ADMIN_HEADERS }
}

function callOf(request: IncomingMessage): AdminCall {
  return {
    method: request.method ?? 'GET',
    target: request.url ?? '/',
    header: (name) => {
      const value = request.headers[name]
      return Array.isArray(value) ? value.join(',') : value
    },
  }
}

function pathOf(target = '/'): string {
  return target.split('?', 1)[0] ?? '/'
}

export interface AdminCall {
  readonly method: string
  /** Path with query, as sent. */
  readonly target: string
  header(name: string): string | undefined
}

/** Pure but for what a POST is meant to do; `openAdminServer` puts it on a socket. */
export function answerFor(
  call: AdminCall,
  proxy: ProxyView,
): AdminAnswer & { readonly allow?: string } {
  const refusal = foreignCall(call.header)
  if (refusal !== undefined) return textAnswer(`${refusal.problem}\n`, refusal.status)
  const [path = '/', query = ''] = call.target.split(/\?(.*)/s)
  const endpoint = adminEndpoints[path === '/' ? '/help' : path]
  if (endpoint === undefined) {
    return textAnswer(`invalid path; see /help\n`, 404)
  }
  const method = call.method === 'HEAD' ? 'GET' : call.method
  if (method !== endpoint.method) {
    const allow = endpoint.method === 'GET' ? 'GET, HEAD' : endpoint.method
    return { ...textAnswer(`Method ${call.method} not allowed, ${allow} required\n`, 405), allow }
  }
  return endpoint.answer({ query: new URLSearchParams(query), header: call.header }, proxy)
}
