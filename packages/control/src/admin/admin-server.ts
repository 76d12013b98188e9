/**
 * HTTP for the admin endpoints: who calls, whether they may, and what a browser may be made to ask.
 *
 *     socket ─► Host and Origin (421, 403) ─► who is it (401) ─► may they (403) ─► the endpoint ─► audit
 *
 * Several listeners, one set of endpoints: loopback, a unix socket for this machine's user, and TLS
 * for other machines.
 */
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import type { Clock, Logger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import { peerChain, type XdsTls } from '@weft/xds'
import type { Authenticated } from './access/operators.ts'
import { denialOf, NOBODY, type Operator } from './access/roles.ts'
import { originProblem } from './access/same-origin.ts'
import { adminEndpoints } from './catalog.ts'
import { signedOut, toConsole } from './console.ts'
import {
  type AdminAnswer,
  type AdminEndpoint,
  jsonAnswer,
  type PlaneView,
  textAnswer,
} from './endpoint.ts'
import { cookieNameOf, cookieOf, readBody, writeAnswer } from './http-answer.ts'
import { storageAnswer } from './storage-full.ts'

// Imported as modules they would hand out a WebSocket too, for which Node loads all of undici:
// 7 MB in every process.
const { createServer }: typeof import('node:http') = createRequire(import.meta.url)('node:http')

export interface AdminServer {
  readonly address: SocketAddress
  readonly tlsAddress: SocketAddress | undefined
  /** For the handshakes to come. */
  setTls(tls: XdsTls): void
  close(): Promise<void>
}

export interface AdminListeners {
  /** Plaintext; loopback unless `isInsecure`. */
  readonly address: SocketAddress
  readonly isInsecure: boolean
  readonly tls?: { readonly address: SocketAddress; readonly identity: XdsTls }
  /** A unix socket of mode 0600. */
  readonly socketPath?: string
  /** Names in `Host` beside localhost and addresses. */
  readonly hosts: readonly string[]
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/
const LOOPBACK_PEER = /^(::1$|(::ffff:)?127\.)/
/** People, scripts and scrapers; not a load. */
const MAX_CONNECTIONS = 256
const REQUEST_TIMEOUT_MS = 30_000
/** Refused callers in the log. */
const TOLD_EVERY_MS = 50

/** @throws {Error} When an address is taken, or would be open to others in plaintext. */
export async function openAdminServer(
  listeners: AdminListeners,
  plane: PlaneView,
  { log, clock }: { readonly log: Logger; readonly clock: Clock },
): Promise<AdminServer> {
  const { address, isInsecure, tls, socketPath, hosts } = listeners
  if (!isInsecure && !LOOPBACK.test(address.host)) {
    throw new Error(
      `Cannot serve the admin API without TLS on ${address.host}: tokens would be read on the way. ` +
        'Leave it on loopback and serve others over TLS (--admin-tls), or say --insecure-admin',
    )
  }
  const api = new AdminApi(plane, new Set(hosts.map((host) => host.toLowerCase())), log, clock)
  const options = { requestTimeout: REQUEST_TIMEOUT_MS }
  const serve = (kind: Kind) => (request: IncomingMessage, response: ServerResponse) =>
    api.serve(request, response, kind)
  await using stack = new AsyncDisposableStack()
  const open = async (server: Server, where: object): Promise<number> => {
    server.maxConnections = MAX_CONNECTIONS
    await listen(server, where)
    stack.defer(() => closed(server))
    const bound = server.address()
    return typeof bound === 'object' && bound !== null ? bound.port : 0
  }
  const port = await open(createServer(options, serve('plain')), address)
  let secure: TlsServer | undefined
  let securePort = 0
  if (tls !== undefined) {
    const { createServer: createTlsServer } = await import('node:https')
    const { constants } = await import('node:crypto')
    secure = createTlsServer(
      {
        ...options,
        ...contextOf(tls.identity),
        minVersion: 'TLSv1.2',
        // Who the certificate names is judged by us; it must come with each handshake.
        requestCert: true,
        rejectUnauthorized: false,
        secureOptions: constants.SSL_OP_NO_TICKET,
      },
      serve('tls'),
    )
    securePort = await open(secure, tls.address)
  }
  if (socketPath !== undefined) {
    const socket = createServer(options, serve('socket'))
    await listenPrivately(socket, socketPath)
    stack.defer(async () => {
      await closed(socket)
      await rm(socketPath, { force: true })
    })
  }
  const owned = stack.move()
  return {
    address: { host: address.host, port },
    tlsAddress: tls === undefined ? undefined : { host: tls.address.host, port: securePort },
    setTls: (identity) => secure?.setSecureContext(contextOf(identity)),
    close: () => owned.disposeAsync(),
  }
}

function contextOf({ chainPem, keyPem }: XdsTls) {
  return { cert: chainPem, key: keyPem }
}

function listen(server: Server, where: object): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/**
 * Who may open the socket is its user, so at no moment may others: it is made in a folder of 0700 and
 * moved to its place when its own mode is 0600. What is there already and is in use is not replaced.
 */
async function listenPrivately(server: Server, path: string): Promise<void> {
  if (await isAnswered(path)) {
    throw Object.assign(new Error(`listen EADDRINUSE: ${path} is in use`), { code: 'EADDRINUSE' })
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const folder = await mkdtemp(join(dirname(path), '.weft-'))
  try {
    const made = join(folder, 's')
    await listen(server, { path: made })
    await chmod(made, 0o600)
    await rename(made, path)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function isAnswered(path: string): Promise<boolean> {
  const { connect } = await import('node:net')
  return new Promise((resolve) => {
    const socket = connect(path)
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

type Kind = 'plain' | 'tls' | 'socket'

/** The endpoints behind the sockets. */
class AdminApi {
  readonly #plane: PlaneView
  readonly #hosts: ReadonlySet<string>
  readonly #log: Logger
  readonly #clock: Clock
  #toldAtMs = Number.NEGATIVE_INFINITY

  constructor(plane: PlaneView, hosts: ReadonlySet<string>, log: Logger, clock: Clock) {
    this.#plane = plane
    this.#hosts = hosts
    this.#log = log
    this.#clock = clock
  }

  serve(request: IncomingMessage, response: ServerResponse, kind: Kind): void {
    this.#answer(request, kind).then(
      (result) => writeAnswer(request, response, result),
      (error: unknown) => {
        // The query may be a code that signs in.
        this.#log.error('admin endpoint failed', { path: pathOf(request), error })
        const full = storageAnswer(error)
        writeAnswer(request, response, full ?? jsonAnswer({ error: 'internal error' }, 500))
      },
    )
  }

  async #answer(request: IncomingMessage, kind: Kind): Promise<AdminAnswer> {
    const isTls = kind === 'tls'
    const cookieName = cookieNameOf(isTls)
    const cookie = cookieOf(request, cookieName)
    const { headers } = request
    const method = request.method ?? 'GET'
    const hasCookie = cookie !== undefined && headers.authorization === undefined
    const foreign = originProblem(
      {
        method,
        scheme: isTls ? 'https' : 'http',
        host: headers.host,
        origin: headers.origin,
        fetchSite: textOf(headers['sec-fetch-site']),
        hasCookie,
      },
      this.#hosts,
    )
    if (foreign !== undefined) return jsonAnswer({ error: foreign.problem }, foreign.status)
    const url = targetOf(request.url ?? '/')
    if (url === undefined) return jsonAnswer({ error: 'the request target is not a path' }, 400)
    const known = this.#authenticate(request, kind, cookie)
    const found = endpointFor(url.pathname, method === 'HEAD' ? 'GET' : method)
    // What there is and what there is not is told to those who said who they are.
    const isOpen = 'answer' in found && (found.access === 'public' || found.access === 'code')
    if (!known.ok && !isOpen) return this.#unknown(request, url.pathname, known.problem)
    const operator = known.ok ? known.operator : NOBODY
    if (url.pathname === '/') return wantsHtml(request) ? toConsole() : textAnswer(help())
    if (!('answer' in found)) return found
    return this.#call(found, request, { url, operator, cookie, cookieName, isTls })
  }

  #authenticate(request: IncomingMessage, kind: Kind, cookie: string | undefined): Authenticated {
    const { socket, headers } = request
    return this.#plane.operators.authenticate({
      isSocket: kind === 'socket',
      isLocal: kind === 'socket' || LOOPBACK_PEER.test(socket.remoteAddress ?? ''),
      chain: kind === 'tls' ? peerChain(socket as TLSSocket) : [],
      authorization: headers.authorization,
      cookie,
    })
  }

  #unknown(request: IncomingMessage, path: string, problem: string): AdminAnswer {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#toldAtMs >= TOLD_EVERY_MS) {
      this.#toldAtMs = nowMs
      this.#log.warn('the admin API was called by nobody', { from: fromOf(request), path, problem })
    }
    const isPage = path === '/' || path.startsWith('/console')
    const answer = isPage && wantsHtml(request) ? signedOut() : jsonAnswer({ error: problem }, 401)
    return { ...answer, headers: { ...answer.headers, 'www-authenticate': 'Bearer realm="weft"' } }
  }

  async #call(
    endpoint: AdminEndpoint,
    request: IncomingMessage,
    call: {
      readonly url: URL
      readonly operator: Operator
      readonly cookie: string | undefined
      readonly cookieName: string
      readonly isTls: boolean
    },
  ): Promise<AdminAnswer> {
    const { url, operator, cookie, cookieName, isTls } = call
    const { access } = endpoint
    const subjects: string[] = []
    const judged = async (): Promise<AdminAnswer> => {
      const denied = access === 'code' ? undefined : denialOf(operator, access)
      if (denied !== undefined) return jsonAnswer({ error: denied }, 403)
      const type = request.headers['content-type'] ?? ''
      if (endpoint.method === 'POST' && !/^(application|text)\/(x-)?(yaml|json)\b/i.test(type)) {
        return jsonAnswer(
          { error: 'content-type must be application/yaml or application/json' },
          415,
        )
      }
      const body = endpoint.method === 'POST' ? await readBody(request) : ''
      if (body === undefined) return jsonAnswer({ error: 'the body is too large' }, 413)
      return endpoint.answer(
        {
          caller: operator,
          method: request.method ?? 'GET',
          isTls,
          cookie,
          cookieName,
          about: (subject) => subjects.push(subject),
          query: url.searchParams,
          header: (name) => textOf(request.headers[name]),
          body,
        },
        this.#plane,
      )
    }
    if (endpoint.method === 'GET') return judged()
    const record = (status: number, reason?: string) =>
      this.#plane.operators.audit.add({
        time: new Date(this.#clock.nowMs()).toISOString(),
        user: operator.user,
        groups: operator.groups,
        proof: operator.proof,
        from: fromOf(request),
        action: typeof access === 'string' ? url.pathname : access.action,
        method: endpoint.method,
        path: url.pathname,
        subjects,
        status,
        ...(reason === undefined ? {} : { reason }),
      })
    try {
      const answer = await judged()
      await record(answer.status, answer.status === 403 ? reasonOf(answer) : undefined)
      return answer
    } catch (error) {
      await record(storageAnswer(error)?.status ?? 500)
      throw error
    }
  }
}

