/**
 * A scenario of several contenders doing the same work: starts them, lets them take
 * turns in random order, and compares CPU per unit inside one run.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { freePorts } from '../http1/free-port.ts'
import { cpuOf, findProgram, listening, memoryOf, start, stop } from '../http1/processes.ts'
import type { Launch } from './launch.ts'
import { type Outcome, renderOutcomes, summarizeRuns } from './outcome.ts'

export interface Place {
  /** The contender's own folder. */
  readonly dir: string
  /** The scenario's folder: certificates and the like. */
  readonly shared: string
  readonly ports: readonly number[]
  readonly origin: number
}

export interface Contender {
  readonly name: string
  /** Program that must be installed; absent: comes with the project. */
  readonly program?: string
  /** Load goes to the first one's port, to the origin when there is none; the CPU of all counts. */
  launches(place: Place): readonly Launch[]
}

export interface Work {
  readonly name: string
  /** Contenders that cannot do it. */
  readonly without?: readonly string[]
  /** @throws {Error} When anything failed: such a run measures nothing. */
  load(port: number, seconds: number, shared: string, contender: string): Promise<number>
}

export interface Scenario {
  readonly name: string
  readonly summary: string
  /** What one is, e.g. `request`. */
  readonly unit: string
  readonly needs: readonly string[]
  readonly contenders: readonly Contender[]
  readonly works: readonly Work[]
  /** Script that stands behind the contenders; absent: `origin.ts`. */
  readonly origin?: URL
  /** Makes what all contenders share. */
  prepare?(shared: string): void | Promise<void>
}

const OPTIONS = {
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '2' },
  only: { type: 'string' },
  works: { type: 'string' },
  json: { type: 'boolean', default: false },
  keep: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const

