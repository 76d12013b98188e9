/** Proxies, applications and clients on real sockets, for tests of the whole. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { LogScopes, realClock } from '@weft/base'
import {
  type HttpConnectionManager,
  type Listener,
  NO_LOCALITY,
  type OfferedPort,
  type ResourceSet,
} from '@weft/model'
import { RESOURCE_TYPES, type ResourceSinkDeps } from '@weft/xds'
import { startProxy } from './proxy.ts'
import type { ProxyHandle } from './proxy-handle.ts'
import type { ProxyOptions } from './proxy-options.ts'
import { cluster, endpoints, listener, setOf, table } from './test-resources.ts'

/** A proxy whose configuration comes from the test. */
export async function openProxy(name: string, options: Partial<ProxyOptions> = {}) {
  let sink: ResourceSinkDeps | undefined
  const health: string[] = []
  const proxy = await startProxy(
    {
      role: 'sidecar',
      workload: {
        name,
        namespace: 'default',
        serviceAccount: 'default',
        labels: { app: name },
        locality: NO_LOCALITY,
        cluster: 'weft',
      },
      address: '127.0.0.1',
      source: {
        kind: 'feed',
        async open(deps) {
          sink = deps
          return {
            rejections: () => [],
            control: () => undefined,
            reportHealth: (healthy, message) => health.push(healthy ? 'healthy' : message),
            close: async () => {},
          }
        },
      },
      admin: { host: '127.0.0.1', port: 0 },
      version: '0.1.0',
      ...options,
      timings: { drainNoticeMs: 20, probeIntervalMs: 20, ...options.timings },
    },
    { clock: realClock, random: () => 0.5, logs: new LogScopes(() => {}, realClock.nowMs) },
  )
  const versions = Object.fromEntries(RESOURCE_TYPES.map((type) => [type, new Map()]))
  const publish = (set: ResourceSet) =>
    sink?.onUpdate({ set, versions: versions as never, source: 'control' })
  return { proxy, publish, health }
}

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: IncomingHttpHeaders
}

export function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
) {
  return new Promise<Answer>((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        body += piece
      })
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
      )
    })
      .on('error', reject)
      .end()
  })
}

export const adminGet = (proxy: ProxyHandle, path: string, method = 'GET') =>
  get(
    proxy.admin?.port ?? 0,
    path,
    method === 'POST' ? { authorization: `Bearer ${proxy.adminToken}` } : {},
    method,
  )

/** An application that says who it is and shows what it was sent. */
export async function openApp(
  respond: (path: string, headers: IncomingHttpHeaders) => Promise<string> | string,
): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer((incoming, response) => {
    void Promise.resolve(respond(incoming.url ?? '', incoming.headers)).then((text) =>
      response.end(text),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, server }
}

export const REVIEWS = 'outbound|9080||reviews.default.svc.cluster.local'

/** Everything that reaches the proxy's outbound listener goes to `port`. */
export function outboundTo(port: number, proxy: ProxyHandle): ResourceSet {
  return setOf({
    listener: [listener('weft:outbound', 'outbound', proxy.outbound?.port ?? 0)],
    route: [table([REVIEWS])],
    cluster: [cluster(REVIEWS)],
    endpoints: [endpoints(REVIEWS, [`127.0.0.1:${port}`], true)],
  })
}

export function inboundTo(appPort: number, listenPort: number): ResourceSet {
  const name = 'inbound|9080||'
  const base = listener('weft:inbound|9080', 'inbound', listenPort)
  const own: Listener = {
    ...base,
    filterChains: base.filterChains.map((chain) => ({
      ...chain,
      filter: {
        ...chain.filter,
        routes: { kind: 'inline', table: table([name]) },
      } as HttpConnectionManager,
    })),
  }
  const app = endpoints(name, [`127.0.0.1:${appPort}`], false)
  return setOf({
    listener: [own],
    route: [],
    cluster: [cluster(name, { kind: 'static', endpoints: app })],
    endpoints: [],
  })
}

export function offer(appPort: number): OfferedPort {
  return {
    service: 'reviews',
    port: 9080,
    protocol: 'http',
    address: '127.0.0.1',
    listenPort: 0,
    appAddress: '127.0.0.1',
    appPort,
  }
}

/** Waits for what the machine does, at most 5 s. */
export async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (isSo()) return
    await new Promise((resolve) => realClock.after(5, () => resolve(undefined)))
  }
  throw new Error('Cannot wait any longer')
}
