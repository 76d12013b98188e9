/** `weft demo --check`: the tour, taken and judged without anybody watching. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sleep } from '@weft/base'
import { CommandError } from '../command.ts'
import { ownTarget } from '../input/control-access.ts'
import { MeshApi } from '../mesh-api.ts'
import { EXAMPLE_DIR } from '../program-files.ts'
import type { Terminal } from '../terminal/terminal.ts'
import type { BookstoreMesh, DemoKind } from './bookstore-mesh.ts'
import { checkRefusal } from './check/refusal.ts'
import { type CheckRow, renderRows } from './check/row.ts'
import { checkBefore, row, type StepDeps, stepChecks } from './check/steps.ts'
import { openVisitors, type Visitors } from './check/visitors.ts'
import { type Load, startLoad } from './load.ts'
import { openShop, startingText } from './open-shop.ts'
import { TOUR } from './tour.ts'

const LOAD = { anonymousPerSecond: 10, jasonPerSecond: 1 }

/** @returns Whether every check passed. */
export async function runCheck(
  isJson: boolean,
  kind: DemoKind,
  terminal: Terminal,
): Promise<boolean> {
  const { clock } = terminal
  const say = (text: string) => (isJson ? undefined : terminal.out(`${text}\n`))
  say(startingText(kind))
  const { mesh, upMs } = await openShop(terminal.env, clock, kind)
  const killAll = () => mesh.kill()
  process.once('exit', killAll)
  const stopped = new Promise<never>((_, reject) => {
    terminal.onSignals((signal) => reject(new CommandError(`stopped by ${signal}`, 130)))
  })
  try {
    say(`Up in ${(upMs / 1_000).toFixed(1)} s at ${mesh.url}; taking the tour …`)
    const rows = await Promise.race([takeTour(mesh, upMs, terminal, say), stopped, failed(mesh)])
    terminal.out(isJson ? renderJson(rows) : `\n${renderRows(rows, terminal.style)}`)
    return rows.every(({ ok }) => ok)
  } finally {
    await mesh.stop()
    process.off('exit', killAll)
  }
}

async function failed(mesh: BookstoreMesh): Promise<never> {
  throw new CommandError(`The demo broke: ${await mesh.broken}`)
}

async function takeTour(
  mesh: BookstoreMesh,
  upMs: number,
  terminal: Terminal,
  say: (text: string) => void,
): Promise<readonly CheckRow[]> {
  const { clock } = terminal
  const visitors = await openVisitors(mesh.url, clock)
  const load = startLoad({ url: mesh.url, ...LOAD }, clock)
  const api = new MeshApi(await ownTarget(mesh.controlUrl, terminal))
  const rows: CheckRow[] = []
  const add = (more: readonly CheckRow[]) => {
    for (const one of more) {
      rows.push(one)
      say(`  ${one.ok ? '✓' : '✗'} ${one.step}: ${one.checked}: ${one.seen}`)
    }
  }
  const depsFor = (file: string): StepDeps => ({
    visitors,
    adminPorts: mesh.adminPorts,
    clock,
    apply: () => apply(api, file),
  })
  try {
    add(await checkStart(upMs, visitors))
    add(await checkBefore('no rules', depsFor('')))
    for (const step of TOUR) add(await stepChecks[step.id](step.title, depsFor(step.file)))
    add(await checkRefusal('bad configuration', { api, visitors, clock, meshDir: mesh.meshDir }))
    add(await checkLoad(load, terminal))
    return rows
  } finally {
    load.stop()
    visitors.close()
  }
}

async function apply(api: MeshApi, file: string): Promise<void> {
  const path = join(EXAMPLE_DIR, file)
  const result = await api.apply(await readFile(path, 'utf8'), path)
  if (!result.ok) {
    throw new CommandError(`Cannot apply ${path}: ${result.problems[0]?.message ?? 'refused'}`)
  }
}

async function checkStart(upMs: number, { anonymous, jason }: Visitors): Promise<CheckRow[]> {
  const page = await anonymous.get('/productpage')
  const isWhole = page.body.includes('ISBN-10') && page.body.includes('Reviews served by')
  const login = await jason.get('/productpage')
  const greets = login.body.includes('Hello, <b>jason</b>')
  const api = await anonymous.get('/api/v1/products')
  const style = await anonymous.get('/static/bookstore.css')
  const seconds = `${(upMs / 1_000).toFixed(1)} s`
  return [
    row(
      'start',
      'first whole page',
      'details and reviews',
      isWhole ? `after ${seconds}` : 'not whole',
      isWhole,
    ),
    row(
      'start',
      'sign in as jason',
      'Hello, jason',
      greets ? 'Hello, jason' : 'no greeting',
      greets,
    ),
    row(
      'start',
      'products, style sheet',
      '200, 200',
      `${api.status}, ${style.status}`,
      api.status === 200 && style.status === 200,
    ),
  ]
}

/** The visitors that came all the while: no change of the mesh may have cost one of them the page. */
async function checkLoad(load: Load, terminal: Terminal): Promise<CheckRow[]> {
  await sleep(terminal.clock, 200)
  const { visits, failed: lost } = load.counts()
  const why = lost === 0 ? '' : ` (${load.failures().at(-1)})`
  return [
    row(
      'all the while',
      `${visits} page loads`,
      'none failed',
      lost === 0 ? 'none failed' : `${lost} failed${why}`,
      lost === 0 && visits > 0,
    ),
  ]
}

function renderJson(rows: readonly CheckRow[]): string {
  return `${JSON.stringify({ ok: rows.every(({ ok }) => ok), checks: rows }, undefined, 2)}\n`
}
