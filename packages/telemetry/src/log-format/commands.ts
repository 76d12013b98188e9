/**
 * Envoy's command operators for access logs: what stands between two `%`.
 *
 * Operators that Envoy documents and whose fact this proxy does not have yield "not
 * known", as Envoy's own do for connections without that fact. Others are refused.
 */
import {
  isUnknownLogFact,
  logOperatorProblem,
  renderAddress,
  type SocketAddress,
} from '@weft/model'
import type { LogFacts, LogPeer } from './facts.ts'
import { compileTime, ISO_PATTERN } from './log-time.ts'
import { longFlags } from './response-flags.ts'
import { commonDuration, filterState, SIZES } from './size-commands.ts'

export type LogValue = string | number | undefined
export type ReadFact = (facts: LogFacts) => LogValue

/** A reader, or why there is none for such an argument. */
type Compiled = ReadFact | { readonly problem: string }
type Command = (argument: string | undefined) => Compiled

function plain(read: ReadFact): Command {
  return () => read
}

type Side = 'DOWNSTREAM' | 'UPSTREAM'

function tlsOf(facts: LogFacts, side: Side): LogFacts['downstreamTls'] {
  return side === 'DOWNSTREAM' ? facts.downstreamTls : facts.upstreamTls
}

/** Of the peer's certificate, and of the connection. */
function tlsCommands(side: Side): Record<string, Command> {
  const ofPeer = (read: (peer: LogPeer) => LogValue): Command =>
    plain((facts) => {
      const peer = tlsOf(facts, side)?.peer
      return peer === undefined ? undefined : read(peer)
    })
  return {
    [`${side}_PEER_URI_SAN`]: ofPeer(({ uriSans }) => names(uriSans)),
    [`${side}_PEER_DNS_SAN`]: ofPeer(({ dnsSans }) => names(dnsSans)),
    [`${side}_PEER_IP_SAN`]: ofPeer(({ ipSans }) => names(ipSans)),
    [`${side}_PEER_EMAIL_SAN`]: ofPeer(({ emailSans }) => names(emailSans)),
    [`${side}_PEER_SUBJECT`]: ofPeer(({ subject }) => subject),
    [`${side}_PEER_ISSUER`]: ofPeer(({ issuer }) => issuer),
    [`${side}_PEER_SERIAL`]: ofPeer(({ serial }) => serial.toLowerCase()),
    [`${side}_PEER_FINGERPRINT_256`]: ofPeer(({ fingerprint }) => fingerprint),
    [`${side}_PEER_CERT_V_END`]: ofPeer(({ validToMs }) => new Date(validToMs).toISOString()),
    [`${side}_TLS_VERSION`]: plain((facts) => tlsOf(facts, side)?.version),
    [`${side}_TLS_CIPHER`]: plain((facts) => tlsOf(facts, side)?.cipher),
    [`${side}_LOCAL_URI_SAN`]: plain((facts) => names(tlsOf(facts, side)?.localUriSans)),
  }
}

/** `FILTER:KEY:KEY`: texts and numbers as they are, anything else as JSON. */
function dynamicMetadata(argument = ''): Compiled {
  const [filter = '', ...path] = argument.split(':')
  return (facts) => {
    let value: unknown = facts.metadata?.(filter)
    for (const key of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key))
        return undefined
      value = (value as Readonly<Record<string, unknown>>)[key]
    }
    if (value === undefined || typeof value === 'string' || typeof value === 'number') return value
    return JSON.stringify(value)
  }
}

function names(sans: readonly string[] | undefined): string | undefined {
  return sans === undefined || sans.length === 0 ? undefined : sans.join(',')
}

/** `HEADER?ALTERNATIVE`. */
function header(read: (facts: LogFacts, name: string) => LogValue): Command {
  return (argument = '') => {
    const [name = '', other] = argument.toLowerCase().split('?')
    return other === undefined
      ? (facts) => read(facts, name)
      : (facts) => read(facts, name) ?? read(facts, other)
  }
}

