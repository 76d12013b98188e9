/** A proxy with filters between a client and an application that says `ok`, over real sockets. */
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FilterOverrides, HttpFilterConfig, Route } from '@weft/model'
import type { ExchangeRecord } from '../exchange/contract.ts'
import {
  clusterOf,
  engineDeps,
  forwardTo,
  httpRuntime,
  listenerRuntime,
  MANAGER,
  routeOf,
  tableOf,
  upstreamOf,
} from '../exchange/engine-fixture.ts'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'
import { ExchangeEntry } from '../observe/log-entries.ts'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export interface FilteredProxy {
  readonly port: number
  readonly records: { readonly flags: string; readonly details: string }[]
  /** Why requests were refused, as the access log has it. */
  readonly reasons: readonly (string | undefined)[]
  /** How many requests the application saw. */
  served(): number
  /** The last one that it saw: its fields, and `:path`. */
  seen(): Readonly<Record<string, string | string[] | undefined>>
  /** On a connection of its own; a header `:path` stands in for `/a`. */
  ask(method: string, headers?: Readonly<Record<string, string>>, body?: string): Promise<Answer>
  /** Puts the same configuration in place again, as a push of something else does. */
  publish(): void
  close(): Promise<void>
}

export async function filteredProxy(
  filters: readonly HttpFilterConfig[],
  overrides: FilterOverrides = {},
  changes: Partial<Route> = {},
  applications = 1,
  more: Readonly<Record<string, number>> = {},
  settings: Partial<typeof MANAGER> = {},
): Promise<FilteredProxy> {
  let served = 0
  let seen: Readonly<Record<string, string | string[] | undefined>> = {}
  const apps = await Promise.all(
    Array.from({ length: applications }, async (_, index) => {
      const app = createServer((request, response) => {
        served++
        seen = { ...request.headers, ':path': request.url }
        response.setHeader('x-app', String(index))
        request.resume().on('end', () => response.end('ok'))
      })
      await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
      return app
    }),
  )
  const addresses = apps.map((app) => ({
    host: '127.0.0.1',
    port: (app.address() as AddressInfo).port,
  }))
  const deps = engineDeps()
  const cluster = upstreamOf(clusterOf('app', addresses), deps)
  const others = Object.entries(more).map(([name, port]) =>
    upstreamOf(clusterOf(name, [{ host: '127.0.0.1', port }]), deps),
  )
  const records: { flags: string; details: string }[] = []
  const reasons: (string | undefined)[] = []
  const observer = {
    onExchangeEnd(record: ExchangeRecord) {
      const { responseFlags, responseCodeDetails } = record
      records.push({ flags: responseFlags, details: responseCodeDetails })
      reasons.push(new ExchangeEntry(record).denialReason)
    },
    onConnectionEnd() {},
  }
  const build = () => {
    const table = tableOf([
      routeOf(forwardTo('app'), { ...structuredClone({ filters: overrides }), ...changes }),
    ])
    const manager = { ...MANAGER, ...settings, filters: structuredClone(filters) }
    return listenerRuntime(httpRuntime(table, [cluster, ...others], { observer, manager }))
  }
  const slot = new ListenerSlot(build())
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  return {
    port: listener.address.port,
    records,
    reasons,
    served: () => served,
    seen: () => seen,
    ask: (method, headers = {}, body = '') => ask(listener.address.port, method, headers, body),
    publish: () => slot.publish(build()),
    async close() {
      await listener.close()
      for (const app of apps) {
        app.closeAllConnections()
        app.close()
      }
    },
  }
}

function ask(
  port: number,
  method: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { ':path': path = '/a', ...fields } = headers
    const length = body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const sent = request(
      {
        port,
        host: '127.0.0.1',
        method,
        path,
        headers: { ...fields, ...length },
        agent: false,
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part
        })
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        )
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}
