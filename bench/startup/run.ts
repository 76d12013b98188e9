/**
 * How long from being started until a request through the proxy is answered, and what
 * does the process weigh when nothing happens?
 */
import { type ChildProcess, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { freePorts } from '../http1/free-port.ts'
import { start, stop } from '../http1/processes.ts'
import {
  type Contender,
  memoryOfAll,
  type Place,
  pickContenders,
  startOrigin,
} from '../kit/contest.ts'
import { launchWeft, nginxProxyTo } from '../kit/launch.ts'
import { oneHop, plainHttp } from '../kit/one-hop.ts'
import { markdownTable } from '../kit/outcome.ts'

const CONTENDERS = ['weft', 'haproxy', 'nginx', 'envoy'].join(', ')
const HELP = `Usage: npm run bench -- startup [options]

Time from the start of the process to the first answered request, and memory when idle.

  --rounds N      starts per contender (default 7)
  --only A,B      contenders: ${CONTENDERS} (default: all that are installed)
  --json          print the results as JSON
`
const CLI = fileURLToPath(new URL('../../packages/cli/', import.meta.url))
/** Weft puts its heap in order a second after it started. */
const IDLE_MS = 2_500

/** As it is installed: not by a Node that has to find the right one first. */
const installed: Contender = {
  name: 'weft',
  launches(place) {
    const { args, port } = launchWeft(place.dir, place.ports[0] ?? 0, plainHttp(place))
    return [{ command: `${CLI}bin/weft`, args: args.slice(args.indexOf('proxy')), port }]
  },
}
const contenders: readonly Contender[] = oneHop({
  resources: plainHttp,
  nginx: (port, origin) => ({
    http: `${nginxProxyTo(origin)}
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://app; } }`,
  }),
}).map((one) => (one.name === 'weft' ? installed : one))

interface Start {
  readonly readyMs: number
  readonly anonMb: number
  readonly rssMb: number
}

export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      rounds: { type: 'string', default: '7' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const chosen = pickContenders({ contenders }, values.only)
  // As `npm ci` leaves it; sources that changed since then would start in place of the bundle.
  for (const step of ['bundle.mjs', 'warm-cache.mjs']) {
    spawnSync(process.execPath, [`${CLI}build/${step}`, '--if-stale'], { stdio: 'inherit' })
  }
  const shared = mkdtempSync(join(tmpdir(), 'weft-bench-startup-'))
  const children: ChildProcess[] = []
  try {
    const origin = await startOrigin(shared, children)
    const starts = new Map<string, Start[]>(chosen.map(({ name }) => [name, []]))
    // The first round fills caches of the machine and is not counted.
    for (let round = 0; round <= Number(values.rounds); round++) {
      for (const contender of chosen) {
        const dir = join(shared, `${contender.name}-${round}`)
        mkdirSync(dir)
        const one = await startOnce(contender, { dir, shared, ports: await freePorts(1), origin })
        if (round > 0) starts.get(contender.name)?.push(one)
      }
    }
    const results = [...starts].map(([name, all]) => ({ name, ...medianOf(all) }))
    if (values.json)
      console.log(JSON.stringify({ rounds: Number(values.rounds), results }, null, 2))
    else console.log(render(results))
    return 0
  } finally {
    for (const child of children) await stop(child)
    rmSync(shared, { recursive: true, force: true })
  }
}

async function startOnce(contender: Contender, place: Place): Promise<Start> {
  const [launch] = contender.launches(place)
  if (launch === undefined) throw new Error(`${contender.name} starts nothing`)
  const startedMs = performance.now()
  const child = start(launch.command, launch.args, join(place.dir, 'output.log'))
  try {
    while (!(await answers(launch.port))) {
      if (child.exitCode !== null) throw new Error(`${contender.name} ended (${child.exitCode})`)
      if (performance.now() - startedMs > 20_000) throw new Error(`${contender.name} is not ready`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const readyMs = performance.now() - startedMs
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
    return { readyMs, ...memoryOfAll([child]) }
  } finally {
    await stop(child)
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    request({ host: '127.0.0.1', port, path: '/bytes/1', agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
      .on('error', () => resolve(false))
      .end()
  })
}

function medianOf(starts: readonly Start[]): Start & { readonly maxReadyMs: number } {
  const middle = (pick: (one: Start) => number) =>
    starts.map(pick).sort((a, b) => a - b)[Math.floor(starts.length / 2)] ?? Number.NaN
  return {
    readyMs: middle(({ readyMs }) => readyMs),
    maxReadyMs: Math.max(...starts.map(({ readyMs }) => readyMs)),
    anonMb: middle(({ anonMb }) => anonMb),
    rssMb: middle(({ rssMb }) => rssMb),
  }
}

function render(results: readonly (ReturnType<typeof medianOf> & { readonly name: string })[]) {
  const head = ['proxy', 'ready ms, median', 'slowest', 'idle RssAnon MB', 'idle RSS MB']
  const rows = results.map(({ name, readyMs, maxReadyMs, anonMb, rssMb }) => [
    name,
    readyMs.toFixed(0),
    maxReadyMs.toFixed(0),
    anonMb.toFixed(1),
    rssMb.toFixed(1),
  ])
  return markdownTable(head, rows).join('\n')
}
