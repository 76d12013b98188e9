/**
 * What does the broker cost per request, beside a pipe that forwards the same bytes unseen, beside
 * nothing in between, and beside HTTP through sidecars and through the broker's own bridge?
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { makeCertificates } from '../kit/certificates.ts'
import { type Place, runScenario, type Scenario, type Work } from '../kit/contest.ts'
import { type Launch, launchWeft } from '../kit/launch.ts'
import { plainHttp } from '../kit/one-hop.ts'
import { type Json, sidecarPair } from '../kit/resources.ts'

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const NODE = ['--conditions=source'] as const
let secrets: readonly Json[] = []

function middle(what: string, port: number, ...args: readonly (string | number)[]): Launch {
  return {
    command: process.execPath,
    args: [...NODE, script('middle.ts'), what, `${port}`, ...args.map(String)],
    port,
  }
}

const port = ({ ports }: Place, at = 0): number => ports[at] ?? 0
/** Asked by HTTP; what is asked by RSocket has other works besides. */
const HTTP = [
  'HTTP direct',
  'HTTP by one sidecar',
  'HTTP by two sidecars',
  'HTTP by bridge and agent',
]

function work(name: string, connections: number, inFlight: number, kind: string): Work {
  return {
    name,
    ...(kind === 'rr' ? {} : { without: HTTP }),
    async load(to, seconds, _shared, contender) {
      const isHttp = HTTP.includes(contender)
      // HTTP/1.1 has one request under way on a connection.
      const args = isHttp
        ? ['http-load.ts', to, seconds, connections * inFlight]
        : ['load.ts', to, seconds, connections, inFlight, kind]
      const [file = '', ...numbers] = args.map(String)
      const command = [...NODE, script(file), ...numbers]
      const { stdout } = await promisify(execFile)(process.execPath, command)
      return Number(stdout)
    },
  }
}

const rsocket: Scenario = {
  name: 'rsocket',
  summary:
    'CPU per request of 128 B and its answer through the broker, beside a TCP pipe and HTTP sidecars.',
  unit: 'request',
  needs: ['openssl'],
  origin: new URL('responder.ts', import.meta.url),
  prepare(shared) {
    secrets = makeCertificates(shared).secrets
  },
  contenders: [
    { name: 'weft broker', launches: (place) => [middle('broker', port(place))] },
    { name: 'TCP pipe', launches: (place) => [middle('pipe', port(place), place.origin)] },
    { name: 'RSocket direct', launches: () => [] },
    { name: 'HTTP direct', launches: () => [] },
    {
      name: 'HTTP by one sidecar',
      launches: (place) => [launchWeft(place.dir, port(place), plainHttp(place))],
    },
    {
      name: 'HTTP by two sidecars',
      launches(place) {
        const { client, server } = sidecarPair(place, secrets)
        return [
          launchWeft(`${place.dir}/client`, port(place), client),
          launchWeft(`${place.dir}/server`, port(place, 1), server),
        ]
      },
    },
    {
      name: 'HTTP by bridge and agent',
      launches: (place) => [
        middle('bridge', port(place), port(place, 1)),
        middle('agent', port(place, 2), port(place, 1), place.origin),
      ],
    },
  ],
  works: [
    work('16 x 4 in flight, a write per frame', 16, 4, 'rr'),
    work('1 in flight', 1, 1, 'rr'),
    work('1 x 64 in flight, coalesced', 1, 64, 'coalesced'),
    work('items of 8 streams', 1, 8, 'stream'),
  ],
}

export const run = (argv: string[]): Promise<number> => runScenario(rsocket, argv)
