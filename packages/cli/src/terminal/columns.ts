/** Text tables: cells in columns, two blanks between, no trailing blanks. */

import { stripVTControlCharacters } from 'node:util'

const STYLE = new RegExp(`(${String.fromCharCode(27)}\\[[0-9;]*m)`)

/** @param rows The first is usually the header; rows may differ in length. Ends with a line end. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, visibleWidth(cell))
  }
  const lines = rows.map((row) =>
    row
      .map((cell, i) => padEnd(cell, widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

/** How many characters a terminal shows: escape sequences take no room. */
function visibleWidth(text: string): number {
  return stripVTControlCharacters(text).length
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - visibleWidth(text)))
}

/** Cuts what would wrap, keeping escape sequences whole. */
export function clip(text: string, width: number): string {
  if (visibleWidth(text) <= width) return text
  let shown = 0
  let out = ''
  for (const part of text.split(STYLE)) {
    if (STYLE.test(part)) out += part
    else {
      out += part.slice(0, Math.max(0, width - shown))
      shown += part.length
    }
  }
  return out
}
