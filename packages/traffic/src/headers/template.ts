/**
 * Header values with `%…%` substitutions, as Envoy's custom request and response
 * headers have them. Parsed once; a value without substitutions costs nothing.
 *
 * A command that Weft does not know is an error and not text: the header would
 * silently carry the command's name to the application.
 */
import type { RequestView } from '@weft/model'
import { ConfigError } from '../config-error.ts'
import { commands } from './commands.ts'

/** What substitutions may ask for. Getters are called only when a template names them. */
export interface HeaderContext {
  readonly request: RequestView
  /** The client's address after `x-forwarded-for` was judged. */
  readonly downstreamRemoteHost: string
  readonly downstreamRemotePort: number
  /** The address of the connection's other end. */
  readonly downstreamDirectRemoteHost: string
  readonly downstreamDirectRemotePort: number
  readonly downstreamLocalHost: string
  readonly downstreamLocalPort: number
  /** `HTTP/1.1`, `HTTP/2`. */
  readonly protocol: string
  readonly startTimeMs: number
  readonly routeName: string
  readonly clusterName: string
  /** Absent before an endpoint is chosen. */
  readonly upstreamRemoteHost: string | undefined
  readonly upstreamRemotePort: number | undefined
  /** URI SAN of the client's certificate. */
  readonly downstreamPeerUriSan: string | undefined
  readonly requestedServerName: string | undefined
  /** Absent before the response. */
  readonly responseCode: number | undefined
  /** Value of a response header by its lower-case name; `undefined` before the response. */
  responseHeader(name: string): string | undefined
}

export type HeaderTemplate =
  | { readonly kind: 'literal'; readonly value: string }
  | { readonly kind: 'template'; readonly source: string; readonly parts: readonly TemplatePart[] }

type TemplatePart = string | ((context: HeaderContext) => string | undefined)

/** `%NAME%`, `%NAME(argument)%`, `%NAME(argument):10%`; the argument may hold `%`. */
const COMMAND = /%([A-Z][A-Z0-9_]*)(?:\(([^()]*)\))?(?::(\d+))?%/y

/** @throws {ConfigError} On an unknown command, a lone `%`, or characters that no header may have. */
export function compileTemplate(text: string, where: string): HeaderTemplate {
  if (hasForbiddenCharacter(text)) {
    throw new ConfigError(
      where,
      `Cannot set a header: need no CR, LF or NUL, got ${JSON.stringify(text)}`,
    )
  }
  if (!text.includes('%')) return { kind: 'literal', value: text }
  const parts: TemplatePart[] = []
  let at = 0
  while (at < text.length) {
    const percent = text.indexOf('%', at)
    const end = percent < 0 ? text.length : percent
    pushText(parts, text.slice(at, end))
    if (percent < 0) break
    if (text[percent + 1] === '%') {
      pushText(parts, '%')
      at = percent + 2
      continue
    }
    COMMAND.lastIndex = percent
    const found = COMMAND.exec(text)
    if (found === null) {
      throw new ConfigError(
        where,
        `Cannot set a header: need %COMMAND%, or %% for a percent sign, got "${text.slice(percent)}"`,
      )
    }
    parts.push(compileCommand(found, where))
    at = COMMAND.lastIndex
  }
  const [only] = parts
  if (parts.length === 1 && typeof only === 'string') return { kind: 'literal', value: only }
  return { kind: 'template', source: text, parts }
}

/** The value to send; empty means that the header is not written at all, as in Envoy. */
export function renderTemplate(template: HeaderTemplate, context: HeaderContext): string {
  if (template.kind === 'literal') return template.value
  let text = ''
  for (const part of template.parts) {
    text += typeof part === 'string' ? part : (part(context) ?? '')
  }
  return text
}

function compileCommand(found: RegExpExecArray, where: string): TemplatePart {
  const [source, name = '', argument, length] = found
  const make = commands[name]
  if (make === undefined) {
    const known = Object.keys(commands).sort().join(', ')
    throw new ConfigError(where, `Cannot set a header: need one of ${known}, got "${source}"`)
  }
  const read = make(argument)
  if (read === undefined) {
    throw new ConfigError(where, `Cannot set a header: need a valid argument, got "${source}"`)
  }
  if (length === undefined) return read
  const limit = Number(length)
  return (context) => read(context)?.slice(0, limit)
}

function pushText(parts: TemplatePart[], text: string): void {
  if (text === '') return
  const last = parts.at(-1)
  if (typeof last === 'string') parts[parts.length - 1] = last + text
  else parts.push(text)
}

function hasForbiddenCharacter(text: string): boolean {
  return text.includes('\r') || text.includes('\n') || text.includes('\0')
}
