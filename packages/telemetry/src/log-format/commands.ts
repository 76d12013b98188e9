/**
 * Envoy's command operators for access logs: what stands between two `%`.
 *
 * Operators that Envoy documents and whose fact this proxy does not have yield "not
 * known", as Envoy's own do for connections without that fact. Others are refused.
 */
import { renderAddress, type SocketAddress } from '@weft/model'
import type { LogFacts, LogPeer } from './facts.ts'
import { compileTime, ISO_PATTERN } from './log-time.ts'
import { longFlags } from './response-flags.ts'

export type LogValue = string | number | undefined
export type ReadFact = (facts: LogFacts) => LogValue

/** A reader, or why there is none for such an argument. */
type Compiled = ReadFact | { readonly problem: string }
type Command = (argument: string | undefined) => Compiled

function plain(read: ReadFact): Command {
  return (argument) => (argument === undefined ? read : { problem: 'takes no argument' })
}

/** Of the client's certificate. */
function ofPeer(read: (peer: LogPeer) => LogValue): Command {
  return plain(({ downstreamTls }) =>
    downstreamTls?.peer === undefined ? undefined : read(downstreamTls.peer),
  )
}

function names(sans: readonly string[] | undefined): string | undefined {
  return sans === undefined || sans.length === 0 ? undefined : sans.join(',')
}

