/** Texts with command operators (`%RESPONSE_CODE%`), parsed once. */
import { LOG_OPERATOR } from '@weft/model'
import { compileCommand, type ReadFact } from './commands.ts'
import type { LogFacts } from './facts.ts'

/** A text that is no format: what is wrong, and where. */
export class LogFormatError extends Error {
  override readonly name = 'LogFormatError'
  /** Of the operator in the template, from 0. */
  readonly position: number

  constructor(position: number, message: string) {
    super(message)
    this.position = position
  }
}

export type TemplatePart = string | ReadFact

/** @throws {LogFormatError} On an unknown operator, a bad argument or a lone `%`. */
export function parseTemplate(text: string, hostname: string): readonly TemplatePart[] {
  const parts: TemplatePart[] = []
  let literal = ''
  let at = 0
  while (at < text.length) {
    if (text[at] !== '%') {
      const next = text.indexOf('%', at)
      const end = next < 0 ? text.length : next
      literal += text.slice(at, end)
      at = end
      continue
    }
    if (text[at + 1] === '%') {
      literal += '%'
      at += 2
      continue
    }
    LOG_OPERATOR.lastIndex = at
    const found = LOG_OPERATOR.exec(text)
    if (found === null) {
      throw new LogFormatError(
        at,
        `Cannot read the log format at ${at}: need %OPERATOR%, or %% for a percent sign, got ${JSON.stringify(text.slice(at, at + 40))}`,
      )
    }
    if (literal !== '') parts.push(literal)
    literal = ''
    parts.push(readerOf(found, at, hostname))
    at = LOG_OPERATOR.lastIndex
  }
  if (literal !== '') parts.push(literal)
  return parts
}

function readerOf(found: RegExpExecArray, at: number, hostname: string): ReadFact {
  const [source, name = '', argument, length] = found
  const read = compileCommand(name, argument, hostname)
  if (typeof read !== 'function') {
    throw new LogFormatError(at, `Cannot read the log format at ${at}: ${source} ${read.problem}`)
  }
  if (length === undefined) return read
  const limit = Number(length)
  return (facts: LogFacts) => {
    const value = read(facts)
    return value === undefined ? undefined : String(value).slice(0, limit)
  }
}
