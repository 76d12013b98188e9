/**
 * What every `weft` command is. One file beside `catalog.ts` per command; a
 * command is a value: its options are data, so that `--help`, completion and
 * "did you mean" come from the same place as parsing.
 *
 *     declare   name, options, exit codes, examples
 *     run       reads the parsed arguments, talks through the terminal, returns the exit code
 */
import type { Arguments } from './arguments.ts'
import type { Terminal } from './terminal/terminal.ts'

export interface Command {
  readonly name: string
  readonly group: CommandGroup
  /** One line, lower case, no final period. */
  readonly summary: string
  /** What follows `weft <name>`, e.g. `FILE… [--json]`. */
  readonly synopsis: string
  /** Paragraphs under the synopsis; say what a newcomer cannot guess. */
  readonly description: string
  readonly options: Readonly<Record<string, Option>>
  /** How many words without a dash the command takes. */
  readonly operands: {
    readonly min: number
    readonly max: number
    readonly choices?: readonly string[]
  }
  /** True when words after `--` belong to somebody else (`weft run -- CMD`). */
  readonly takesCommand?: boolean
  /** Every exit code beyond the shared ones and what it means. */
  readonly exits: Readonly<Record<number, string>>
  readonly examples: readonly string[]
  run(args: Arguments, terminal: Terminal): Promise<number>
}

export type CommandGroup = 'run a mesh' | 'configure it' | 'look into it' | 'this tool'

export interface Option {
  readonly kind: 'flag' | 'value' | 'list'
  /** One letter. */
  readonly short?: string
  /** What stands for the value in help, e.g. `FILE`; only for `value` and `list`. */
  readonly placeholder?: string
  readonly describe: string
  readonly choices?: readonly string[]
}

/** What every command understands. */
export const SHARED_OPTIONS = {
  json: { kind: 'flag', describe: 'print JSON instead of text for people' },
  help: { kind: 'flag', short: 'h', describe: 'print this help' },
} as const satisfies Record<string, Option>

/** What every command may exit with. */
export const SHARED_EXITS: Readonly<Record<number, string>> = {
  0: 'success',
  1: 'the answer is no, or it failed: the message says why',
  2: 'the command line is wrong',
}

export const EXIT_UNREACHABLE = 3

/** What `--json` calls a failure, so that a script need not read the message. */
export type FailureCode =
  /** The command line is wrong. */
  | 'usage'
  /** A file or folder that was named cannot be read. */
  | 'unreadable'
  /** No control plane answers. */
  | 'unreachable'
  | 'failed'
  /** A bug of ours. */
  | 'internal'

/** The command line is wrong. Ends the command with exit code 2 and the message. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code: FailureCode

  constructor(message: string, code: 'usage' | 'unreadable' = 'usage', options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The command cannot do its work. Ends it with `exitCode` and the message, without a stack. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number
  /** What to do about it. */
  readonly hint: string | undefined

  constructor(message: string, exitCode = 1, options?: ErrorOptions & { readonly hint?: string }) {
    super(message, options)
    this.exitCode = exitCode
    this.hint = options?.hint
  }

  get code(): FailureCode {
    return this.exitCode === EXIT_UNREACHABLE ? 'unreachable' : 'failed'
  }
}
