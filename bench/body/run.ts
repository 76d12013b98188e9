/** What do bodies of 100 B to 1 MB cost on their way down and up? Targets: performance.md §13. */
import { runScenario, type Scenario, type Work } from '../kit/contest.ts'
import { nginxProxyTo } from '../kit/launch.ts'
import { oneHop, plainHttp } from '../kit/one-hop.ts'
import { postScript, wrk } from '../kit/wrk.ts'

const SIZES = [100, 10_000, 100_000, 1_000_000] as const
const CONNECTIONS = 16

function down(size: number): Work {
  return {
    name: `${size} B down`,
    load: (port, seconds) =>
      wrk(`http://127.0.0.1:${port}/bytes/${size}`, seconds, { connections: CONNECTIONS }),
  }
}

function up(size: number): Work {
  return {
    name: `${size} B up`,
    load(port, seconds, shared) {
      const script = postScript(shared, size)
      return wrk(`http://127.0.0.1:${port}/`, seconds, { connections: CONNECTIONS, script })
    },
  }
}

const body: Scenario = {
  name: 'body',
  summary: 'CPU per request with bodies of 100 B to 1 MB, down and up, plain HTTP/1.1.',
  unit: 'request',
  needs: ['wrk'],
  contenders: oneHop({
    resources: plainHttp,
    nginx: (port, origin) => ({
      http: `${nginxProxyTo(origin)}
  server { listen 127.0.0.1:${port}; proxy_request_buffering off; location / { proxy_pass http://app; } }`,
    }),
  }),
  works: [...SIZES.map(down), ...SIZES.map(up)],
}

export const run = (argv: string[]): Promise<number> => runScenario(body, argv)