/** `HEADER?ALTERNATIVE`. */
function header(read: (facts: LogFacts, name: string) => LogValue): Command {
  return (argument = '') => {
    const [name = '', other, ...more] = argument.toLowerCase().split('?')
    if (name === '' || other === '' || more.length > 0) {
      return { problem: 'needs a header name, or two with "?" between them' }
    }
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

function grpcStatus(argument = 'CAMEL_STRING'): Compiled {
  switch (argument) {
    case '':
    case 'CAMEL_STRING':
      return ({ grpcStatus: code }) =>
        code === undefined ? undefined : (GRPC_NAMES[code] ?? String(code))
    case 'SNAKE_STRING':
      return ({ grpcStatus: code }) =>
        code === undefined ? undefined : snake(GRPC_NAMES[code] ?? String(code))
    case 'NUMBER':
      return (facts) => facts.grpcStatus
    default:
      return { problem: 'needs CAMEL_STRING, SNAKE_STRING or NUMBER' }
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

const KNOWN: Readonly<Record<string, Command>> = {
  REQ: header(requestField),
  RESP: header(responseField),
  TRAILER: header((facts, name) => facts.responseTrailer(name)),
  REQ_WITHOUT_QUERY: header((facts, name) => {
    const value = requestField(facts, name)
    return typeof value === 'string' ? value.replace(/\?.*$/s, '') : value
  }),
  QUERY_PARAM: (argument = '') =>
    argument === ''
      ? { problem: 'needs the name of a query parameter' }
      : ({ path = '' }) => {
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
  UPSTREAM_CLUSTER_RAW: plain((facts) => facts.upstreamCluster),
  UPSTREAM_HOST: plain((facts) => {
    const found = UPSTREAM(facts)
    return found === undefined ? undefined : renderedOnce(found)
  }),
  UPSTREAM_HOST_NAME: plain((facts) => facts.upstreamHostname),
  UPSTREAM_HOST_NAME_WITHOUT_PORT: plain((facts) => facts.upstreamHostname),
  UPSTREAM_TRANSPORT_FAILURE_REASON: plain((facts) => facts.upstreamTransportFailureReason),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: plain((facts) => facts.upstreamAttempts),
  ...address('UPSTREAM_REMOTE', UPSTREAM),
  ...address('UPSTREAM_LOCAL', (facts) => facts.upstreamLocalAddress),
  ...address('DOWNSTREAM_REMOTE', (facts) => facts.downstreamRemoteAddress),
  ...address('DOWNSTREAM_DIRECT_REMOTE', (facts) => facts.downstreamDirectAddress),
  ...address('DOWNSTREAM_LOCAL', (facts) => facts.downstreamLocalAddress),
  DOWNSTREAM_PEER_URI_SAN: plain(
    (facts) => names(facts.downstreamTls?.peer?.uriSans) ?? facts.downstreamPeerUriSan,
  ),
  DOWNSTREAM_PEER_DNS_SAN: ofPeer(({ dnsSans }) => names(dnsSans)),
  DOWNSTREAM_PEER_IP_SAN: ofPeer(({ ipSans }) => names(ipSans)),
  DOWNSTREAM_PEER_EMAIL_SAN: ofPeer(({ emailSans }) => names(emailSans)),
  DOWNSTREAM_PEER_SUBJECT: ofPeer(({ subject }) => subject),
  DOWNSTREAM_PEER_ISSUER: ofPeer(({ issuer }) => issuer),
  DOWNSTREAM_PEER_SERIAL: ofPeer(({ serial }) => serial.toLowerCase()),
  DOWNSTREAM_PEER_FINGERPRINT_256: ofPeer(({ fingerprint }) => fingerprint),
  DOWNSTREAM_PEER_CERT_V_END: ofPeer(({ validToMs }) => new Date(validToMs).toISOString()),
  DOWNSTREAM_TLS_VERSION: plain((facts) => facts.downstreamTls?.version),
  DOWNSTREAM_TLS_CIPHER: plain((facts) => facts.downstreamTls?.cipher),
  REQUESTED_SERVER_NAME: (argument) =>
    argument === undefined || /^(SNI_ONLY|SNI_FIRST|HOST_FIRST)?(:ORIG)?$/.test(argument)
      ? (facts) => facts.requestedServerName
      : { problem: 'needs SNI_ONLY, SNI_FIRST or HOST_FIRST' },
  ROUTE_NAME: plain((facts) => facts.routeName),
  FILTER_CHAIN_NAME: plain((facts) => facts.filterChain),
  GRPC_STATUS: grpcStatus,
  GRPC_STATUS_NUMBER: plain((facts) => facts.grpcStatus),
  STREAM_ID: plain((facts) => facts.requestId),
  TRACE_ID: plain((facts) => facts.traceId),
  ACCESS_LOG_TYPE: plain((facts) => (facts.kind === 'HTTP' ? 'DownstreamEnd' : 'TcpConnectionEnd')),
}

/** Documented by Envoy; whatever their argument, the answer is "not known". */
const NOT_KNOWN_HERE = new Set([
  ...['VIRTUAL_CLUSTER_NAME', 'CONNECTION_ID', 'LOCAL_REPLY_BODY', 'UNIQUE_ID', 'SPAN_ID'],
  ...['METADATA', 'DYNAMIC_METADATA', 'CLUSTER_METADATA', 'UPSTREAM_METADATA', 'FILTER_STATE'],
  ...['UPSTREAM_FILTER_STATE', 'UPSTREAM_PROTOCOL', 'UPSTREAM_CONNECTION_ID'],
  ...['REQUEST_TX_DURATION', 'ROUNDTRIP_DURATION', 'COMMON_DURATION', 'CUSTOM_FLAGS'],
  ...['DOWNSTREAM_HANDSHAKE_DURATION', 'UPSTREAM_CONNECTION_POOL_READY_DURATION'],
  ...['REQUEST_HEADERS_BYTES', 'RESPONSE_HEADERS_BYTES', 'RESPONSE_TRAILERS_BYTES'],
  ...['UPSTREAM_WIRE_BYTES_SENT', 'UPSTREAM_WIRE_BYTES_RECEIVED', 'UPSTREAM_HEADER_BYTES_SENT'],
  ...['UPSTREAM_HEADER_BYTES_RECEIVED', 'DOWNSTREAM_WIRE_BYTES_SENT'],
  ...['DOWNSTREAM_WIRE_BYTES_RECEIVED', 'DOWNSTREAM_HEADER_BYTES_SENT'],
  ...['DOWNSTREAM_HEADER_BYTES_RECEIVED', 'BYTES_RETRANSMITTED', 'PACKETS_RETRANSMITTED'],
  ...['DOWNSTREAM_TRANSPORT_FAILURE_REASON', 'DOWNSTREAM_LOCAL_CLOSE_REASON'],
  ...['DOWNSTREAM_DETECTED_CLOSE_TYPE', 'UPSTREAM_DETECTED_CLOSE_TYPE'],
  ...['UPSTREAM_LOCAL_CLOSE_REASON', 'TLS_JA3_FINGERPRINT', 'TLS_JA4_FINGERPRINT'],
])

/** Facts of certificates and handshakes, of which there are many. */
const TLS_FACT =
  /^(?:DOWNSTREAM|UPSTREAM)_(?:PEER|LOCAL|TLS)_(?:URI_SAN|DNS_SAN|IP_SAN|EMAIL_SAN|OTHERNAME_SAN|SUBJECT|ISSUER|SERIAL|FINGERPRINT_256|FINGERPRINT_1|CHAIN_FINGERPRINTS_256|CHAIN_FINGERPRINTS_1|CHAIN_SERIALS|CERT|CERT_V_START|CERT_V_END|SESSION_ID|CIPHER|VERSION)$/

const unknownFact: ReadFact = () => undefined

/** @param hostname Of this machine. @returns A reader, or why there is none. */
export function compileCommand(
  name: string,
  argument: string | undefined,
  hostname: string,
): Compiled {
  if (name === 'HOSTNAME') return () => hostname
  const known = KNOWN[name]
  if (known !== undefined) return known(argument)
  if (NOT_KNOWN_HERE.has(name) || TLS_FACT.test(name)) return unknownFact
  return { problem: 'is not known' }
}
