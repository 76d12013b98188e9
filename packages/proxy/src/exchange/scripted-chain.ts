/** Real engines in a row, between a client and upstreams that a test scripts; for tests only. */
import { createServer, type RequestListener, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cluster, HttpConnectionManager, RouteAction } from '@weft/model'
import type { ExchangeRecord } from './contract.ts'
import { clusterOf, engineDeps, upstreamOf } from './engine-fixture.ts'
import { openEngine } from './open-engine.ts'

type Closer = () => void

/** What a test opened; ends it all. */
export class Opened {
  readonly #closers: Closer[] = []

  add(closer: Closer): void {
    this.#closers.push(closer)
  }

  close(): void {
    for (const closer of this.#closers.splice(0)) closer()
  }
}

/** @returns The port of an upstream that answers as told. */
export async function serve(opened: Opened, answer: RequestListener): Promise<number> {
  const server: Server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  opened.add(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

/** @returns A port that nobody listens at. */
export async function deadPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

export interface Hop {
  readonly port: number
  readonly ended: EndedExchange[]
}

type EndedExchange = Pick<ExchangeRecord, 'status' | 'responseFlags' | 'attempts'> & {
  readonly hedges: { readonly launched: number; readonly won: boolean } | undefined
}

/** A proxy that forwards everything to `ports`. */
export async function hop(
  opened: Opened,
  ports: readonly number[],
  changes: {
    readonly action?: Partial<RouteAction>
    readonly cluster?: Partial<Cluster>
    readonly manager?: Partial<HttpConnectionManager>
  } = {},
): Promise<Hop> {
  const deps = engineDeps()
  const addresses = ports.map((port) => ({ host: '127.0.0.1', port }))
  const cluster = upstreamOf(clusterOf('app', addresses, changes.cluster), deps)
  const ended: EndedExchange[] = []
  const observer = {
    onExchangeEnd({ status, responseFlags, attempts, hedges }: ExchangeRecord) {
      const kept = hedges === undefined ? undefined : { launched: hedges.launched, won: hedges.won }
      ended.push({ status, responseFlags, attempts, hedges: kept })
    },
    onConnectionEnd() {},
  }
  const { listener } = await openEngine([cluster], observer, changes, deps)
  opened.add(() => {
    void listener.close()
    cluster.close()
  })
  return { port: listener.address.port, ended }
}

export interface Answered {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/** Each call is a connection of its own. */
export function ask(
  port: number,
  options: {
    readonly method?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string
  } = {},
): Promise<Answered> {
  const { method = 'GET', headers = {}, body = '' } = options
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', method, headers, agent: false }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('error', reject)
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          body: Buffer.concat(parts).toString('utf8'),
          headers: answer.headers,
        }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
