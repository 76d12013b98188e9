/** What does the broker cost per request, beside a pipe that forwards the same bytes unseen? */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Place, runScenario, type Scenario, type Work } from '../kit/contest.ts'
import type { Launch } from '../kit/launch.ts'

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const NODE = ['--conditions=source'] as const

function middle(what: 'broker' | 'pipe', { ports: [port = 0], origin }: Place): Launch {
  return {
    command: process.execPath,
    args: [...NODE, script('middle.ts'), what, `${port}`, `${origin}`],
    port,
  }
}

function work(name: string, connections: number, inFlight: number, kind: string): Work {
  return {
    name,
    async load(port, seconds) {
      const args = [port, seconds, connections, inFlight, kind].map(String)
      const { stdout } = await promisify(execFile)(process.execPath, [
        ...NODE,
        script('load.ts'),
        ...args,
      ])
      return Number(stdout)
    },
  }
}

const rsocket: Scenario = {
  name: 'rsocket',
  summary: 'CPU per request of 128 B and its answer through the broker, beside a TCP pipe.',
  unit: 'request',
  needs: [],
  origin: new URL('responder.ts', import.meta.url),
  contenders: [
    { name: 'weft broker', launches: (place) => [middle('broker', place)] },
    { name: 'TCP pipe', launches: (place) => [middle('pipe', place)] },
  ],
  works: [
    work('16 x 4 in flight, a write per frame', 16, 4, 'rr'),
    work('1 in flight', 1, 1, 'rr'),
    work('1 x 64 in flight, coalesced', 1, 64, 'coalesced'),
    work('items of 8 streams', 1, 8, 'stream'),
  ],
}

export const run = (argv: string[]): Promise<number> => runScenario(rsocket, argv)
