/** What does a byte stream that nobody looks into cost: HTTP through a TCP proxy. */
import { type Place, runScenario, type Scenario } from '../kit/contest.ts'
import {
  launchEnvoy,
  launchHaproxy,
  launchNginx,
  launchWeft,
  nginxHasStream,
} from '../kit/launch.ts'
import { cluster, tcpListener } from '../kit/resources.ts'
import { wrk } from '../kit/wrk.ts'

function resources({ ports: [port = 0], origin }: Place) {
  return {
    listeners: [tcpListener(port, 'app')],
    clusters: [cluster('app', [origin])],
    secrets: [],
  }
}

const tcp: Scenario = {
  name: 'tcp',
  summary: 'CPU per exchange of a TCP proxy: 100 B and 100 KB answers on connections that stay.',
  unit: 'request',
  needs: ['wrk'],
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
          'tcp',
          `frontend f\n  bind 127.0.0.1:${port}\n  default_backend b\nbackend b\n  server a 127.0.0.1:${origin}\n`,
        ),
      ],
    },
    ...(nginxHasStream()
      ? [
          {
            name: 'nginx',
            program: 'nginx',
            launches: ({ dir, ports: [port = 0], origin }: Place) => [
              launchNginx(
                dir,
                port,
                '',
                `server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${origin}; }`,
              ),
            ],
          },
        ]
      : []),
    {
      name: 'envoy',
      program: 'envoy',
      launches: (place) => [launchEnvoy(place.dir, place.ports[0] ?? 0, resources(place))],
    },
  ],
  works: [100, 100_000].map((size) => ({
    name: `${size} B`,
    load: (port, seconds) => wrk(`http://127.0.0.1:${port}/bytes/${size}`, seconds),
  })),
}

export const run = (argv: string[]): Promise<number> => runScenario(tcp, argv)
