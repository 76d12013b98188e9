/** Which exchanges a log is about (Envoy `AccessLogFilter`), compiled once. */
import type { AccessLogFilter, HeaderMatch, StringMatch } from '@weft/model'
import { logTypeOf } from './log-format/commands.ts'
import type { LogFacts } from './log-format/facts.ts'

export type LogFilter = (facts: LogFacts) => boolean

/** Compiles a match of a text; what it is for is said in its error. */
export type MatchText = (match: StringMatch, what: string) => (text: string) => boolean

/** @throws What `matchText` throws, on a bad regex. */
export function compileLogFilter(filter: AccessLogFilter, matchText: MatchText): LogFilter {
  switch (filter.kind) {
    case 'status':
      return comparison(filter.op, filter.value, (facts) => facts.responseCode)
    case 'duration':
      return comparison(filter.op, filter.value, (facts) => facts.durationMs)
    case 'responseFlag':
      return responseFlag(filter.flags)
    case 'header':
      return header(filter.match, matchText)
    case 'grpcStatus': {
      const statuses = new Set(filter.statuses)
      const { exclude } = filter
      return ({ grpcStatus }) => (grpcStatus !== undefined && statuses.has(grpcStatus)) !== exclude
    }
    case 'logType': {
      const types = new Set(filter.types)
      const { exclude } = filter
      return (facts) => types.has(logTypeOf(facts)) !== exclude
    }
    case 'and': {
      const all = filter.filters.map((one) => compileLogFilter(one, matchText))
      return (facts) => all.every((one) => one(facts))
    }
    case 'or': {
      const all = filter.filters.map((one) => compileLogFilter(one, matchText))
      return (facts) => all.some((one) => one(facts))
    }
  }
}

function comparison(
  op: 'atLeast' | 'equal' | 'atMost',
  value: number,
  of: (facts: LogFacts) => number,
): LogFilter {
  switch (op) {
    case 'atLeast':
      return (facts) => of(facts) >= value
    case 'equal':
      return (facts) => Math.round(of(facts)) === value
    case 'atMost':
      return (facts) => of(facts) <= value
  }
}

function responseFlag(flags: readonly string[]): LogFilter {
  if (flags.length === 0) return ({ responseFlags }) => responseFlags !== '-'
  const wanted = new Set(flags)
  return ({ responseFlags }) => responseFlags.split(',').some((flag) => wanted.has(flag))
}

function header({ name, value, invert }: HeaderMatch, matchText: MatchText): LogFilter {
  const matches = value.kind === 'present' ? undefined : matchText(value, `log, ${name}`)
  return (facts) => {
    const found = fieldOf(facts, name)
    const isMet = found !== undefined && (matches === undefined || matches(found))
    return isMet !== invert
  }
}

function fieldOf(facts: LogFacts, name: string): string | undefined {
  switch (name) {
    case ':method':
      return facts.method
    case ':path':
      return facts.path
    case ':authority':
      return facts.authority
    case ':scheme':
      return facts.scheme
    default:
      return facts.requestHeader(name)
  }
}
