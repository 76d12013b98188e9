/** What does a message over a WebSocket cost on its way to an echo and back? */
import { type Place, runScenario, type Scenario } from '../kit/contest.ts'
import { launchEnvoy, launchHaproxy, launchNginx, launchWeft, nginxProxyTo } from '../kit/launch.ts'
import { cluster, httpListener } from '../kit/resources.ts'
import { echoMessages } from './load.ts'

const CONNECTIONS = 64

function resources({ ports: [port = 0], origin }: Place) {
  return {
    listeners: [httpListener(port, 'app')],
    clusters: [cluster('app', [origin])],
    secrets: [],
  }
}

const websocket: Scenario = {
  name: 'websocket',
  summary: 'CPU per echoed WebSocket message of 100 B and 16 KB, 64 connections.',
  unit: 'message',
  needs: [],
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
          `frontend f\n  bind 127.0.0.1:${port}\n  default_backend b\nbackend b\n  server a 127.0.0.1:${origin}\n`,
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
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://app; } }`,
        ),
      ],
    },
    {
      name: 'envoy',
      program: 'envoy',
      launches: (place) => [launchEnvoy(place.dir, place.ports[0] ?? 0, resources(place))],
    },
  ],
  works: [100, 16_000].map((length) => ({
    name: `${length} B`,
    load: (port, seconds) => echoMessages(port, seconds, { connections: CONNECTIONS, length }),
  })),
}

export const run = (argv: string[]): Promise<number> => runScenario(websocket, argv)
