/** Help texts, from what commands declare. Pure. */
import {
  type Command,
  type CommandGroup,
  type Option,
  SHARED_EXITS,
  SHARED_OPTIONS,
} from './command.ts'
import { columns } from './terminal/columns.ts'
import type { Style } from './terminal/style.ts'

const GROUPS: readonly CommandGroup[] = ['run a mesh', 'configure it', 'look into it', 'this tool']

/** What `weft` alone prints. */
export function renderOverview(commands: readonly Command[], style: Style): string {
  const sections = GROUPS.map((group) => {
    const members = commands.filter((command) => command.group === group)
    const rows = members.map((command) => [`  ${command.name}`, command.summary])
    return `${style.bold(capital(group))}\n${columns(rows)}`
  })
  return [
    `${style.bold('weft')} is a service mesh. New here? ${style.cyan('weft demo')}\n`,
    ...sections,
    `weft COMMAND --help says more. Every command takes --json.\n`,
  ].join('\n')
}

export function renderHelp(command: Command, style: Style): string {
  const options: Readonly<Record<string, Option>> = { ...command.options, ...SHARED_OPTIONS }
  const optionRows = Object.entries(options).map(([name, option]) => {
    const short = option.short === undefined ? '    ' : `-${option.short}, `
    const value = option.kind === 'flag' ? '' : ` ${option.placeholder ?? 'VALUE'}`
    const again = option.kind === 'list' ? ' (may be repeated)' : ''
    return [`  ${short}--${name}${value}`, option.describe + again]
  })
  const exits = { ...SHARED_EXITS, ...command.exits }
  const exitRows = Object.entries(exits).map(([code, meaning]) => [`  ${code}`, meaning])
  const parts = [
    `${style.bold('usage:')} weft ${command.name} ${command.synopsis}\n`,
    `${capital(command.summary)}.\n${command.description === '' ? '' : `\n${command.description}\n`}`,
    `${style.bold('options')}\n${columns(optionRows)}`,
    `${style.bold('exit codes')}\n${columns(exitRows)}`,
  ]
  if (command.examples.length > 0) {
    parts.push(
      `${style.bold('examples')}\n${command.examples.map((example) => `  ${example}\n`).join('')}`,
    )
  }
  return parts.join('\n')
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
