/**
 * A plain port for those who ask whether the application is well and have no identity: a kubelet, a
 * load balancer, a monitor. Under STRICT nobody else reaches the application without one, so this
 * port passes on nothing but what was named: some paths, GET and HEAD, and of the answer the status.
 *
 *     GET /healthz ── named with --probe-path ──► http://127.0.0.1:APP_PORT/healthz ──► its status
 *     GET /…       ── no path was named ────────► does it take connections? 200, else 503
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { OfferedPort, SocketAddress } from '@weft/model'
import type { Arguments } from '../arguments.ts'
import { CommandError, type Option, UsageError } from '../command.ts'
import { parseAddress } from './addresses.ts'

export const PROBE_OPTIONS = {
  probe: {
    kind: 'value',
    placeholder: 'HOST:PORT',
    describe:
      'plain port where a kubelet or load balancer asks whether the application is well, also under STRICT',
  },
  'probe-path': {
    kind: 'list',
    placeholder: 'PATH',
    describe:
      'a GET of it on --probe gets the status that the application answers (none: 200 when it takes connections)',
  },
} as const satisfies Record<string, Option>

export interface ProbePort {
  readonly address: SocketAddress
  readonly paths: readonly string[]
  readonly app: SocketAddress
}

/** Kubelets wait a second unless told otherwise; nobody waits longer than this. */
const ANSWER_MS = 10_000
const MAX_CONNECTIONS = 64
/** What a direct probe would show the application. */
const PASSED_ON = ['host', 'user-agent', 'accept'] as const
const TAKEN_MS = 200

/** @throws {UsageError} When there is no application to ask, or a path is none. */
export function probePortOf(
  args: Arguments,
  offer: OfferedPort | undefined,
): ProbePort | undefined {
  const where = args.value('probe')
  const paths = args.list('probe-path')
  if (where === undefined) {
    if (paths.length === 0) return undefined
    throw new UsageError('--probe-path needs --probe HOST:PORT, where it is asked for')
  }
  if (offer === undefined) {
    throw new UsageError('--probe asks the application of a service: --service NAME --port PORT')
  }
  const bad = paths.find((path) => !/^\/[\x21-\x7e]*$/.test(path))
  if (bad !== undefined) throw new UsageError(`--probe-path must begin with /, got '${bad}'`)
  const app = { host: offer.appAddress, port: offer.appPort }
  return { address: parseAddress('probe', where), paths, app }
}

/**
 * @param isHandedOver The process before this one has the port until it leaves: wait for it.
 * @throws {CommandError} When the port is taken.
 */
export async function openProbePort(
  { address, paths, app }: ProbePort,
  isHandedOver = false,
): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((asked, answer) => void answerProbe(asked, answer, paths, app))
  server.maxConnections = MAX_CONNECTIONS
  server.requestTimeout = ANSWER_MS
  const listen = async () => {
    server.listen({ ...address, exclusive: true })
    await once(server, 'listening')
  }
  let isClosed = false
  const wait = async () => {
    while (!isClosed) {
      try {
        return await listen()
      } catch {
        await pause(TAKEN_MS, undefined, { ref: false })
      }
    }
  }
  try {
    await listen()
  } catch (cause) {
    if (!isHandedOver) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new CommandError(`Cannot open --probe: ${why}`, 1, { cause })
    }
    void wait()
  }
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
    async [Symbol.asyncDispose]() {
      isClosed = true
      server.closeAllConnections()
      server.close()
    },
  }
}

async function answerProbe(
  asked: IncomingMessage,
  answer: ServerResponse,
  paths: readonly string[],
  app: SocketAddress,
): Promise<void> {
  const { method = '', url = '' } = asked
  asked.resume()
  if (method !== 'GET' && method !== 'HEAD') {
    answer.writeHead(405, { allow: 'GET, HEAD' }).end()
    return
  }
  if (paths.length > 0 && !paths.includes(url)) {
    answer.writeHead(404).end()
    return
  }
  const status = paths.length === 0 ? await takesConnections(app) : await statusOf(app, asked)
  answer.writeHead(status, { 'cache-control': 'no-store' }).end()
}

function takesConnections({ host, port }: SocketAddress): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: ANSWER_MS })
    const end = (status: number) => {
      socket.destroy()
      resolve(status)
    }
    socket.once('connect', () => end(200))
    socket.once('timeout', () => end(504))
    socket.once('error', () => end(503))
  })
}

function statusOf({ host, port }: SocketAddress, asked: IncomingMessage): Promise<number> {
  const { method, url, headers } = asked
  const passedOn = PASSED_ON.flatMap((name) => {
    const value = headers[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(ANSWER_MS)
    const call = request(
      {
        host,
        port,
        method,
        path: url,
        headers: Object.fromEntries(passedOn),
        agent: false,
        signal,
      },
      (response) => {
        resolve(response.statusCode ?? 503)
        response.destroy()
      },
    )
    call.once('error', () => resolve(signal.aborted ? 504 : 503))
    call.end()
  })
}
