/**
 * A call that somebody wants to know the fate of, as `--call` takes it. Checked
 * field by field: a misspelt one would silently ask another question.
 */
import { nearest } from '../suggest.ts'
import { CallError } from './call-error.ts'
import { type CallIdentity, IDENTITY_FIELDS, parseIdentity } from './call-identity.ts'

export interface Call extends CallIdentity {
  /** IP that the client dials; a host name stands for what DNS would say. */
  readonly address: string
  readonly port: number
  readonly protocol: 'http' | 'http2' | 'tcp'
  /** How the connection is secured before the protocol begins. */
  readonly tls: 'plaintext' | 'tls' | 'mtls'
  readonly sni: string
  readonly alpn: readonly string[]
  readonly method: string
  /** `Host` header, or `:authority`; empty when the client sent none. */
  readonly host: string
  /** With query. */
  readonly path: string
  /** Names in lower case, without `host`. */
  readonly headers: ReadonlyMap<string, string>
  /** The same, line by line: policies never look at joined ones. */
  readonly fieldLines: ReadonlyMap<string, readonly string[]>
  /** `inbound`: the call arrives at the workload; `outbound`: it leaves it. */
  readonly direction: 'outbound' | 'inbound'
  /** Where the client's connection comes from. */
  readonly sourceIp: string
}

/** Outside every mesh: what a client dials when it does not matter (Istio's simulations do the same). */
export const ANY_ADDRESS = '1.3.3.7'

const FIELDS = [
  'address',
  'port',
  'protocol',
  'tls',
  'sni',
  'alpn',
  'method',
  'host',
  'path',
  'headers',
  'direction',
  'sourceIp',
  ...IDENTITY_FIELDS,
] as const

interface Protocol {
  readonly protocol: Call['protocol']
  readonly tls: Call['tls']
}

const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  http: { protocol: 'http', tls: 'plaintext' },
  'http/1.1': { protocol: 'http', tls: 'plaintext' },
  http1: { protocol: 'http', tls: 'plaintext' },
  http2: { protocol: 'http2', tls: 'plaintext' },
  h2c: { protocol: 'http2', tls: 'plaintext' },
  grpc: { protocol: 'http2', tls: 'plaintext' },
  https: { protocol: 'http', tls: 'tls' },
  h2: { protocol: 'http2', tls: 'tls' },
  tls: { protocol: 'tcp', tls: 'tls' },
  tcp: { protocol: 'tcp', tls: 'plaintext' },
}

/**
 * Calls from what `--call` was given: one object, an array, or one object a line.
 *
 * @throws {CallError} Naming the call and the field.
 */
export function parseCalls(text: string): { readonly calls: readonly Call[]; readonly form: Form } {
  const { values, form } = readValues(text)
  return {
    calls: values.map((value, i) => parseCall(value, values.length > 1 ? i : undefined)),
    form,
  }
}

/** How the calls came is how the answers go. */
export type Form = 'one' | 'array' | 'lines'

function readValues(text: string): { readonly values: readonly unknown[]; readonly form: Form } {
  let failure: unknown
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value)
      ? { values: value, form: 'array' }
      : { values: [value], form: 'one' }
  } catch (error) {
    failure = error
  }
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  if (lines.length < 2) throw new CallError(`The call is not JSON: ${messageOf(failure)}`)
  const values = lines.map((line, i) => {
    try {
      return JSON.parse(line) as unknown
    } catch (error) {
      throw new CallError(`Line ${i + 1} of the calls is not JSON: ${messageOf(error)}`)
    }
  })
  return { values, form: 'lines' }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function parseCall(value: unknown, index: number | undefined): Call {
  const which = index === undefined ? 'The call' : `Call ${index + 1}`
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CallError(`${which} must be an object like {"host":"reviews","port":9080}`)
  }
  const fields = value as Readonly<Record<string, unknown>>
  for (const name of Object.keys(fields)) checkKnown(which, name)

  const named = PROTOCOLS[text(which, fields, 'protocol', 'http').toLowerCase()]
  if (named === undefined) {
    throw new CallError(`${which}: protocol must be one of ${Object.keys(PROTOCOLS).join(', ')}`)
  }
  const tls = parseTls(which, fields.tls, named.tls)
  const port = parsePort(which, fields.port, tls === 'plaintext' ? 80 : 443)
  const { headers, fieldLines, hostHeader } = parseHeaders(which, fields.headers)
  const givenHost = fields.host === undefined ? hostHeader : text(which, fields, 'host', '')
  const givenAddress = text(which, fields, 'address', '')
  const host = givenHost ?? hostFromAddress(givenAddress, port)
  const direction = text(which, fields, 'direction', 'outbound')
  if (direction !== 'outbound' && direction !== 'inbound') {
    throw new CallError(`${which}: direction must be outbound or inbound`)
  }
  const identity = parseIdentity(which, fields)
  return {
    address: givenAddress === '' ? hostOnly(host) || ANY_ADDRESS : givenAddress,
    port,
    protocol: named.protocol,
    tls,
    sni: text(which, fields, 'sni', tls === 'plaintext' ? '' : hostOnly(host)),
    alpn: parseAlpn(which, fields.alpn, named.protocol, tls),
    method: text(which, fields, 'method', 'GET'),
    host,
    path: parsePath(text(which, fields, 'path', '/')),
    headers,
    fieldLines,
    direction,
    sourceIp: identity.source?.ip ?? text(which, fields, 'sourceIp', '127.0.0.1'),
    ...identity,
  }
}

