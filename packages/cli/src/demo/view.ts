/** The demo's screen as lines of text. Pure. */
import { columns, padEnd } from '../terminal/columns.ts'
import type { Style } from '../terminal/style.ts'
import type { CallRate } from './calls.ts'
import { commandOf, TOUR } from './tour.ts'

export interface DemoView {
  readonly url: string
  readonly meshDir: string
  readonly controlUrl: string
  /** For the commands of the tour, when the control plane's port is not the usual one. */
  readonly controlFlag: string | undefined
  readonly cwd: string
  /** How this machine calls weft: `weft`, or `npx weft`. */
  readonly weft: string
  readonly upMs: number
  readonly calls: readonly CallRate[]
  readonly load: { readonly visits: number; readonly failed: number }
  /** One line each: what changed last in the watched folder. */
  readonly events: readonly string[]
}

const BAR_WIDTH = 12

/** @param rows Height of the terminal: what does not fit is said more shortly. */
export function renderDemo(view: DemoView, rows: number, style: Style): readonly string[] {
  const whole = layOut(view, true, style)
  return whole.length <= rows ? whole : layOut(view, false, style).filter((line) => line !== '')
}

function layOut(view: DemoView, isWordy: boolean, style: Style): readonly string[] {
  const { visits, failed } = view.load
  const lost = failed === 0 ? 'none failed' : style.red(`${failed} failed`)
  const pages = `${visits} pages loaded, ${lost}`
  const up = (view.upMs / 1_000).toFixed(1)
  return [
    `${style.bold('weft demo')}  a bookstore in a mesh, up in ${up} s   ${style.dim(pages)}`,
    '',
    `  page     ${style.cyan(`${view.url}/productpage`)}   (sign in as jason)`,
    `  mesh     ${view.meshDir}   (watched: edit a file and save it)`,
    `  control  ${view.controlUrl}   (${dashboardOf(view)} prints a link that opens it signed in)`,
    '',
    ...renderCalls(view.calls, style),
    '',
    ...renderTour(view, isWordy, style),
    '',
    ...view.events.map((event) => `  ${event}`),
    style.dim('  Ctrl-C ends everything.'),
  ]
}

export function renderCalls(calls: readonly CallRate[], style: Style): readonly string[] {
  if (calls.length === 0) return ['  waiting for the first requests …']
  const header = ['  CALLER', 'CALLS', '', 'SHARE', 'REQ/S', 'OK', 'P50', 'P99'].map(style.dim)
  let previous = ''
  const rows = calls.map((call) => {
    const caller = call.source === previous ? '' : call.source
    previous = call.source
    return [
      `  ${caller}`,
      `${call.isMirrored ? '⇢' : '→'} ${call.destination} ${call.version}`,
      call.isMirrored ? style.dim('mirrored') : renderBar(call.share, style),
      call.isMirrored ? '' : percent(call.share),
      call.requestsPerSecond.toFixed(1),
      call.success < 0.995 ? style.red(percent(call.success)) : percent(call.success),
      milliseconds(call.p50Ms),
      milliseconds(call.p99Ms),
    ]
  })
  return columns([header, ...rows])
    .trimEnd()
    .split('\n')
}

function renderBar(share: number, style: Style): string {
  const full = Math.round(share * BAR_WIDTH)
  return style.green('█'.repeat(full)) + style.dim('░'.repeat(BAR_WIDTH - full))
}

function renderTour(view: DemoView, isWordy: boolean, style: Style): readonly string[] {
  const lines = TOUR.flatMap((step, i) => {
    const command = style.cyan(commandOf(step, view.weft, view.cwd, view.controlFlag))
    const line = `  ${i + 1}. ${padEnd(step.title, 26)} ${command}`
    return isWordy ? [line, style.dim(`     ${padEnd('', 26)} ${step.look}`)] : [line]
  })
  return [style.bold('Take the tour in a second terminal:'), ...lines]
}

function dashboardOf({ weft, controlFlag }: DemoView): string {
  return `${weft} dashboard${controlFlag === undefined ? '' : ` --control ${controlFlag}`}`
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(ratio > 0.999 || ratio === 0 ? 0 : 1)} %`
}

function milliseconds(ms: number | undefined): string {
  if (ms === undefined) return '-'
  return ms >= 1_000 ? `${(ms / 1_000).toFixed(1)} s` : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`
}
