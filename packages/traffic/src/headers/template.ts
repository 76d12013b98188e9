/**
 * Header values with `%…%` substitutions, as Envoy's custom request and response
 * headers have them. Parsed once; a value without substitutions costs nothing.
 *
 * A command that Weft does not know is an error and not text: the header would
 * silently carry its own name to the application.
 */
import type { RequestView } from '@weft/model'
import { ConfigError } from '../config-error.ts'

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
  readonly virtualHostName: string
  readonly clusterName: string
  /** `10.0.0.7:8080`; absent before an endpoint is chosen. */
  readonly upstreamHost: string | undefined
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

export type TemplatePart = string | ((context: HeaderContext) => string | undefined)

/** @throws {ConfigError} */
export function compileTemplate(text: string, where: string): HeaderTemplate {
  if (!text.includes('%')) return { kind: 'literal', value: text }
  throw new ConfigError(where, 'Cannot set a header: substitutions follow')
}

/** The value to send; empty means that the header is not written at all, as in Envoy. */
export function renderTemplate(template: HeaderTemplate, context: HeaderContext): string {
  if (template.kind === 'literal') return template.value
  let text = ''
  for (const part of template.parts) text += typeof part === 'string' ? part : (part(context) ?? '')
  return text
}
