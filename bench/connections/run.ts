/** What does a connection weigh on which nothing happens: plain, TLS, HTTP/2 and WebSocket. */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { freePorts } from '../http1/free-port.ts'
import { start, stop } from '../http1/processes.ts'
import { makeCertificates } from '../kit/certificates.ts'
import {
  type Contender,
  memoryOfAll,
  type Place,
  pickContenders,
  startContender,
  startOrigin,
} from '../kit/contest.ts'
import { markdownTable } from '../kit/outcome.ts'
import { contendersFor, KINDS, type Kind } from './contenders.ts'

const HELP = `Usage: npm run bench -- connections [options]

Private memory per idle connection: each carried one request and is kept open.

  --connections N  connections of each kind (default 9800, as far as open files allow;
                   half as many WebSockets, which have two sockets each)
  --kinds A,B      of ${KINDS.join(', ')} (default: all)
  --rounds N       measurements of each (default 1; fresh processes every time)
  --only A,B       contenders: weft, haproxy, nginx, envoy (default: all that are installed)
  --json           print the results as JSON
`
/** Whoever puts its heap in order after a while has done so. */
const SETTLE_MS = 2_500
/** For what is not a client's connection: upstream, logs, libraries. */
const SPARE_FILES = 500
/** HAProxy is configured for no more. */
const MOST = 9_800

interface Weight {
  readonly beforeMb: number
  readonly afterMb: number
  readonly perConnectionKb: number
}

interface Result extends Weight {
  readonly kind: Kind
  readonly name: string
  readonly connections: number
}

export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      connections: { type: 'string', default: String(MOST) },
      kinds: { type: 'string', default: KINDS.join() },
      rounds: { type: 'string', default: '1' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const kinds = KINDS.filter((kind) => values.kinds.split(',').includes(kind))
  const most = Math.min(Number(values.connections), MOST, openFiles() - SPARE_FILES)
  const shared = mkdtempSync(join(tmpdir(), 'weft-bench-connections-'))
  const children: ChildProcess[] = []
  try {
    const { secrets } = makeCertificates(shared)
    const origin = await startOrigin(shared, children)
    const results: Result[] = []
    for (const kind of kinds) {
      const contenders = pickContenders({ contenders: contendersFor(kind, secrets) }, values.only)
      const connections = kind === 'websocket' ? Math.floor(most / 2) : most
      const weights = new Map<string, Weight[]>(contenders.map(({ name }) => [name, []]))
      for (let round = 1; round <= Number(values.rounds); round++) {
        for (const contender of contenders) {
          console.error(`${kind}: ${contender.name}, round ${round}`)
          const dir = join(shared, `${kind}-${contender.name}-${round}`)
          const place = { dir, shared, ports: await freePorts(3), origin }
          weights.get(contender.name)?.push(await weigh(contender, place, kind, connections))
        }
      }
      for (const [name, all] of weights) {
        results.push({ kind, name, connections, ...medianOf(all) })
      }
    }
    const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.version}`
    if (values.json) console.log(JSON.stringify({ machine, results }, null, 2))
    else console.log(`${machine}; connections\n\n${render(results)}`)
    return 0
  } finally {
    for (const child of children) await stop(child)
    rmSync(shared, { recursive: true, force: true })
  }
}

/** Of one process; children are allowed as many as this one. */
function openFiles(): number {
  return Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }))
}

async function weigh(
  contender: Contender,
  place: Place,
  kind: Kind,
  connections: number,
): Promise<Weight> {
  const children: ChildProcess[] = []
  try {
    mkdirSync(place.dir, { recursive: true })
    const { port, children: own } = await startContender(contender, place, children)
    // The first connections bring code and tables into memory that are not theirs.
    const first = await hold(place.dir, kind, port, 20)
    await stop(first)
    await settled()
    const beforeMb = memoryOfAll(own).anonMb
    children.push(await hold(place.dir, kind, port, connections))
    await settled()
    const afterMb = memoryOfAll(own).anonMb
    const perConnectionKb = ((afterMb - beforeMb) * 1_024) / connections
    return { beforeMb, afterMb, perConnectionKb }
  } finally {
    for (const child of children.reverse()) await stop(child)
  }
}

async function hold(
  dir: string,
  kind: Kind,
  port: number,
  connections: number,
): Promise<ChildProcess> {
  const log = join(dir, `hold-${connections}.log`)
  const script = fileURLToPath(new URL('hold.ts', import.meta.url))
  const child = start(process.execPath, [script, kind, String(port), String(connections)], log)
  for (;;) {
    const text = readFileSync(log, 'utf8')
    if (text.includes('open\n')) return child
    if (child.exitCode !== null) throw new Error(`Connections could not be kept:\n${text}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
}

function medianOf(all: readonly Weight[]): Weight {
  const sorted = [...all].sort((a, b) => a.perConnectionKb - b.perConnectionKb)
  const middle = sorted[Math.floor(sorted.length / 2)]
  if (middle === undefined) throw new Error('Nothing was measured')
  return middle
}

function render(results: readonly Result[]): string {
  const head = ['connections', 'proxy', 'KB each', '× haproxy', 'RssAnon MB before', 'after']
  const rows = results.map(
    ({ kind, name, connections, perConnectionKb, beforeMb, afterMb }): readonly string[] => {
      const peer = results.find((each) => each.name === 'haproxy' && each.kind === kind)
      const ratio = peer === undefined ? '–' : (perConnectionKb / peer.perConnectionKb).toFixed(2)
      return [
        `${connections.toLocaleString('en')} ${kind}`,
        name,
        perConnectionKb.toFixed(1),
        ratio,
        beforeMb.toFixed(1),
        afterMb.toFixed(1),
      ]
    },
  )
  return markdownTable(head, rows).join('\n')
}
