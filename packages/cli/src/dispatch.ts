/** Finds the command a command line means, runs it, and turns what it throws into a message. */
import { parseArguments } from './arguments.ts'
import { type Command, CommandError, UsageError } from './command.ts'
import { commands } from './commands/catalog.ts'
import { asksForJson, type Failure, failure } from './failure.ts'
import { renderHelp, renderOverview } from './help.ts'
import { nearest } from './suggest.ts'
import type { Terminal } from './terminal/terminal.ts'

/** @returns The exit code. Never throws. */
export async function dispatch(words: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = words
  const isJson = asksForJson(words)
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    return help(name === 'help' ? rest[0] : undefined, isJson, terminal)
  }
  const command = find(name === '--version' || name === '-v' ? 'version' : name)
  if (command === undefined) return unknownCommand(name, isJson, terminal)
  try {
    const args = parseArguments(command, rest)
    if (args.flag('help')) {
      terminal.out(renderHelp(command, terminal.style))
      return 0
    }
    return await command.run(args, terminal)
  } catch (error) {
    return report(error, command, isJson, terminal)
  }
}

function help(name: string | undefined, isJson: boolean, terminal: Terminal): number {
  if (name === undefined) {
    terminal.out(renderOverview(Object.values(commands), terminal.style))
    return 0
  }
  const command = find(name)
  if (command === undefined) return unknownCommand(name, isJson, terminal)
  terminal.out(renderHelp(command, terminal.style))
  return 0
}

function find(name: string): Command | undefined {
  return Object.hasOwn(commands, name) ? commands[name as keyof typeof commands] : undefined
}

function unknownCommand(name: string, isJson: boolean, terminal: Terminal): number {
  const near = nearest(name, Object.keys(commands))
  const hint = near === undefined ? 'Run weft --help for the list.' : `Did you mean weft ${near}?`
  const message = `there is no command '${name}'`
  terminal.err(`weft: ${message}. ${hint}\n`)
  if (isJson) printFailure(failure('usage', message, hint), terminal)
  return 2
}

/** The text goes to standard error in either case: it is for whoever reads along. */
function report(error: unknown, command: Command, isJson: boolean, terminal: Terminal): number {
  const prefix = terminal.style.red('weft:')
  if (error instanceof UsageError) {
    const hint = `Run weft ${command.name} --help.`
    terminal.err(`${prefix} ${error.message}\n${hint}\n`)
    if (isJson) printFailure(failure(error.code, error.message, hint), terminal)
    return 2
  }
  if (error instanceof CommandError) {
    const { message, hint } = error
    terminal.err(`${prefix} ${message}${hint === undefined ? '' : `. ${hint}`}\n`)
    if (isJson) printFailure(failure(error.code, message, hint), terminal)
    return error.exitCode
  }
  // A bug of ours: the stack is what a report needs.
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  terminal.err(`${prefix} ${command.name} failed unexpectedly. Please report this:\n${text}\n`)
  if (isJson) {
    const message = error instanceof Error ? error.message : String(error)
    printFailure(failure('internal', message, 'Please report this.'), terminal)
  }
  return 1
}

function printFailure(what: Failure, terminal: Terminal): void {
  terminal.out(`${JSON.stringify(what)}\n`)
}
