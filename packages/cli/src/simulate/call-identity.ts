/** Who makes a call, as `--call` says it: a workload's identity, an end user's token. */
import { isIP } from 'node:net'
import { parseSpiffeId, renderSpiffeId, serviceAccountOf } from '@weft/model'
import { CallError } from './call-error.ts'

export interface CallIdentity {
  readonly source?: CallSource
  /** Of an end user's token, as if a matching issuer had signed it. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** An end user's token as it is. */
  readonly token?: string
  /** The workload's own, behind what the client dials. */
  readonly destination?: { readonly ip?: string; readonly port?: number }
  /** What was written, not guessed. */
  readonly written: { readonly tls: boolean; readonly port: boolean; readonly sni: boolean }
}

interface CallSource {
  /** SPIFFE ID. */
  readonly principal?: string
  /** Without a principal: of some service account in it. */
  readonly namespace?: string
  readonly ip?: string
}

export const IDENTITY_FIELDS = ['source', 'jwt', 'token', 'destination'] as const

type Fields = Readonly<Record<string, unknown>>

/** @throws {CallError} */
export function parseIdentity(which: string, fields: Fields): CallIdentity {
  const source = parseSource(which, fields.source)
  const destination = parseDestination(which, fields.destination)
  const { jwt, token } = fields
  if (isThere(jwt) && isThere(token)) {
    throw new CallError(`${which}: jwt and token are two ways to say one thing; give one of them`)
  }
  if (isThere(token) && typeof token !== 'string') {
    throw new CallError(`${which}: token must be a text`)
  }
  return {
    written: {
      tls: isThere(fields.tls),
      port: isThere(fields.port),
      sni: isThere(fields.sni),
    },
    ...(source === undefined ? {} : { source }),
    ...(destination === undefined ? {} : { destination }),
    ...(isThere(jwt) ? { claims: record(which, 'jwt', jwt) } : {}),
    ...(typeof token === 'string' ? { token } : {}),
  }
}

function isThere(value: unknown): boolean {
  return value !== undefined && value !== null
}

function parseSource(which: string, value: unknown): CallSource | undefined {
  if (!isThere(value)) return undefined
  const fields = record(which, 'source', value)
  checkFields(which, 'source', fields, ['principal', 'namespace', 'ip'])
  const { principal: given, namespace, ip } = textsOf(which, 'source', fields)
  const principal = given === undefined ? undefined : principalOf(which, given)
  const own = principal === undefined ? undefined : namespaceOf(principal)
  if (namespace !== undefined && own !== undefined && own !== namespace) {
    throw new CallError(
      `${which}: source.namespace is ${namespace}, but the principal is of namespace ${own}`,
    )
  }
  checkIp(which, 'source.ip', ip)
  return {
    ...(principal === undefined ? {} : { principal }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(ip === undefined ? {} : { ip }),
  }
}

/** With or without `spiffe://`, as policies and certificates have it. */
function principalOf(which: string, text: string): string {
  const uri = text.startsWith('spiffe://') ? text : `spiffe://${text}`
  const parsed = parseSpiffeId(uri)
  if (parsed.ok) return renderSpiffeId(parsed.id)
  throw new CallError(
    `${which}: source.principal must be like cluster.local/ns/shop/sa/web: ${parsed.problem}`,
  )
}

function namespaceOf(principal: string): string | undefined {
  const parsed = parseSpiffeId(principal)
  return parsed.ok ? serviceAccountOf(parsed.id)?.namespace : undefined
}

function parseDestination(which: string, value: unknown): CallIdentity['destination'] {
  if (!isThere(value)) return undefined
  const fields = record(which, 'destination', value)
  checkFields(which, 'destination', fields, ['ip', 'port'])
  const { ip } = textsOf(which, 'destination', { ip: fields.ip })
  checkIp(which, 'destination.ip', ip)
  const port = isThere(fields.port) ? Number(fields.port) : undefined
  if (port !== undefined && (!Number.isInteger(port) || port < 1 || port > 65_535)) {
    throw new CallError(`${which}: destination.port must be from 1 to 65535`)
  }
  return { ...(ip === undefined ? {} : { ip }), ...(port === undefined ? {} : { port }) }
}

function record(which: string, name: string, value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw new CallError(`${which}: ${name} must be an object`)
}

function checkFields(which: string, name: string, fields: Fields, known: readonly string[]): void {
  const unknown = Object.keys(fields).find((key) => !known.includes(key))
  if (unknown === undefined) return
  throw new CallError(`${which}: ${name} has no field '${unknown}': known are ${known.join(', ')}`)
}

function textsOf(
  which: string,
  name: string,
  fields: Fields,
): Readonly<Record<string, string | undefined>> {
  const texts: Record<string, string> = {}
  for (const [key, value] of Object.entries(fields)) {
    if (!isThere(value)) continue
    if (typeof value !== 'string') throw new CallError(`${which}: ${name}.${key} must be a text`)
    if (value !== '') texts[key] = value
  }
  return texts
}

function checkIp(which: string, name: string, ip: string | undefined): void {
  if (ip === undefined || isIP(ip) !== 0) return
  throw new CallError(`${which}: ${name} must be an IP address, got '${ip}'`)
}
