/**
 * What does HTTP/2 cost at the proxy's front: calls of clients with few connections and
 * many streams on each, to an application that speaks HTTP/1.1. Without TLS, so that
 * framing, header compression and flow control are what is measured.
 */
import { type Place, runScenario, type Scenario } from '../kit/contest.ts'
import { h2load } from '../kit/h2load.ts'
import { launchEnvoy, launchHaproxy, launchNginx, launchWeft, nginxProxyTo } from '../kit/launch.ts'
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
  contenders: [
    {
      name: 'weft',
      launches: (place) => [launchWeft(place.dir, place.ports[0] ?? 0, resources(place))],
    },
    {
      name: 'haproxy',
      program: 'haproxy',
      launches: ({ dir, ports: [port = 0], origin }) => [
        launchHaproxy(
          dir,
          port,
          'http',
          `frontend f\n  bind 127.0.0.1:${port} proto h2\n  default_backend b\nbackend b\n  server a 127.0.0.1:${origin}\n`,
        ),
      ],
    },
    {
      name: 'nginx',
      program: 'nginx',
      launches: ({ dir, ports: [port = 0], origin }) => [
        launchNginx(
          dir,
          port,
          `${nginxProxyTo(origin)}
  server { listen 127.0.0.1:${port} http2; location / { proxy_pass http://app; } }`,
        ),
      ],
    },
    {
      name: 'envoy',
      program: 'envoy',
      launches: (place) => [launchEnvoy(place.dir, place.ports[0] ?? 0, resources(place))],
    },
  ],
  works: [
    ...[100, 10_000].map((size) => ({
      name: `${size} B down`,
      load: (port: number, seconds: number) =>
        h2load(`http://127.0.0.1:${port}/bytes/${size}`, seconds),
    })),
  ],
}

export const run = (argv: string[]): Promise<number> => runScenario(http2, argv)
