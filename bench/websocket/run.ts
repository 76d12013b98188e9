/** What does a message over a WebSocket cost on its way to an echo and back? */
import { runScenario, type Scenario } from '../kit/contest.ts'
import { nginxProxyTo } from '../kit/launch.ts'
import { oneHop, plainHttp } from '../kit/one-hop.ts'
import { echoMessages } from './load.ts'

const CONNECTIONS = 64

const websocket: Scenario = {
  name: 'websocket',
  summary: 'CPU per echoed WebSocket message of 100 B and 16 KB, 64 connections.',
  unit: 'message',
  needs: [],
  contenders: oneHop({
    resources: plainHttp,
    nginx: (port, origin) => ({
      http: `${nginxProxyTo(origin)}
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://app; } }`,
    }),
  }),
  works: [100, 16_000].map((length) => ({
    name: `${length} B`,
    load: (port, seconds) => echoMessages(port, seconds, { connections: CONNECTIONS, length }),
  })),
}

export const run = (argv: string[]): Promise<number> => runScenario(websocket, argv)
