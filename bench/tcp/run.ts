/** What does a byte stream that nobody looks into cost: HTTP through a TCP proxy. */
import { type Place, runScenario, type Scenario } from '../kit/contest.ts'
import { nginxHasStream } from '../kit/launch.ts'
import { oneHop } from '../kit/one-hop.ts'
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
  contenders: oneHop({
    resources,
    haproxy: { mode: 'tcp' },
    nginx: nginxHasStream()
      ? (port, origin) => ({
          stream: `server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${origin}; }`,
        })
      : undefined,
  }),
  works: [100, 100_000].map((size) => ({
    name: `${size} B`,
    load: (port, seconds) => wrk(`http://127.0.0.1:${port}/bytes/${size}`, seconds),
  })),
}

export const run = (argv: string[]): Promise<number> => runScenario(tcp, argv)
