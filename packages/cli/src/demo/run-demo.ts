/** `weft demo`: the bookstore, a live view of its traffic, and the tour to take. */
import { type FSWatcher, watch } from 'node:fs'
import { sleep } from '@weft/base'
import { CommandError } from '../command.ts'
import { type LiveScreen, openLiveScreen } from '../terminal/live.ts'
import { firstSignal, howToCallWeft, type Terminal } from '../terminal/terminal.ts'
import { type DemoKind, PREFERRED_ADMIN_PORT } from './bookstore-mesh.ts'
import { type CallRate, type CallTotals, rateCalls, readCalls } from './calls.ts'
import { type Load, startLoad } from './load.ts'
import { type OpenShop, openShop, startingText } from './open-shop.ts'
import { scrape } from './scrape.ts'
import { type DemoView, renderCalls, renderDemo } from './view.ts'

const LOAD = { anonymousPerSecond: 20, jasonPerSecond: 2 }
const REFRESH_MS = 500
/** Rates are over this long: short enough to see a change within a second. */
const RATE_WINDOW_MS = 2_000
const PLAIN_EVERY_MS = 5_000
const KEPT_EVENTS = 4

export async function runDemo(
  isJson: boolean,
  kind: DemoKind,
  terminal: Terminal,
): Promise<number> {
  if (!isJson) terminal.out(`${startingText(kind)}\n`)
  const shop = await openShop(terminal.env, terminal.clock, kind)
  const { mesh } = shop
  process.once('exit', mesh.kill)
  const stopped = firstSignal(terminal, () => process.exit(130))
  const load = startLoad({ url: mesh.url, ...LOAD }, terminal.clock)
  const events = watchFolder(mesh.meshDir, terminal)
  const display = openDisplay(shop, isJson, terminal)
  let problem: string | undefined
  let running = true
  const ended = Promise.race([
    stopped.then(() => undefined),
    mesh.broken.then((how) => `The demo broke: ${how}; logs are in ${mesh.logDir}`),
  ]).then((how) => {
    running = false
    problem = how
  })
  await Promise.race([
    ended,
    showTraffic(shop, load, events.lines, display, terminal, () => running),
  ])
  await ended
  display.close()
  events.close()
  load.stop()
  if (!isJson) terminal.out('Stopping …\n')
  await mesh.stop()
  process.off('exit', mesh.kill)
  if (problem !== undefined) throw new CommandError(problem)
  return 0
}

async function showTraffic(
  { mesh, upMs }: OpenShop,
  load: Load,
  events: readonly string[],
  display: Display,
  terminal: Terminal,
  isRunning: () => boolean,
): Promise<void> {
  const readings: Reading[] = []
  const usesUsualPort = mesh.controlUrl.endsWith(`:${PREFERRED_ADMIN_PORT}`)
  while (isRunning()) {
    const atMs = terminal.clock.monotonicMs()
    readings.push({ atMs, totals: readCalls([...(await scrape(mesh.adminPorts)).values()]) })
    while ((readings[1]?.atMs ?? Number.POSITIVE_INFINITY) <= atMs - RATE_WINDOW_MS)
      readings.shift()
    if (!isRunning()) return
    display.show({
      url: mesh.url,
      meshDir: mesh.meshDir,
      controlUrl: mesh.controlUrl,
      controlFlag: usesUsualPort ? undefined : mesh.controlUrl,
      cwd: terminal.cwd,
      weft: howToCallWeft(terminal.env),
      upMs,
      calls: ratesOf(readings),
      load: load.counts(),
      events,
    })
    await sleep(terminal.clock, REFRESH_MS)
  }
}

interface Reading {
  readonly atMs: number
  readonly totals: ReadonlyMap<string, CallTotals>
}

function ratesOf(readings: readonly Reading[]): readonly CallRate[] {
  const first = readings[0]
  const last = readings.at(-1)
  if (first === undefined || last === undefined || first === last) return []
  return rateCalls(first.totals, last.totals, last.atMs - first.atMs)
}

interface Display {
  show(view: DemoView): void
  close(): void
}

/** In place on a terminal; lines every few seconds elsewhere; one object a line with --json. */
function openDisplay({ mesh }: OpenShop, isJson: boolean, terminal: Terminal): Display {
  if (isJson) {
    return {
      show: ({ url, controlUrl, calls, load }) =>
        terminal.out(`${JSON.stringify({ url, controlUrl, load, calls })}\n`),
      close: () => undefined,
    }
  }
  if (terminal.isInteractive) {
    const screen: LiveScreen = openLiveScreen(terminal)
    process.once('exit', () => screen.close())
    return {
      show: (view) => screen.draw(renderDemo(view, terminal.size().rows, terminal.style)),
      close: () => screen.close(),
    }
  }
  let shownAtMs: number | undefined
  return {
    show(view) {
      const nowMs = terminal.clock.monotonicMs()
      if (view.calls.length === 0) return
      if (shownAtMs === undefined) {
        const lines = renderDemo(view, Number.POSITIVE_INFINITY, terminal.style)
        terminal.out(`${lines.join('\n')}\n`)
      } else if (nowMs - shownAtMs < PLAIN_EVERY_MS) return
      else terminal.out(`\n${mesh.url}\n${renderCalls(view.calls, terminal.style).join('\n')}\n`)
      shownAtMs = nowMs
    },
    close: () => undefined,
  }
}

function watchFolder(
  folder: string,
  terminal: Terminal,
): { readonly lines: readonly string[]; close(): void } {
  const lines: string[] = []
  let watcher: FSWatcher | undefined
  try {
    watcher = watch(folder, (_event, file) => {
      if (file === null || !/\.ya?ml$/.test(file) || file.startsWith('.')) return
      const time = new Date(terminal.clock.nowMs()).toLocaleTimeString('en-GB')
      const line = `${time}  ${file} changed`
      if (lines.at(-1) === line) return
      lines.push(line)
      if (lines.length > KEPT_EVENTS) lines.shift()
    })
  } catch {
    // Without notifications the screen says less; nothing depends on them.
  }
  return { lines, close: () => watcher?.close() }
}
