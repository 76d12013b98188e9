/** What a command that failed prints with `--json`: one object, whatever the command. */
import type { FailureCode } from './command.ts'

export interface Failure {
  readonly error: {
    readonly code: FailureCode
    readonly message: string
    /** What to do about it, where we know. */
    readonly hint?: string
  }
}

export function failure(code: FailureCode, message: string, hint?: string): Failure {
  return { error: { code, message, ...(hint === undefined ? {} : { hint }) } }
}

/** Whether the words ask for JSON. Works on words that do not parse; those after `--` are not ours. */
export function asksForJson(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  const ours = end < 0 ? words : words.slice(0, end)
  return ours.some((word) => word === '--json' || word.startsWith('--json='))
}
