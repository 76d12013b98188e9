/**
 * Command lines, parsed against a command's declared options. Written here, not
 * `node:util.parseArgs`, because a newcomer's wrong flag deserves better than
 * its message: which flag was meant, and where help is.
 */
import { type Command, type Option, SHARED_OPTIONS, UsageError } from './command.ts'
import { didYouMean } from './suggest.ts'

/** What a command reads its options from. */
export class Arguments {
  readonly operands: readonly string[]
  /** Everything after `--`, for commands that take another command. */
  readonly command: readonly string[]
  readonly #values: ReadonlyMap<string, readonly string[]>

  constructor(
    values: ReadonlyMap<string, readonly string[]>,
    operands: readonly string[],
    command: readonly string[],
  ) {
    this.#values = values
    this.operands = operands
    this.command = command
  }

  flag(name: string): boolean {
    return this.#values.has(name)
  }

  /** The last one wins, so that an alias can be overridden. */
  value(name: string): string | undefined {
    return this.#values.get(name)?.at(-1)
  }

  list(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }

  /** @throws {UsageError} If the value is not a port. */
  port(name: string): number | undefined {
    const text = this.value(name)
    if (text === undefined) return undefined
    const port = Number(text)
    if (!/^\d+$/.test(text) || port > 65_535) {
      throw new UsageError(`--${name} must be a port from 0 to 65535, got '${text}'`)
    }
    return port
  }

  /** `k=v` pairs of a list option. @throws {UsageError} If one has no `=`. */
  pairs(name: string): Readonly<Record<string, string>> {
    const pairs: Record<string, string> = {}
    for (const text of this.list(name)) {
      const at = text.indexOf('=')
      if (at < 1) throw new UsageError(`--${name} must look like key=value, got '${text}'`)
      pairs[text.slice(0, at)] = text.slice(at + 1)
    }
    return pairs
  }
}

/** @throws {UsageError} If the words do not fit the command; the message names what is wrong. */
export function parseArguments(command: Command, words: readonly string[]): Arguments {
  const options: Readonly<Record<string, Option>> = { ...command.options, ...SHARED_OPTIONS }
  const values = new Map<string, string[]>()
  const operands: string[] = []
  let rest: readonly string[] = []

  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? ''
    if (word === '--') {
      rest = words.slice(i + 1)
      break
    }
    if (!word.startsWith('-') || word === '-') {
      operands.push(word)
      continue
    }
    const { name, option, inline } = findOption(command, options, word)
    if (option.kind === 'flag') {
      if (inline !== undefined) throw new UsageError(`--${name} takes no value, got '${inline}'`)
      values.set(name, [])
    } else {
      const value = inline ?? valueAfter(name, option, words[++i])
      checkChoice(name, option, value)
      values.set(name, [...(values.get(name) ?? []), value])
    }
  }

  if (command.takesCommand !== true) operands.push(...rest)
  const args = new Arguments(values, operands, command.takesCommand === true ? rest : [])
  if (!args.flag('help')) checkOperands(command, operands)
  return args
}

function valueAfter(name: string, option: Option, word: string | undefined): string {
  if (word === undefined || /^--?[a-zA-Z]/.test(word) || word === '--') {
    throw new UsageError(`--${name} needs a value: --${name} ${option.placeholder ?? 'VALUE'}`)
  }
  return word
}

function findOption(
  command: Command,
  options: Readonly<Record<string, Option>>,
  word: string,
): { name: string; option: Option; inline: string | undefined } {
  const long = /^--([^=]+)(?:=(.*))?$/s.exec(word)
  if (long !== null) {
    const name = long[1] ?? ''
    const option = Object.hasOwn(options, name) ? options[name] : undefined
    if (option !== undefined) return { name, option, inline: long[2] }
    throw unknownOption(command, options, `--${name}`)
  }
  const letter = word[1] ?? ''
  for (const [name, option] of Object.entries(options)) {
    if (option.short !== letter) continue
    const attached = word.slice(2)
    return { name, option, inline: attached === '' ? undefined : attached.replace(/^=/, '') }
  }
  throw unknownOption(command, options, word)
}

function unknownOption(
  command: Command,
  options: Readonly<Record<string, Option>>,
  word: string,
): UsageError {
  const names = Object.keys(options).map((name) => `--${name}`)
  return new UsageError(`weft ${command.name} has no option ${word}${didYouMean(word, names)}`)
}

function checkChoice(name: string, option: Option, value: string): void {
  if (option.choices === undefined || option.choices.includes(value)) return
  throw new UsageError(
    `--${name} must be one of ${option.choices.join(', ')}, got '${value}'${didYouMean(value, option.choices)}`,
  )
}

function checkOperands(command: Command, operands: readonly string[]): void {
  const { min, max, choices } = command.operands
  if (operands.length < min) {
    throw new UsageError(
      `weft ${command.name} needs more: weft ${command.name} ${command.synopsis}`,
    )
  }
  const extra = operands[max]
  if (extra !== undefined) {
    const hint = command.takesCommand === true ? ` (the command goes after --)` : ''
    throw new UsageError(`weft ${command.name} does not take '${extra}'${hint}`)
  }
  const first = operands[0]
  if (choices !== undefined && first !== undefined && !choices.includes(first)) {
    throw new UsageError(
      `weft ${command.name} knows ${choices.join(', ')}, not '${first}'${didYouMean(first, choices)}`,
    )
  }
}
