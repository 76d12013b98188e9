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
import type { ClusterMember } from '../cluster/cluster-member.ts'
import type { FilterSet } from '../filters/filter-set.ts'
import { registerFilterStats } from '../filters/filter-stats.ts'
import { registerScrapeStats } from '../scrape/scrape-stats.ts'
import { Scraper, type ScrapeWish } from '../scrape/scraper.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { registerBrokerStats } from './broker-stats.ts'
import { registerClusterStats } from './cluster-stats.ts'
import { leasesOf, linksOf } from './link-list.ts'

export interface BrokerAdminOptions {
  readonly address: SocketAddress
  /** Who may look where others reach the address. */
  readonly token?: string
  /** Who may only scrape there: `/sd/prometheus` and `/scrape/…`. */
  readonly scrapeToken?: string
  /** What `/server_info` says besides. */
  readonly info: Readonly<Record<string, unknown>>
}

export interface BrokerAdminDeps {
  readonly broker: Broker
  /** Gets the broker's own metrics besides what is in it; absent: there are no others. */
  readonly registry?: MetricsRegistry
  /** Absent: it was started without. */
  readonly filters?: FilterSet
  /** Absent: there are no other brokers. */
  readonly cluster?: Pick<ClusterMember, 'status'>
  /** Absent: it is no client of another broker. */
  readonly upstream?: Pick<Upstream, 'status'>
  readonly log: Logger
  state(): 'PRE_INITIALIZING' | 'LIVE' | 'DRAINING'
}

export interface BrokerAdmin {
  readonly address: SocketAddress
  close(): Promise<void>
}

type View = BrokerAdminDeps & { readonly registry: MetricsRegistry; readonly scraper: Scraper }

interface Answer {
  readonly status?: number
  readonly type: string
  readonly body: string | Buffer | Iterable<string>
}

type Endpoint = (
  deps: View,
  options: BrokerAdminOptions,
  call: {
    readonly query: URLSearchParams
    readonly accept: string | undefined
    readonly authority: string
  },
) => Answer

const TEXT = 'text/plain; charset=UTF-8'
const JSON_TYPE = 'application/json'
const MAX_CONNECTIONS = 64
const REQUEST_TIMEOUT_MS = 10_000

const ENDPOINTS: Readonly<Record<string, readonly [summary: string, Endpoint]>> = {
  '/links': [
    'who is connected, and the other brokers',
    ({ broker, cluster }) =>
      json({
        links: linksOf(broker),
        ...(cluster === undefined ? {} : { brokers: cluster.status.brokers }),
      }),
  ],
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
  '/sd/prometheus': [
    'who can be scraped by way of /scrape/<instance>, for http_sd_configs',
    ({ scraper }, _options, { authority }) => json(scraper.targets(authority)),
  ],
  '/ready': [
    'state; 200 if LIVE, otherwise 503',
    ({ state, cluster }) => ({
      status: state() === 'LIVE' ? 200 : 503,
      type: TEXT,
      body: `${state()}\n${clusterBanner(cluster)}`,
    }),
  ],
  '/server_info': [
    'version and state',
    ({ broker, state, cluster, upstream }, { info }) =>
      json({
        ...info,
        ...{ state: state(), pid: process.pid, connections: broker.connections },
        ...(cluster === undefined ? {} : { cluster: cluster.status }),
        ...(upstream === undefined ? {} : { upstream: upstream.status }),
      }),
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
  const { scrapeToken } = options
  const scraping = scrapeToken === undefined ? access : new AdminAccess(address, scrapeToken)
  const registry = deps.registry ?? new MetricsRegistry()
  const scraper = new Scraper(deps.broker, deps.broker.clock)
  registerBrokerStats(registry, deps.broker)
  if (deps.cluster !== undefined) registerClusterStats(registry, deps.broker, deps.cluster)
  registerScrapeStats(registry, scraper)
  if (deps.filters !== undefined) registerFilterStats(registry, deps.filters)
  const view = { ...deps, registry, scraper }
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    serve(request, response, { access, scraping }, options, view).catch((error: unknown) => {
      deps.log.warn('admin request failed', { path: request.url, error })
      response.destroy()
    })
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
        scraper.close()
      }),
  }
}