export async function runScenario(scenario: Scenario, argv: string[]): Promise<number> {
  const { values } = parseArgs({ args: argv, options: OPTIONS })
  if (values.help) {
    console.log(helpOf(scenario))
    return 0
  }
  const missing = scenario.needs.filter((name) => findProgram(name) === undefined)
  if (missing.length > 0) {
    console.error(`Cannot measure: ${missing.join(', ')} must be installed; see bench/README.md`)
    return 2
  }
  const contenders = pickContenders(scenario, values.only)
  const works = pickWorks(scenario, values.works)
  if (works.length === 0) {
    console.error(`Cannot measure: no work's name contains ${values.works}`)
    return 2
  }
  const rounds = Number(values.rounds)
  const seconds = Number(values.seconds)
  const shared = mkdtempSync(join(tmpdir(), `weft-bench-${scenario.name}-`))
  try {
    await scenario.prepare?.(shared)
    const outcomes = await compete({ ...scenario, works }, contenders, shared, { rounds, seconds })
    const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.version}`
    const facts = { machine, scenario: scenario.name, unit: scenario.unit, rounds, seconds }
    if (values.json) console.log(JSON.stringify({ ...facts, outcomes }, null, 2))
    else console.log(renderOutcomes(facts, outcomes))
    return 0
  } finally {
    if (values.keep) console.error(`Configurations and logs: ${shared}`)
    else rmSync(shared, { recursive: true, force: true })
  }
}

function helpOf({ name, summary, contenders, works }: Scenario): string {
  const names = contenders.map((each) => each.name).join(', ')
  return `Usage: npm run bench -- ${name} [options]

${summary}

  --rounds N      measured rounds per contender (default 5)
  --seconds N     length of one measurement (default 2)
  --only A,B      contenders: ${names} (default: all that are installed)
  --works A,B     parts of names of ${works.map((each) => each.name).join(', ')} (default: all)
  --json          print the results as JSON
  --keep          keep configurations and logs, and say where
`
}

/** @param parts Of names, separated by commas. */
function pickWorks({ works }: Scenario, parts: string | undefined): readonly Work[] {
  const wanted = parts?.split(',')
  return wanted === undefined
    ? works
    : works.filter(({ name }) => wanted.some((part) => name.includes(part)))
}

/** @param only Names, separated by commas. */
export function pickContenders(
  { contenders }: Pick<Scenario, 'contenders'>,
  only: string | undefined,
): readonly Contender[] {
  const names = only?.split(',')
  return contenders.filter(({ name, program }) => {
    if (names !== undefined && !names.includes(name)) return false
    if (program === undefined || findProgram(program) !== undefined) return true
    console.error(`notice: ${program} is not installed; its row is missing`)
    return false
  })
}

interface Running {
  readonly name: string
  readonly port: number
  readonly children: readonly ChildProcess[]
}

/** Starts all of a contender's processes; each is known to listen. Ended by the caller, through `children`. */
export async function startContender(
  contender: Contender,
  place: Place,
  children: ChildProcess[],
): Promise<Running> {
  mkdirSync(place.dir, { recursive: true })
  const launches = contender.launches(place)
  const own: ChildProcess[] = []
  for (const [i, { command, args, port }] of launches.entries()) {
    const dir = join(place.dir, `process-${i}.log`)
    const child = start(command, args, dir)
    own.push(child)
    children.push(child)
    await listening(port, child, contender.name)
  }
  return { name: contender.name, port: launches[0]?.port ?? place.origin, children: own }
}

/** The application behind all contenders. */
export async function startOrigin(
  shared: string,
  children: ChildProcess[],
  origin = new URL('origin.ts', import.meta.url),
): Promise<number> {
  const [port = 0] = await freePorts(1)
  const script = fileURLToPath(origin)
  const child = start(
    process.execPath,
    ['--conditions=source', script, String(port)],
    `${shared}/origin.log`,
  )
  children.push(child)
  await listening(port, child, 'origin')
  return port
}

async function compete(
  scenario: Scenario,
  contenders: readonly Contender[],
  shared: string,
  { rounds, seconds }: { readonly rounds: number; readonly seconds: number },
): Promise<Outcome[]> {
  const children: ChildProcess[] = []
  try {
    const origin = await startOrigin(shared, children, scenario.origin)
    const running: Running[] = []
    for (const contender of contenders) {
      const place = { dir: join(shared, contender.name), shared, ports: await freePorts(3), origin }
      running.push(await startContender(contender, place, children))
    }
    const outcomes: Outcome[] = []
    for (const work of scenario.works) {
      const able = running.filter(({ name }) => work.without?.includes(name) !== true)
      outcomes.push(...(await measure(work, able, shared, rounds, seconds)))
    }
    return outcomes
  } finally {
    for (const child of children) await stop(child)
  }
}

/** Shorter, and code that a busy machine has not compiled yet would be measured. */
const WARM_SECONDS = 2

/** The first, unmeasured round warms up. */
async function measure(
  work: Work,
  running: readonly Running[],
  shared: string,
  rounds: number,
  seconds: number,
): Promise<Outcome[]> {
  const runs = new Map(running.map(({ name }) => [name, [] as ReturnType<typeof costOf>[]]))
  for (let round = 0; round <= rounds; round++) {
    console.error(`${work.name}: round ${round} of ${rounds}`)
    for (const { name, port, children } of shuffled(running)) {
      const before = cpuOfAll(children)
      const startedMs = performance.now()
      const units = await work.load(
        port,
        round === 0 ? Math.max(WARM_SECONDS, seconds) : seconds,
        shared,
        name,
      )
      const tookMs = performance.now() - startedMs
      if (units === 0) throw new Error(`${name} completed nothing of ${work.name}`)
      if (round > 0) runs.get(name)?.push(costOf(before, cpuOfAll(children), units, tookMs))
    }
  }
  return running.map(({ name, children }) => ({
    work: work.name,
    name,
    ...summarizeRuns(runs.get(name) ?? []),
    ...memoryOfAll(children),
  }))
}

function cpuOfAll(children: readonly ChildProcess[]) {
  const all = children.map(({ pid = 0 }) => cpuOf(pid))
  return {
    userUs: all.reduce((sum, { userUs }) => sum + userUs, 0),
    systemUs: all.reduce((sum, { systemUs }) => sum + systemUs, 0),
  }
}

export function memoryOfAll(children: readonly ChildProcess[]) {
  const all = children.map(({ pid = 0 }) => memoryOf(pid))
  return {
    anonMb: all.reduce((sum, { anonMb }) => sum + anonMb, 0),
    rssMb: all.reduce((sum, { rssMb }) => sum + rssMb, 0),
  }
}

function costOf(
  before: ReturnType<typeof cpuOfAll>,
  after: ReturnType<typeof cpuOfAll>,
  units: number,
  tookMs: number,
) {
  const userUs = (after.userUs - before.userUs) / units
  const systemUs = (after.systemUs - before.systemUs) / units
  return { cpuUs: userUs + systemUs, userUs, systemUs, perSecond: (units / tookMs) * 1_000 }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item)
}
