/** Logs of commands that run for long: one JSON object a line on standard error. */
import { LOG_LEVELS, type LogLevel, LogScopes } from '@weft/base'
import type { Arguments } from '../arguments.ts'
import type { Option } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'

export const LOG_LEVEL_OPTION: Option = {
  kind: 'value',
  placeholder: 'LEVEL',
  describe: `one of ${LOG_LEVELS.join(', ')} (warn)`,
  choices: LOG_LEVELS,
}

export function openLogs(args: Arguments, terminal: Terminal): LogScopes {
  const level = (args.value('log-level') ?? 'warn') as LogLevel
  return new LogScopes(
    (line) => terminal.err(`${line}\n`),
    () => terminal.clock.nowMs(),
    level,
  )
}