/** Whom the whole port is for, and whom scraping. */
interface Doors {
  readonly access: AdminAccess
  readonly scraping: AdminAccess
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  doors: Doors,
  options: BrokerAdminOptions,
  deps: View,
): Promise<void> {
  request.resume()
  const { method = 'GET', url = '/', headers } = request
  const [path = '/', query = ''] = url.split(/\?(.*)/s)
  const { accept, host: authority = '' } = headers
  const answer = await answerFor(request, path, method, doors, () => {
    const instance = scrapedBy(path)
    if (instance !== undefined) return scrapeAnswer(deps.scraper, instance, request)
    const endpoint = path === '/' || path === '/help' ? help : ENDPOINTS[path]?.[1]
    return endpoint?.(deps, options, { query: new URLSearchParams(query), accept, authority })
  })
  const challenge = answer.status === 401 ? { 'www-authenticate': 'Bearer realm="weft"' } : {}
  const allow = answer.status === 405 ? { allow: 'GET, HEAD' } : {}
  const fields = { 'content-type': answer.type, ...ADMIN_HEADERS, ...challenge, ...allow }
  response.writeHead(answer.status ?? 200, fields)
  const { body } = answer
  const whole = typeof body === 'string' || Buffer.isBuffer(body) ? body : [...body].join('')
  response.end(method === 'HEAD' ? '' : whole)
}

/** `/metrics/<instance>` is how Alibaba's broker has it. */
const SCRAPE_PATH = /^\/(?:scrape|metrics)\/([^/]{1,512})$/

/** The instance that a path asks to scrape. */
function scrapedBy(path: string): string | undefined {
  const name = SCRAPE_PATH.exec(path)?.[1]
  try {
    return name && decodeURIComponent(name)
  } catch {
    return undefined
  }
}

async function scrapeAnswer(
  scraper: Scraper,
  instance: string,
  { headers }: IncomingMessage,
): Promise<Answer> {
  const seconds = Number(headers['x-prometheus-scrape-timeout-seconds'])
  const wish: ScrapeWish = {
    openMetrics: formatFor(headers.accept) === 'openmetrics',
    ...(seconds > 0 ? { timeoutMs: seconds * 1_000 } : {}),
  }
  const scraped = await scraper.scrape(instance, wish)
  if (scraped.status === 200) return { type: scraped.type, body: scraped.body }
  return text(scraped.status, scraped.problem)
}

function answerFor(
  { headers }: IncomingMessage,
  path: string,
  method: string,
  { access, scraping }: Doors,
  found: () => Answer | undefined | Promise<Answer>,
): Answer | Promise<Answer> {
  const isScrape = path === '/sd/prometheus' || SCRAPE_PATH.test(path)
  // Where a token is needed, no page gets in by a name that was made to point here.
  const anyName = isScrape && scraping.refusal(method, path, undefined) !== undefined
  const foreign = foreignCall((name) => {
    const value = name === 'host' && anyName ? undefined : headers[name]
    return Array.isArray(value) ? value.join(',') : value
  })
  if (foreign !== undefined) return text(foreign.status, foreign.problem)
  const refusal = access.refusal(method, path, headers.authorization)
  const isLetIn = isScrape && scraping.refusal(method, path, headers.authorization) === undefined
  if (refusal !== undefined && !isLetIn) return text(401, refusal)
  if (method !== 'GET' && method !== 'HEAD') return text(405, `Method ${method} not allowed`)
  return found() ?? text(404, 'invalid path; see /help')
}

function help(): Answer {
  const lines = Object.entries(ENDPOINTS).map(([path, [summary]]) => `  ${path}: ${summary}\n`)
  lines.push('  /scrape/<instance>: its metrics; also /metrics/<instance>\n')
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

/** Being away from etcd is no reason to take a broker out of service: what it knows stands. */
function clusterBanner(cluster: BrokerAdminDeps['cluster']): string {
  if (cluster === undefined) return ''
  const { state, problem, sinceMs } = cluster.status
  if (state === 'connected') return ''
  const since = new Date(sinceMs).toISOString()
  if (state === 'conflict') return 'cluster: another broker has the same id\n'
  return `cluster: etcd is away since ${since} (${problem}); what is known of other brokers stands\n`
}
