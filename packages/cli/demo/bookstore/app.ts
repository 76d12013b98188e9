/**
 * The little that the four services share: an HTTP server with a table of
 * routes, a client, and an end. Plain `node:http`, no dependency: the bookstore
 * stands for an application that knows nothing of a mesh.
 *
 * What it does do, as any application in any mesh must, is pass on the headers
 * that belong to the caller's request (`PASSED_ON`).
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/** Trace context and the end user travel with the request from service to service. */
const PASSED_ON = [
  'x-request-id',
  'traceparent',
  'tracestate',
  'baggage',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'end-user',
  'user-agent',
  'cookie',
  'authorization',
] as const

export interface Call {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  /** At most 64 KiB of the body. */
  readonly body: string
}

export interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body: string | Uint8Array
}

export interface AppRoute {
  readonly method: 'GET' | 'POST'
  /** Groups become `params`. */
  readonly path: RegExp
  readonly answer: (call: Call, params: readonly string[]) => Answer | Promise<Answer>
}

export interface AppOptions {
  readonly service: string
  readonly version: string
  /** Or the path of a socket file. */
  readonly port: number | string
  /** What is asked by name, e.g. `fetch`; `HTTP_PROXY` decides what stands behind a name. */
  readonly routes: readonly AppRoute[]
}

const MAX_BODY_BYTES = 65_536

export function json(value: unknown, status = 200): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: `${JSON.stringify(value)}\n`,
  }
}

/** The headers of `call` that belong on every request made for its sake. */
export function passedOn(call: Call): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const name of PASSED_ON) {
    const value = call.headers[name]
    if (typeof value === 'string') headers[name] = value
  }
  return headers
}

export function startApp(options: AppOptions): void {
  const server = createServer((request, response) => {
    handle(options, request, response).catch((error: unknown) => {
      console.error(`${options.service}: ${error instanceof Error ? error.message : error}`)
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' })
      response.end('internal error\n')
    })
  })
  if (typeof options.port === 'number') server.listen(options.port, '127.0.0.1')
  else server.listen(options.port)
  server.on('error', (error) => {
    console.error(`${options.service}: ${error.message}`)
    process.exit(1)
  })
  endWithParent()
  const stop = () => {
    server.close(() => process.exit(0))
    server.closeIdleConnections()
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

async function handle(
  options: AppOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://app')
  const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET')
  const body = await readBody(request)
  if (body === undefined) {
    response.writeHead(413, { connection: 'close' }).end('too large\n')
    return
  }
  const call = {
    method,
    path: url.pathname,
    query: url.searchParams,
    headers: request.headers,
    body,
  }
  const answer = await answerTo(options.routes, call)
  response.writeHead(answer.status ?? 200, {
    'x-bookstore': `${options.service}-${options.version}`,
    ...answer.headers,
  } as Record<string, string | string[]>)
  response.end(request.method === 'HEAD' ? undefined : answer.body)
}

async function answerTo(routes: readonly AppRoute[], call: Call): Promise<Answer> {
  let allowed = ''
  for (const route of routes) {
    const found = route.path.exec(call.path)
    if (found === null) continue
    if (route.method === call.method) return route.answer(call, found.slice(1))
    allowed = route.method
  }
  if (allowed !== '') return { status: 405, headers: { allow: allowed }, body: 'not this method\n' }
  return { status: 404, headers: { 'content-type': 'text/plain' }, body: 'not found\n' }
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** A demo that was killed must not leave its applications behind: they look who their parent is. */
function endWithParent(): void {
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) process.exit(0)
  }, 500).unref()
}

/** `weft run` says in PORT where the application shall listen; `weft agent` may name a file. */
export function portFromEnvironment(): number | string {
  return process.env.WEFT_APP_SOCKET ?? Number(process.env.PORT ?? 9080)
}

export function versionFromEnvironment(): string {
  return process.env.WEFT_VERSION ?? process.env.SERVICE_VERSION ?? 'v1'
}