function endpointFor(path: string, method: string): AdminEndpoint | AdminAnswer {
  const onPath = adminEndpoints.filter((one) => one.path === path)
  if (onPath.length === 0) return jsonAnswer({ error: `no endpoint ${path}` }, 404)
  const found = onPath.find((one) => one.method === method)
  if (found !== undefined) return found
  const methods = onPath.map((one) => one.method)
  const allow = methods.flatMap((one) => (one === 'GET' ? ['GET', 'HEAD'] : [one])).join(', ')
  return {
    ...jsonAnswer({ error: `${path} wants ${methods.join(' or ')}` }, 405),
    headers: { allow },
  }
}

function reasonOf({ body }: AdminAnswer): string | undefined {
  if (typeof body !== 'string') return undefined
  return (JSON.parse(body) as { readonly error?: string }).error
}

/** A path may begin with `//`, which a URL by itself would take for a host. */
function targetOf(target: string): URL | undefined {
  const url = target.startsWith('/') ? `http://admin${target}` : target
  return URL.canParse(url) ? new URL(url) : undefined
}

function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? '/'
}

function fromOf({ socket }: IncomingMessage): string {
  const { remoteAddress, remotePort } = socket
  return remoteAddress === undefined ? 'unix' : `${remoteAddress}:${remotePort}`
}

/** A person with a browser, not a program. */
function wantsHtml({ headers }: IncomingMessage): boolean {
  return /text\/html/.test(headers.accept ?? '')
}

function textOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value
}

function help(): string {
  const width = Math.max(...adminEndpoints.map(({ path }) => path.length))
  return adminEndpoints
    .map(({ method, path, summary }) => `${method.padEnd(4)} ${path.padEnd(width)}  ${summary}\n`)
    .join('')
}
