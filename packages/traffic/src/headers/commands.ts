/**
 * The commands of header templates by their name in Envoy's format strings.
 * Adding one is adding a line.
 */
import type { HeaderContext } from './template.ts'

type ReadValue = (context: HeaderContext) => string | undefined

/** Takes what stands in parentheses; `undefined` refuses it. */
type Command = (argument: string | undefined) => ReadValue | undefined

export const commands: Readonly<Record<string, Command>> = {
  REQ: (names) => headerReader(names, (context, name) => readRequest(context, name)),
  RESP: (names) => headerReader(names, (context, name) => context.responseHeader(name)),
  PROTOCOL: plain((context) => context.protocol),
  RESPONSE_CODE: plain((context) => renderNumber(context.responseCode)),
  ROUTE_NAME: plain((context) => context.routeName),
  START_TIME: (format) => startTime(format),
  REQUESTED_SERVER_NAME: plain((context) => context.requestedServerName),
  UPSTREAM_CLUSTER: plain((context) => context.clusterName),
  UPSTREAM_HOST: plain((context) => upstreamAddress(context)),
  UPSTREAM_REMOTE_ADDRESS: plain((context) => upstreamAddress(context)),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: plain((context) => context.upstreamRemoteHost),
  UPSTREAM_REMOTE_PORT: plain((context) => renderNumber(context.upstreamRemotePort)),
  DOWNSTREAM_REMOTE_ADDRESS: plain((context) =>
    join(context.downstreamRemoteHost, context.downstreamRemotePort),
  ),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: plain((context) => context.downstreamRemoteHost),
  DOWNSTREAM_REMOTE_PORT: plain((context) => renderNumber(context.downstreamRemotePort)),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: plain((context) =>
    join(context.downstreamDirectRemoteHost, context.downstreamDirectRemotePort),
  ),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: plain(
    (context) => context.downstreamDirectRemoteHost,
  ),
  DOWNSTREAM_DIRECT_REMOTE_PORT: plain((context) =>
    renderNumber(context.downstreamDirectRemotePort),
  ),
  DOWNSTREAM_LOCAL_ADDRESS: plain((context) =>
    join(context.downstreamLocalHost, context.downstreamLocalPort),
  ),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: plain((context) => context.downstreamLocalHost),
  DOWNSTREAM_LOCAL_PORT: plain((context) => renderNumber(context.downstreamLocalPort)),
  DOWNSTREAM_PEER_URI_SAN: plain((context) => context.downstreamPeerUriSan),
}

function plain(read: ReadValue): Command {
  return (argument) => (argument === undefined ? read : undefined)
}

/** `X` or `X?Y`: Y where X is absent. */
function headerReader(
  names: string | undefined,
  read: (context: HeaderContext, name: string) => string | undefined,
): ReadValue | undefined {
  const [main, fallback, ...more] = (names ?? '').toLowerCase().split('?')
  if (main === undefined || main === '' || more.length > 0) return undefined
  if (fallback === undefined) return (context) => read(context, main)
  return (context) => read(context, main) ?? read(context, fallback)
}

function readRequest({ request }: HeaderContext, name: string): string | undefined {
  switch (name) {
    case ':method':
      return request.method
    case ':path':
      return request.path
    case ':authority':
    case 'host':
      return request.authority
    case ':scheme':
      return request.scheme
    default:
      return request.header(name)
  }
}

function upstreamAddress(context: HeaderContext): string | undefined {
  const { upstreamRemoteHost: host, upstreamRemotePort: port } = context
  return host === undefined || port === undefined ? undefined : join(host, port)
}

function join(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function renderNumber(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value)
}

const TIME_PART = /%(?:([YmdHMSsFT])|([1-9])?f|E3S)/g

/** Without a format ISO 8601 with milliseconds; else the common conversions of strftime, in UTC. */
function startTime(format: string | undefined): ReadValue | undefined {
  if (format === undefined || format === '') {
    return (context) => new Date(context.startTimeMs).toISOString()
  }
  if (format.replace(TIME_PART, '').includes('%')) return undefined
  return (context) => {
    const iso = new Date(context.startTimeMs).toISOString()
    const fraction = iso.slice(20, 23)
    return format.replace(TIME_PART, (part: string, letter?: string, digits?: string) => {
      if (letter !== undefined) return timePart(letter, iso, context.startTimeMs)
      if (part === '%E3S') return iso.slice(17, 23)
      return fraction.padEnd(9, '0').slice(0, Number(digits ?? 9))
    })
  }
}

function timePart(letter: string, iso: string, timeMs: number): string {
  switch (letter) {
    case 'Y':
      return iso.slice(0, 4)
    case 'm':
      return iso.slice(5, 7)
    case 'd':
      return iso.slice(8, 10)
    case 'H':
      return iso.slice(11, 13)
    case 'M':
      return iso.slice(14, 16)
    case 'S':
      return iso.slice(17, 19)
    case 'F':
      return iso.slice(0, 10)
    case 'T':
      return iso.slice(11, 19)
    default:
      return String(Math.floor(timeMs / 1_000))
  }
}
