/**
 * A broker's admin port, under the rules of a proxy's: on loopback everybody may look, elsewhere the
 * token is needed for all but `/ready`, and what a page of another origin asks is refused. Nothing
 * can be changed here.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Logger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import { ADMIN_HEADERS, AdminAccess, foreignCall } from '@weft/net'
import {
  CONTENT_TYPES,
  formatFor,
  MetricsRegistry,
  readStats,
  renderMetrics,
  renderStatsJson,
  renderStatsText,
} from '@weft/telemetry'
import type { Broker } from '../broker.ts'
import type { FilterSet } from '../filters/filter-set.ts'
import { registerFilterStats } from '../filters/filter-stats.ts'
import { registerBrokerStats } from './broker-stats.ts'
import { leasesOf, linksOf } from './link-list.ts'

export interface BrokerAdminOptions {
  readonly address: SocketAddress
  /** Who may look where others reach the address. */
  readonly token?: string
  /** What `/server_info` says besides. */
  readonly info: Readonly<Record<string, unknown>>
}

export interface BrokerAdminDeps {
  readonly broker: Broker
  /** Gets the broker's own metrics besides what is in it; absent: there are no others. */
  readonly registry?: MetricsRegistry
  /** Absent: it was started without. */
  readonly filters?: FilterSet
  readonly log: Logger
  state(): 'PRE_INITIALIZING' | 'LIVE' | 'DRAINING'
}

export interface BrokerAdmin {
  readonly address: SocketAddress
  close(): Promise<void>
}

type View = BrokerAdminDeps & { readonly registry: MetricsRegistry }

interface Answer {
  readonly status?: number
  readonly type: string
  readonly body: string | Iterable<string>
}

type Endpoint = (
  deps: View,
  options: BrokerAdminOptions,
  call: { readonly query: URLSearchParams; readonly accept: string | undefined },
) => Answer

const TEXT = 'text/plain; charset=UTF-8'
const JSON_TYPE = 'application/json'
const MAX_CONNECTIONS = 64
const REQUEST_TIMEOUT_MS = 10_000

const ENDPOINTS: Readonly<Record<string, readonly [summary: string, Endpoint]>> = {
  '/links': ['who is connected', ({ broker }) => json({ links: linksOf(broker) })],
  '/leases': [
    'what responders with leases allow',
    ({ broker }) => json({ leases: leasesOf(broker) }),
  ],
  '/services': [
    'names that can be called, and by how many links',
    ({ broker }) => json({ services: Object.fromEntries(broker.registry.services) }),
  ],
  '/filters': [
    'what looks at connections and streams, in order',
    ({ filters }) => json({ filters: filters?.rows() ?? [] }),
  ],
  '/ready': [
    'state; 200 if LIVE, otherwise 503',
    ({ state }) => ({ status: state() === 'LIVE' ? 200 : 503, type: TEXT, body: `${state()}\n` }),
  ],
  '/server_info': [
    'version and state',
    ({ broker, state }, { info }) =>
      json({ ...info, state: state(), pid: process.pid, connections: broker.connections }),
  ],
  '/stats': ['metrics; ?format=json, ?format=prometheus', statsAnswer],
  '/stats/prometheus': ['metrics as Prometheus scrapes them', prometheusAnswer],
}

/** @throws {Error} When others reach the address and there is no token, or it cannot be bound. */
export async function openBrokerAdmin(
  options: BrokerAdminOptions,
  deps: BrokerAdminDeps,
): Promise<BrokerAdmin> {
  const { address, token } = options
  const access = new AdminAccess(address, token)
  const registry = deps.registry ?? new MetricsRegistry()
  registerBrokerStats(registry, deps.broker)
  if (deps.filters !== undefined) registerFilterStats(registry, deps.filters)
  const view = { ...deps, registry }
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    try {
      serve(request, response, access, options, view)
    } catch (error) {
      deps.log.warn('admin request failed', { path: request.url, error })
      response.destroy()
    }
  })
  server.maxConnections = MAX_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address.port, address.host, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
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

function serve(
  request: IncomingMessage,
  response: ServerResponse,
  access: AdminAccess,
  options: BrokerAdminOptions,
  deps: View,
): void {
  request.resume()
  const { method = 'GET', url = '/', headers } = request
  const [path = '/', query = ''] = url.split(/\?(.*)/s)
  const answer = answerFor(request, path, method, access, () => {
    const endpoint = path === '/' || path === '/help' ? help : ENDPOINTS[path]?.[1]
    return endpoint?.(deps, options, { query: new URLSearchParams(query), accept: headers.accept })
  })
  const challenge = answer.status === 401 ? { 'www-authenticate': 'Bearer realm="weft"' } : {}
  const allow = answer.status === 405 ? { allow: 'GET, HEAD' } : {}
  const fields = { 'content-type': answer.type, ...ADMIN_HEADERS, ...challenge, ...allow }
  response.writeHead(answer.status ?? 200, fields)
  response.end(method === 'HEAD' ? '' : [...answer.body].join(''))
}

function answerFor(
  { headers }: IncomingMessage,
  path: string,
  method: string,
  access: AdminAccess,
  found: () => Answer | undefined,
): Answer {
  const foreign = foreignCall((name) => {
    const value = headers[name]
    return Array.isArray(value) ? value.join(',') : value
  })
  if (foreign !== undefined) return text(foreign.status, foreign.problem)
  const refusal = access.refusal(method, path, headers.authorization)
  if (refusal !== undefined) return text(401, refusal)
  if (method !== 'GET' && method !== 'HEAD') return text(405, `Method ${method} not allowed`)
  return found() ?? text(404, 'invalid path; see /help')
}

function help(): Answer {
  const lines = Object.entries(ENDPOINTS).map(([path, [summary]]) => `  ${path}: ${summary}\n`)
  return { type: TEXT, body: `admin commands are:\n${lines.join('')}` }
}

function statsAnswer(
  deps: View,
  options: BrokerAdminOptions,
  call: Parameters<Endpoint>[2],
): Answer {
  const format = call.query.get('format') ?? 'text'
  if (format === 'prometheus') return prometheusAnswer(deps, options, call)
  const stats = readStats(deps.registry, () => true)
  if (format === 'json') return { type: JSON_TYPE, body: renderStatsJson(stats) }
  if (format === 'text') return { type: TEXT, body: renderStatsText(stats) }
  return text(400, 'usage: /stats?format=text|json|prometheus')
}

function prometheusAnswer(
  { registry }: View,
  _options: BrokerAdminOptions,
  { accept }: Parameters<Endpoint>[2],
): Answer {
  const format = formatFor(accept)
  return { type: CONTENT_TYPES[format], body: renderMetrics(registry, format) }
}

function json(value: unknown): Answer {
  return { type: JSON_TYPE, body: `${JSON.stringify(value, undefined, 1)}\n` }
}

function text(status: number, body: string): Answer {
  return { status, type: TEXT, body: `${body}\n` }
}
