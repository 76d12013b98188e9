/**
 * A mesh with a broker in this process, and HTTP applications that dial out to it by agents. All
 * that it opened ends with it.
 */
import {
  request as askHttp,
  createServer,
  type IncomingHttpHeaders,
  type RequestListener,
  type Server,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { realClock, silentLogger } from '@weft/base'
import { type BrokerDeps, HttpAgent, type MeshBroker, openMeshBroker } from '@weft/broker'
import { createHandleTransport } from '@weft/net'
import { type Mesh, startMesh } from './mesh.ts'

/** Versions v1 and v2 of `cart` in `shop` as subsets; then the head of a VirtualService, whose routes follow. */
export const cartRoutes = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec:
  host: cart
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart, namespace: shop }
spec:
  hosts: [cart]
  http:
`

export interface BrokerMesh extends AsyncDisposable {
  readonly mesh: Mesh
  readonly opened: MeshBroker
  /** Where the broker takes RSocket over TCP. */
  readonly port: number
  /** @returns The port of an application that answers with `listener`. */
  serve(listener: RequestListener): Promise<number>
  /** Dials out for the application at `appPort`, or for a caller that offers nothing. */
  dialAgent(options: AgentOptions): Promise<HttpAgent>
}

interface AgentOptions {
  readonly app: string
  readonly version: string
  readonly namespace: string
  readonly appPort?: number
}

export async function openBrokerMesh(
  deps: Pick<BrokerDeps, 'authenticate' | 'filters'> = {},
): Promise<BrokerMesh> {
  const mesh = await startMesh()
  const opened = openMeshBroker(
    {
      id: 'b1',
      connect: { host: '127.0.0.1', port: mesh.controlPort },
      cluster: 'weft',
      graceMs: 1_000,
      bridgeHost: '127.0.0.1',
    },
    {
      transport: createHandleTransport(),
      clock: realClock,
      log: silentLogger,
      random: Math.random,
      ...deps,
    },
  )
  const listen = { kind: 'tcp', address: { host: '127.0.0.1', port: 0 } } as const
  const { port } = await opened.broker.listen(listen)
  const servers: Server[] = []
  const agents: HttpAgent[] = []
  return {
    ...{ mesh, opened, port },
    serve(listener) {
      const server = createServer(listener)
      servers.push(server)
      return new Promise((resolve) =>
        server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
      )
    },
    async dialAgent({ app, version, namespace, appPort }) {
      const agent = new HttpAgent(
        {
          brokers: [{ kind: 'tcp', address: { host: '127.0.0.1', port } }],
          ...{ links: 1, instance: `${app}-${version}`, app: `${app}-${version}`, zone: '' },
          namespace,
          labels: { app, version },
          services: appPort === undefined ? [] : [{ name: app, port: 9080 }],
          ...(appPort === undefined ? {} : { application: { host: '127.0.0.1', port: appPort } }),
          outbound: { host: '127.0.0.1', port: 0 },
        },
        { clock: realClock, log: silentLogger, random: Math.random },
      )
      agents.push(agent)
      await agent.open()
      return agent
    },
    async [Symbol.asyncDispose]() {
      for (const agent of agents) agent.close()
      for (const server of servers) {
        server.close()
        server.closeAllConnections()
      }
      await opened.close()
      await mesh[Symbol.asyncDispose]()
    },
  }
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface HttpCall {
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Asks `http://cart:9080` through the HTTP proxy at `port`. */
export function askCart(port: number, call: HttpCall): Promise<HttpAnswer> {
  const { method = 'GET', headers = {} } = call
  const path = `http://cart:9080${call.path}`
  return new Promise((resolve, reject) => {
    const request = askHttp(
      { host: '127.0.0.1', port, path, method, headers, agent: false },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text
        })
        response.on('error', reject)
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        )
      },
    )
    request.on('error', reject)
    request.end()
  })
}
