/** Finds the command a command line means, runs it, and turns what it throws into a message. */
import { parseArguments } from './arguments.ts'
import { type Command, CommandError, UsageError } from './command.ts'
import { commands } from './commands/catalog.ts'
import { renderHelp, renderOverview } from './help.ts'
import { nearest } from './suggest.ts'
import type { Terminal } from './terminal/terminal.ts'

/** @returns The exit code. Never throws. */
export async function dispatch(words: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = words
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    return help(name === 'help' ? rest[0] : undefined, terminal)
  }
  const command = find(name === '--version' || name === '-v' ? 'version' : name)
  if (command === undefined) return unknownCommand(name, terminal)
  try {
    const args = parseArguments(command, rest)
    if (args.flag('help')) {
      terminal.out(renderHelp(command, terminal.style))
      return 0
    }
    return await command.run(args, terminal)
  } catch (error) {
    return report(error, command, terminal)
  }
}

function help(name: string | undefined, terminal: Terminal): number {
  if (name === undefined) {
    terminal.out(renderOverview(Object.values(commands), terminal.style))
    return 0
  }
  const command = find(name)
  if (command === undefined) return unknownCommand(name, terminal)
  terminal.out(renderHelp(command, terminal.style))
  return 0
}

function find(name: string): Command | undefined {
  return Object.hasOwn(commands, name) ? commands[name as keyof typeof commands] : undefined
}

function unknownCommand(name: string, terminal: Terminal): number {
  const near = nearest(name, Object.keys(commands))
  const hint = near === undefined ? 'Run weft --help for the list.' : `Did you mean weft ${near}?`
  terminal.err(`weft: there is no command '${name}'. ${hint}\n`)
  return 2
}

function report(error: unknown, command: Command, terminal: Terminal): number {
  const { red } = terminal.style
  if (error instanceof UsageError) {
    terminal.err(`${red('weft:')} ${error.message}\nRun weft ${command.name} --help.\n`)
    return 2
  }
  if (error instanceof CommandError) {
    terminal.err(`${red('weft:')} ${error.message}\n`)
    return error.exitCode
  }
  // A bug of ours: the stack is what a report needs.
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  terminal.err(
    `${red('weft:')} ${command.name} failed unexpectedly. Please report this:\n${text}\n`,
  )
  return 1
}