function checkKnown(which: string, name: string): void {
  if ((FIELDS as readonly string[]).includes(name)) return
  const near = nearest(name, FIELDS)
  const hint = near === undefined ? `known are ${FIELDS.join(', ')}` : `did you mean ${near}?`
  throw new CallError(`${which} has an unknown field '${name}': ${hint}`)
}

function text(
  which: string,
  fields: Readonly<Record<string, unknown>>,
  name: string,
  fallback: string,
): string {
  const value = fields[name]
  if (value === undefined || value === null) return fallback
  if (typeof value !== 'string') throw new CallError(`${which}: ${name} must be a text`)
  return value
}

function parsePort(which: string, value: unknown, fallback: number): number {
  if (value === undefined || value === null) return fallback
  const port = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new CallError(`${which}: port must be from 1 to 65535, got ${JSON.stringify(value)}`)
  }
  return port
}

function parseTls(which: string, value: unknown, fallback: Call['tls']): Call['tls'] {
  if (value === undefined || value === null) return fallback
  if (typeof value === 'boolean') return value ? 'tls' : 'plaintext'
  const name = String(value).toLowerCase()
  if (name === 'plaintext' || name === 'tls' || name === 'mtls') return name
  throw new CallError(`${which}: tls must be plaintext, tls or mtls`)
}

function parseAlpn(
  which: string,
  value: unknown,
  protocol: Call['protocol'],
  tls: Call['tls'],
): readonly string[] {
  if (typeof value === 'string') return value === '' ? [] : value.split(',')
  if (Array.isArray(value)) return value.map(String)
  if (value !== undefined && value !== null) throw new CallError(`${which}: alpn must be a text`)
  if (tls === 'plaintext' || protocol === 'tcp') return []
  return protocol === 'http2' ? ['h2'] : ['http/1.1']
}

function parseHeaders(
  which: string,
  value: unknown,
): Pick<Call, 'headers' | 'fieldLines'> & { readonly hostHeader: string | undefined } {
  const fieldLines = new Map<string, readonly string[]>()
  const headers = new Map<string, string>()
  if (value === undefined || value === null) return { headers, fieldLines, hostHeader: undefined }
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new CallError(`${which}: headers must be an object of names and values`)
  }
  for (const [name, given] of Object.entries(value)) {
    const values = Array.isArray(given) ? given : [given]
    if (!values.every((one) => ['string', 'number', 'boolean'].includes(typeof one))) {
      throw new CallError(`${which}: header ${name} must be a text or a list of texts`)
    }
    const lower = name.toLowerCase()
    const lines = [...(fieldLines.get(lower) ?? []), ...values.map(String)]
    fieldLines.set(lower, lines)
    headers.set(lower, lines.join(','))
  }
  const hostHeader = headers.get('host') ?? headers.get(':authority')
  for (const pseudo of ['host', ':authority']) {
    headers.delete(pseudo)
    fieldLines.delete(pseudo)
  }
  return { headers, fieldLines, hostHeader }
}

/** What an HTTP client writes into `Host` for a URL with this address and port. */
function hostFromAddress(address: string, port: number): string {
  if (address === '') return ''
  const host = address.includes(':') ? `[${address}]` : address
  return port === 80 || port === 443 ? host : `${host}:${port}`
}

/** Accepts a whole URL, as people paste it: only path and query count. */
function parsePath(path: string): string {
  const url = /^https?:\/\/[^/?#]*(.*)$/i.exec(path)
  const target = url === null ? path : (url[1] ?? '')
  return target === '' ? '/' : target
}

export function hostOnly(authority: string): string {
  return authority.startsWith('[')
    ? authority.slice(1, Math.max(1, authority.indexOf(']')))
    : authority.replace(/:\d*$/, '')
}