function time(argument: string | undefined): Compiled {
  const write = compileTime(argument === undefined || argument === '' ? ISO_PATTERN : argument)
  if (typeof write === 'function') return (facts) => write(facts.startedAtMs)
  return { problem: `does not know the time specifier "${write.unknown}"` }
}

function requestField(facts: LogFacts, name: string): LogValue {
  switch (name) {
    case ':method':
      return facts.method
    case ':path':
      return facts.path
    case ':authority':
    case 'host':
      return facts.authority
    case ':scheme':
      return facts.scheme
    case 'x-request-id':
      return facts.requestId
    default:
      return facts.requestHeader(name)
  }
}

function responseField(facts: LogFacts, name: string): LogValue {
  if (name === ':status') return facts.responseCode === 0 ? undefined : String(facts.responseCode)
  if (name === 'x-envoy-upstream-service-time') {
    const { upstreamServiceMs: ms } = facts
    return ms === undefined ? undefined : String(Math.round(ms))
  }
  return facts.responseHeader(name)
}

const GRPC_NAMES = [
  ...['OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound'],
  ...['AlreadyExists', 'PermissionDenied', 'ResourceExhausted', 'FailedPrecondition', 'Aborted'],
  ...['OutOfRange', 'Unimplemented', 'Internal', 'Unavailable', 'DataLoss', 'Unauthenticated'],
]

function grpcStatus(argument = ''): Compiled {
  if (argument === 'NUMBER') return (facts) => facts.grpcStatus
  const isSnake = argument === 'SNAKE_STRING'
  return ({ grpcStatus: code }) => {
    if (code === undefined) return undefined
    const name = GRPC_NAMES[code] ?? String(code)
    return isSnake ? snake(name) : name
  }
}

function snake(name: string): string {
  return name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()
}

type AddressOf = (facts: LogFacts) => SocketAddress | undefined

/** The three commands that Envoy has for every address. */
function address(name: string, of: AddressOf): Record<string, Command> {
  const whole = (facts: LogFacts) => {
    const found = of(facts)
    return found === undefined ? undefined : renderAddress(found)
  }
  return {
    [`${name}_ADDRESS`]: plain(whole),
    [`${name}_ADDRESS_WITHOUT_PORT`]: plain((facts) => of(facts)?.host),
    [`${name}_PORT`]: plain((facts) => of(facts)?.port),
  }
}

const rendered = new WeakMap<SocketAddress, string>()

/** An endpoint's address is in a line of each of its requests; as one flat text. */
function renderedOnce(of: SocketAddress): string {
  const known = rendered.get(of)
  if (known !== undefined) return known
  const text = renderAddress(of)
  rendered.set(of, text)
  return text
}

const UPSTREAM: AddressOf = ({ upstreamAddress }) => upstreamAddress
const rounded = (ms: number | undefined) => (ms === undefined ? undefined : Math.round(ms))

