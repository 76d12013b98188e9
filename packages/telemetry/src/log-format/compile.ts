/**
 * Log formats as writers: the template is parsed once, a line is written as bytes.
 *
 * What a peer chose cannot end a line or a quoted field: in text, control bytes
 * and quotes are written as `\xHH` (as nginx does), in JSON as JSON has it.
 */
import type { AccessLogFields, AccessLogTarget, AccessLogValue } from '@weft/model'
import { type Fixed, fixed, type LineBuffer } from '../line-buffer.ts'
import type { LogValue } from './commands.ts'
import type { LogFacts } from './facts.ts'
import { LogFormatError, parseTemplate, type TemplatePart } from './template.ts'

/** Appends a line with its line end. */
export type WriteLine = (facts: LogFacts, line: LineBuffer) => void

type LogFormat = NonNullable<AccessLogTarget['format']>

export interface LogFormatOptions {
  /** What is not known is left out: nothing in texts, no key in objects. */
  readonly omitEmpty: boolean
  /** `%HOSTNAME%`. */
  readonly hostname: string
}

/** @throws {LogFormatError} On an operator that is not known, with where it stands. */
export function compileLogFormat(format: LogFormat, options: LogFormatOptions): WriteLine {
  return format.kind === 'text'
    ? textWriter(format.template, options)
    : jsonWriter(format.fields, options)
}

/** Why the format cannot be used; `undefined` when it can. */
export function logFormatProblem(format: LogFormat): string | undefined {
  try {
    compileLogFormat(format, { omitEmpty: false, hostname: '' })
    return undefined
  } catch (error) {
    if (error instanceof LogFormatError) return error.message
    throw error
  }
}

function textWriter(template: string, { omitEmpty, hostname }: LogFormatOptions): WriteLine {
  const ended = template.endsWith('\n') ? template : `${template}\n`
  const parts = parseTemplate(ended, hostname).map((part) =>
    typeof part === 'string' ? fixed(part) : part,
  )
  const missing = omitEmpty ? '' : '-'
  return (facts, line) => {
    for (const part of parts) {
      if (typeof part !== 'function') {
        line.append(part)
        continue
      }
      const value = part(facts)
      if (typeof value === 'number') line.number(value)
      else line.escaped(value === undefined ? missing : value)
    }
  }
}

/** @returns Whether there is something to log. */
type WriteValue = (facts: LogFacts, line: LineBuffer) => void

interface Compiled {
  readonly write: WriteValue
  /** Absent: it is always known. */
  readonly isKnown?: (facts: LogFacts) => boolean
}

const NULL = fixed('null')
const OPEN = fixed('{')
const CLOSE = fixed('}')
const LINE_END = fixed('}\n')
const LIST_OPEN = fixed('[')
const LIST_CLOSE = fixed(']')
const COMMA = 0x2c

function jsonWriter(fields: AccessLogFields, options: LogFormatOptions): WriteLine {
  const write = objectWriter(fields, options, LINE_END)
  return write
}

function objectWriter(fields: AccessLogFields, options: LogFormatOptions, end: Fixed): WriteValue {
  const members = Object.entries(fields).map(([key, value]) => {
    try {
      return { key: fixed(`${JSON.stringify(key)}:`), ...compileValue(value, options) }
    } catch (error) {
      if (!(error instanceof LogFormatError)) throw error
      throw new LogFormatError(error.position, `Field "${key}": ${error.message}`)
    }
  })
  return (facts, line) => {
    line.append(OPEN)
    let first = true
    for (const { key, write, isKnown } of members) {
      if (options.omitEmpty && isKnown?.(facts) === false) continue
      if (!first) line.byte(COMMA)
      first = false
      line.append(key)
      write(facts, line)
    }
    line.append(end)
  }
}

function compileValue(value: AccessLogValue, options: LogFormatOptions): Compiled {
  if (typeof value === 'string') return compileText(value, options)
  if (isList(value)) return { write: listWriter(value, options) }
  if (typeof value === 'object' && value !== null) {
    return { write: objectWriter(value, options, CLOSE) }
  }
  const constant = value === null ? NULL : fixed(JSON.stringify(value))
  return { write: (_facts, line) => line.append(constant) }
}

function isList(value: AccessLogValue): value is readonly AccessLogValue[] {
  return Array.isArray(value)
}

function listWriter(values: readonly AccessLogValue[], options: LogFormatOptions): WriteValue {
  const writers = values.map((value) => compileValue(value, options).write)
  return (facts, line) => {
    line.append(LIST_OPEN)
    for (const [index, write] of writers.entries()) {
      if (index > 0) line.byte(COMMA)
      write(facts, line)
    }
    line.append(LIST_CLOSE)
  }
}

/** A single operator keeps its type; everything else is text. */
function compileText(text: string, { omitEmpty, hostname }: LogFormatOptions): Compiled {
  const parts = parseTemplate(text, hostname)
  const [only] = parts
  if (parts.length === 1 && typeof only === 'function') {
    return {
      write: (facts, line) => writeJson(only(facts), line),
      isKnown: (facts) => only(facts) !== undefined,
    }
  }
  if (parts.every((part) => typeof part === 'string')) {
    const constant = fixed(JSON.stringify(parts.join('')))
    return { write: (_facts, line) => line.append(constant) }
  }
  const missing = omitEmpty ? '' : '-'
  return { write: (facts, line) => line.quoted(joined(parts, facts, missing)) }
}

function joined(parts: readonly TemplatePart[], facts: LogFacts, missing: string): string {
  let text = ''
  for (const part of parts) {
    text += typeof part === 'string' ? part : String(part(facts) ?? missing)
  }
  return text
}

function writeJson(value: LogValue, line: LineBuffer): void {
  if (typeof value === 'number') line.number(value)
  else line.quoted(value)
}
