/** A description for people. Pure. */
import { columns } from '../terminal/columns.ts'
import type { Style } from '../terminal/style.ts'
import type { Description, Section } from './description.ts'

export function renderDescription(description: Description, style: Style): string {
  const { kind, name, origin, sections, warnings } = description
  const head = `${style.bold(`${kind} ${name}`)}${origin === null ? '' : `  ${style.dim(origin)}`}\n`
  const parts = sections.map((one) => `\n${style.bold(headingOf(one.name))}\n${renderRows(one)}`)
  const bad = warnings.map((text) => `  ${style.yellow('!')} ${text}\n`)
  return `${head}${parts.join('')}${bad.length === 0 ? '' : `\n${style.bold('Warnings')}\n${bad.join('')}`}`
}

function headingOf(name: string): string {
  return name === 'mtls' ? 'mTLS' : name.charAt(0).toUpperCase() + name.slice(1)
}

function renderRows({ rows }: Section): string {
  const names = Object.keys(rows[0] ?? {})
  const head = names.map((name) => name.replaceAll(/([A-Z])/g, ' $1').toUpperCase())
  const cells = rows.map((row) => names.map((name) => String(row[name] ?? '-') || '-'))
  return columns(
    [head, ...cells].map((row) => row.map((cell, i) => (i === 0 ? `  ${cell}` : cell))),
  )
}