export const KNOWN: Readonly<Record<string, Command>> = {
  REQ: header(requestField),
  RESP: header(responseField),
  TRAILER: header((facts, name) => facts.responseTrailer(name)),
  REQ_WITHOUT_QUERY: header((facts, name) => {
    const value = requestField(facts, name)
    return typeof value === 'string' ? value.replace(/\?.*$/s, '') : value
  }),
  QUERY_PARAM:
    (argument = '') =>
    ({ path = '' }) => {
      const at = path.indexOf('?')
      if (at < 0) return undefined
      return new URLSearchParams(path.slice(at + 1)).get(argument) ?? undefined
    },
  START_TIME: time,
  EMIT_TIME: (argument) => {
    const write = compileTime(argument === undefined || argument === '' ? ISO_PATTERN : argument)
    if (typeof write !== 'function') {
      return { problem: `does not know the time specifier "${write.unknown}"` }
    }
    return ({ startedAtMs, durationMs }) => write(startedAtMs + durationMs)
  },
  DURATION: plain((facts) => Math.round(facts.durationMs)),
  REQUEST_DURATION: plain((facts) => rounded(facts.requestMs)),
  RESPONSE_DURATION: plain((facts) => rounded(facts.firstByteMs)),
  RESPONSE_TX_DURATION: plain(({ firstByteMs, durationMs }) =>
    rounded(firstByteMs === undefined ? undefined : durationMs - firstByteMs),
  ),
  PROTOCOL: plain((facts) => facts.protocol),
  RESPONSE_CODE: plain((facts) => facts.responseCode),
  RESPONSE_CODE_DETAILS: plain((facts) => facts.responseCodeDetails),
  RESPONSE_FLAGS: plain((facts) => facts.responseFlags),
  RESPONSE_FLAGS_LONG: plain((facts) => longFlags(facts.responseFlags)),
  CONNECTION_TERMINATION_DETAILS: plain((facts) => facts.connectionTerminationDetails),
  BYTES_RECEIVED: plain((facts) => facts.bytesReceived),
  BYTES_SENT: plain((facts) => facts.bytesSent),
  UPSTREAM_CLUSTER: plain((facts) => facts.upstreamCluster),
  UPSTREAM_PROTOCOL: plain((facts) => facts.upstreamProtocol),
  UPSTREAM_CLUSTER_RAW: plain((facts) => facts.upstreamCluster),
  UPSTREAM_HOST: plain((facts) => {
    const found = UPSTREAM(facts)
    return found === undefined ? undefined : renderedOnce(found)
  }),
  UPSTREAM_HOST_NAME: plain((facts) => facts.upstreamHostname),
  UPSTREAM_HOST_NAME_WITHOUT_PORT: plain((facts) => facts.upstreamHostname),
  UPSTREAM_TRANSPORT_FAILURE_REASON: plain((facts) => facts.upstreamTransportFailureReason),
  DOWNSTREAM_TRANSPORT_FAILURE_REASON: plain((facts) => facts.downstreamTransportFailureReason),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: plain((facts) => facts.upstreamAttempts),
  ...address('UPSTREAM_REMOTE', UPSTREAM),
  ...address('UPSTREAM_LOCAL', (facts) => facts.upstreamLocalAddress),
  ...address('DOWNSTREAM_REMOTE', (facts) => facts.downstreamRemoteAddress),
  ...address('DOWNSTREAM_DIRECT_REMOTE', (facts) => facts.downstreamDirectAddress),
  ...address('DOWNSTREAM_LOCAL', (facts) => facts.downstreamLocalAddress),
  ...tlsCommands('UPSTREAM'),
  ...tlsCommands('DOWNSTREAM'),
  DOWNSTREAM_PEER_URI_SAN: plain(
    (facts) => names(facts.downstreamTls?.peer?.uriSans) ?? facts.downstreamPeerUriSan,
  ),
  DYNAMIC_METADATA: dynamicMetadata,
  FILTER_STATE: filterState,
  COMMON_DURATION: commonDuration,
  ...Object.fromEntries(Object.entries(SIZES).map(([name, read]) => [name, plain(read)])),
  REQUESTED_SERVER_NAME: plain((facts) => facts.requestedServerName),
  ROUTE_NAME: plain((facts) => facts.routeName),
  FILTER_CHAIN_NAME: plain((facts) => facts.filterChain),
  GRPC_STATUS: grpcStatus,
  GRPC_STATUS_NUMBER: plain((facts) => facts.grpcStatus),
  STREAM_ID: plain((facts) => facts.requestId),
  TRACE_ID: plain((facts) => facts.traceId),
  ACCESS_LOG_TYPE: plain(logTypeOf),
}

/** Envoy's. */
export function logTypeOf({ kind, logType }: LogFacts): string {
  return logType ?? (kind === 'HTTP' ? 'DownstreamEnd' : 'TcpConnectionEnd')
}

const unknownFact: ReadFact = () => undefined

/** @param hostname Of this machine. @returns A reader, or why there is none. */
export function compileCommand(
  name: string,
  argument: string | undefined,
  hostname: string,
): Compiled {
  const problem = logOperatorProblem(name, argument)
  if (problem !== undefined) return { problem }
  if (name === 'HOSTNAME') return () => hostname
  const known = KNOWN[name]
  if (known !== undefined) return known(argument)
  return isUnknownLogFact(name) ? unknownFact : { problem: 'is not known' }
}
