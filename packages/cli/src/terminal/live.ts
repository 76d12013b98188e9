/**
 * A screen that is drawn again in place: each frame moves the cursor home and
 * overwrites the one before, so nothing flickers and the scroll-back stays
 * clean (alternate screen). Lines longer than the terminal are cut, frames
 * higher than it lose their end.
 */
import { clip } from './columns.ts'
import type { Terminal } from './terminal.ts'

const ENTER = '\x1b[?1049h\x1b[?25l'
const LEAVE = '\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H'
const CLEAR_LINE = '\x1b[K'
const CLEAR_BELOW = '\x1b[J'

export interface LiveScreen {
  draw(lines: readonly string[]): void
  /** Gives the terminal back as it was. Calling it again is harmless. */
  close(): void
}

export function openLiveScreen(terminal: Terminal): LiveScreen {
  let open = true
  terminal.out(ENTER)
  return {
    draw(lines) {
      if (open) terminal.out(renderFrame(lines, terminal.size()))
    },
    close() {
      if (!open) return
      open = false
      terminal.out(LEAVE)
    },
  }
}

/** One frame as bytes for the terminal. */
export function renderFrame(
  lines: readonly string[],
  size: { readonly columns: number; readonly rows: number },
): string {
  const shown = lines.slice(0, size.rows).map((line) => clip(line, size.columns) + CLEAR_LINE)
  return `${HOME}${shown.join('\r\n')}${CLEAR_BELOW}`
}
