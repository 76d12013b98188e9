/** What the check of the demo found, line by line. Pure. */
import { columns } from '../../terminal/columns.ts'
import type { Style } from '../../terminal/style.ts'

export interface CheckRow {
  readonly step: string
  readonly checked: string
  readonly expected: string
  readonly seen: string
  /** Until the change showed in the traffic, in milliseconds; `null` where nothing changed. */
  readonly tookMs: number | null
  readonly ok: boolean
}

/** A change that takes longer than this is not what the tour promises. */
export const EFFECT_LIMIT_MS = 1_000

export function renderRows(rows: readonly CheckRow[], style: Style): string {
  const header = ['', 'STEP', 'CHECKED', 'EXPECTED', 'SEEN', 'TOOK'].map(style.dim)
  const cells = rows.map((row) => [
    row.ok ? style.green('✓') : style.red('✗'),
    row.step,
    row.checked,
    row.expected,
    row.ok ? row.seen : style.red(row.seen),
    row.tookMs === null ? '' : `${Math.round(row.tookMs)} ms`,
  ])
  const failed = rows.filter(({ ok }) => !ok).length
  const verdict =
    failed === 0
      ? style.green(`All ${rows.length} checks passed.`)
      : style.red(`${failed} of ${rows.length} checks failed.`)
  return `${columns([header, ...cells])}\n${verdict}\n`
}
