/**
 * What does one keep-alive HTTP/1.1 request through the sidecar cost, beside
 * HAProxy, nginx and Envoy doing the same work, access log off and on?
 *
 * CPU per request is the user and system time of the proxy's processes divided by
 * the requests that wrk completed; contenders take turns in random order in every
 * round, and medians are compared inside one run. Targets: performance.md §13.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { freePorts } from './free-port.ts'
import { type Latency, offer, saturate } from './load.ts'
import { envoy, haproxy, nginx, upstream } from './peers.ts'
import type { Plan } from './plan.ts'
import { cpuOf, findProgram, listening, memoryOf, start, stop } from './processes.ts'
import { type Result, renderTable, summarize } from './report.ts'
import { weft } from './weft.ts'

const HELP = `Usage: npm run bench -- http1 [options]

  --rounds N      measured rounds per contender (default 5)
  --seconds N     length of one measurement (default 2)
  --only A,B      contenders: weft, weft-net, haproxy, nginx, envoy (default: all that are installed)
  --no-log        leave out the runs with an access log
  --no-latency    leave out p50 and p99 at half load
  --json          print the results as JSON
  --keep          keep configurations and logs, and say where

wrk and nginx (as the upstream) must be installed; see bench/README.md.
`

interface Contender {
  readonly name: string
  readonly command: string
  readonly configure: (plan: Plan) => { readonly args: readonly string[] }
}

interface Running extends Contender {
  readonly child: ChildProcess
  readonly port: number
}

export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '2' },
      only: { type: 'string' },
      'no-log': { type: 'boolean', default: false },
      'no-latency': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const wrk = findProgram('wrk')
  const nginxProgram = findProgram('nginx')
  if (wrk === undefined || nginxProgram === undefined) {
    console.error(
      'Cannot measure: wrk and nginx must be installed (apt-get install wrk nginx-light)',
    )
    return 2
  }
  const only = values.only?.split(',')
  const contenders = available().filter(({ name }) => only === undefined || only.includes(name))
  const options = {
    wrk,
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    latency: !values['no-latency'],
    accessLogs: values['no-log'] ? [false] : [false, true],
  }
  const dir = mkdtempSync(join(tmpdir(), 'weft-bench-'))
  try {
    const results = await compare(contenders, nginxProgram, dir, options)
    const { rounds, seconds } = options
    const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.version}`
    if (values.json) console.log(JSON.stringify({ machine, rounds, seconds, results }, null, 2))
    else console.log(renderTable(machine, rounds, results))
    return 0
  } finally {
    if (values.keep) console.error(`Configurations and logs: ${dir}`)
    else rmSync(dir, { recursive: true, force: true })
  }
}

interface Options {
  readonly wrk: string
  readonly rounds: number
  readonly seconds: number
  readonly latency: boolean
  readonly accessLogs: readonly boolean[]
}

/** Starts everything, measures, and ends exactly what it started. */
async function compare(
  contenders: readonly Contender[],
  nginxProgram: string,
  dir: string,
  options: Options,
): Promise<Result[]> {
  const children: ChildProcess[] = []
  try {
    const [first = 0, second = 0, ...ports] = await freePorts(2 + contenders.length * 2)
    const origin = start(nginxProgram, upstream(dir, [first, second]).args, `${dir}/upstream.log`)
    children.push(origin)
    await listening(first, origin, 'upstream')
    const results: Result[] = []
    for (const accessLog of options.accessLogs) {
      const running: Running[] = []
      for (const contender of contenders) {
        const port = ports.pop() ?? 0
        const home = join(dir, `${contender.name}${accessLog ? '-log' : ''}`)
        mkdirSync(home)
        const plan = { dir: home, port, upstreams: [first, second] as const, accessLog }
        const { args } = contender.configure(plan)
        const child = start(contender.command, args, `${home}/output.log`)
        children.push(child)
        await listening(port, child, contender.name)
        running.push({ ...contender, child, port })
      }
      const own = await measure(running, options, accessLog)
      if (options.latency) await addLatency(running, own, options.seconds)
      results.push(...own)
      for (const { child } of running) await stop(child)
    }
    return results
  } finally {
    for (const child of children) await stop(child)
  }
}

function available(): Contender[] {
  const peers = [
    { name: 'haproxy', command: findProgram('haproxy'), configure: haproxy },
    { name: 'nginx', command: findProgram('nginx'), configure: nginx },
    { name: 'envoy', command: findProgram('envoy'), configure: envoy },
  ]
  const installed: Contender[] = [
    { name: 'weft', command: process.execPath, configure: (plan) => weft(plan, 'handle') },
    { name: 'weft-net', command: process.execPath, configure: (plan) => weft(plan, 'net') },
  ]
  for (const { name, command, configure } of peers) {
    if (command === undefined) console.error(`notice: ${name} is not installed; its row is missing`)
    else installed.push({ name, command, configure })
  }
  return installed
}

/** Shorter, and code that a busy machine has not compiled yet would be measured. */
const WARM_SECONDS = 2

/** Rounds in random order; the first, unmeasured one warms up. */
async function measure(
  running: readonly Running[],
  options: Options,
  accessLog: boolean,
): Promise<Result[]> {
  const samples = new Map(running.map(({ name }) => [name, [] as ReturnType<typeof sample>[]]))
  for (let round = 0; round <= options.rounds; round++) {
    console.error(`round ${round} of ${options.rounds}, access log ${accessLog ? 'on' : 'off'}`)
    for (const { name, child, port } of shuffled(running)) {
      const before = cpuOf(child.pid ?? 0)
      const warming = Math.max(WARM_SECONDS, options.seconds)
      const load = await saturate(options.wrk, port, round === 0 ? warming : options.seconds)
      const after = cpuOf(child.pid ?? 0)
      if (round > 0) samples.get(name)?.push(sample(before, after, load))
    }
  }
  return running.map(({ name, child }) => {
    const memory = memoryOf(child.pid ?? 0)
    return { name, accessLog, ...summarize(samples.get(name) ?? []), ...memory }
  })
}

function sample(
  before: ReturnType<typeof cpuOf>,
  after: ReturnType<typeof cpuOf>,
  load: { requests: number; perSecond: number },
) {
  const userUs = (after.userUs - before.userUs) / load.requests
  const systemUs = (after.systemUs - before.systemUs) / load.requests
  return { cpuUs: userUs + systemUs, userUs, systemUs, perSecond: load.perSecond }
}

/** Every contender at the same rate: half of what the slowest can do. */
async function addLatency(
  running: readonly Running[],
  own: readonly Result[],
  seconds: number,
): Promise<void> {
  // The generator is one Node process on the same machine; above this it would measure itself.
  const rate = Math.min(12_000, Math.floor(Math.min(...own.map(({ perSecond }) => perSecond)) / 2))
  const seen = new Map<string, Latency[]>(running.map(({ name }) => [name, []]))
  for (let round = 0; round < 3; round++) {
    for (const { name, port } of shuffled(running))
      seen.get(name)?.push(await offer(port, rate, seconds))
  }
  for (const result of own) {
    const latencies = seen.get(result.name) ?? []
    const median = (pick: (latency: Latency) => number) =>
      latencies.map(pick).sort((a, b) => a - b)[Math.floor(latencies.length / 2)] ?? Number.NaN
    result.latency = { rate, p50Us: median((l) => l.p50Us), p99Us: median((l) => l.p99Us) }
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item)
}
