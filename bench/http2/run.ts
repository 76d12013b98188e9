/**
 * What does HTTP/2 cost at the proxy's front: calls of clients with few connections and
 * many streams on each, to an application that speaks HTTP/1.1. Without TLS, so that
 * framing, header compression and flow control are what is measured.
 */
import { type Place, runScenario, type Scenario } from '../kit/contest.ts'
import { h2load } from '../kit/h2load.ts'
import { nginxProxyTo } from '../kit/launch.ts'
import { oneHop } from '../kit/one-hop.ts'
import { cluster, httpListener, type ResourceFiles } from '../kit/resources.ts'

function resources({ ports: [port = 0], origin }: Place): ResourceFiles {
  return {
    listeners: [httpListener(port, 'app', { codec: 'HTTP2' })],
    clusters: [cluster('app', [origin])],
    secrets: [],
  }
}

const http2: Scenario = {
  name: 'http2',
  summary: 'CPU per request of HTTP/2 clients, 8 connections of 8 streams, to HTTP/1.1.',
  unit: 'request',
  needs: ['h2load'],
  contenders: oneHop({
    resources,
    haproxy: { bind: 'proto h2' },
    nginx: (port, origin) => ({
      http: `${nginxProxyTo(origin)}
  server { listen 127.0.0.1:${port} http2; location / { proxy_pass http://app; } }`,
    }),
  }),
  works: [
    ...[100, 10_000].map((size) => ({
      name: `${size} B down`,
      load: (port: number, seconds: number) =>
        h2load(`http://127.0.0.1:${port}/bytes/${size}`, seconds),
    })),
  ],
}

export const run = (argv: string[]): Promise<number> => runScenario(http2, argv)
