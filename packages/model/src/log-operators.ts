/**
 * Envoy's command operators of access logs: which there are, and what may stand in their brackets.
 * Whoever judges a format needs no more; what they yield is telemetry's.
 */
import type { AccessLogFields, AccessLogTarget, AccessLogValue } from './listener.ts'

/** What an operator takes. `any`: nothing here can judge it. */
type Argument =
  | 'none'
  | 'field'
  | 'grpc'
  | 'serverName'
  | 'text'
  | 'metadata'
  | 'filterState'
  | 'points'
  | 'any'

const ADDRESSES = ['UPSTREAM_REMOTE', 'UPSTREAM_LOCAL', 'DOWNSTREAM_REMOTE', 'DOWNSTREAM_LOCAL']
const CERTIFICATE = ['URI_SAN', 'DNS_SAN', 'IP_SAN', 'EMAIL_SAN', 'SUBJECT', 'ISSUER', 'SERIAL']

const PLAIN = [
  ...['DURATION', 'REQUEST_DURATION', 'RESPONSE_DURATION', 'RESPONSE_TX_DURATION', 'PROTOCOL'],
  ...['RESPONSE_CODE', 'RESPONSE_CODE_DETAILS', 'RESPONSE_FLAGS', 'RESPONSE_FLAGS_LONG'],
  ...['CONNECTION_TERMINATION_DETAILS', 'BYTES_RECEIVED', 'BYTES_SENT', 'UPSTREAM_CLUSTER'],
  ...['UPSTREAM_CLUSTER_RAW', 'UPSTREAM_HOST', 'UPSTREAM_HOST_NAME', 'ROUTE_NAME', 'STREAM_ID'],
  ...['UPSTREAM_HOST_NAME_WITHOUT_PORT', 'UPSTREAM_TRANSPORT_FAILURE_REASON', 'TRACE_ID'],
  ...['UPSTREAM_REQUEST_ATTEMPT_COUNT', 'FILTER_CHAIN_NAME', 'GRPC_STATUS_NUMBER'],
  ...['REQUEST_TX_DURATION', 'CONNECTION_ID', 'UPSTREAM_CONNECTION_ID'],
  ...['REQUEST_HEADERS_BYTES', 'RESPONSE_HEADERS_BYTES', 'RESPONSE_TRAILERS_BYTES'],
  ...['ACCESS_LOG_TYPE', 'HOSTNAME', 'DOWNSTREAM_TRANSPORT_FAILURE_REASON', 'UPSTREAM_PROTOCOL'],
  ...[...ADDRESSES, 'DOWNSTREAM_DIRECT_REMOTE'].flatMap((name) => [
    ...[`${name}_ADDRESS`, `${name}_ADDRESS_WITHOUT_PORT`, `${name}_PORT`],
  ]),
  ...['DOWNSTREAM', 'UPSTREAM'].flatMap((side) => [
    ...[...CERTIFICATE, 'FINGERPRINT_256', 'CERT_V_END'].map((fact) => `${side}_PEER_${fact}`),
    ...[`${side}_TLS_VERSION`, `${side}_TLS_CIPHER`, `${side}_LOCAL_URI_SAN`],
    ...['WIRE', 'HEADER'].flatMap((what) => [
      ...[`${side}_${what}_BYTES_SENT`, `${side}_${what}_BYTES_RECEIVED`],
    ]),
  ]),
]

/** Those whose fact proxies have. */
export const LOG_OPERATORS: ReadonlyMap<string, Argument> = new Map<string, Argument>([
  ...PLAIN.map((name) => [name, 'none'] as const),
  ...['REQ', 'RESP', 'TRAILER', 'REQ_WITHOUT_QUERY'].map((name) => [name, 'field'] as const),
  ...[['START_TIME', 'any'] as const, ['EMIT_TIME', 'any'] as const],
  ...[['GRPC_STATUS', 'grpc'] as const, ['REQUESTED_SERVER_NAME', 'serverName'] as const],
  ...[['QUERY_PARAM', 'text'] as const, ['DYNAMIC_METADATA', 'metadata'] as const],
  ...[['FILTER_STATE', 'filterState'] as const, ['COMMON_DURATION', 'points'] as const],
])

/** Documented by Envoy; whatever their argument, the answer is "not known". */
const NOT_KNOWN_HERE = new Set([
  ...['VIRTUAL_CLUSTER_NAME', 'LOCAL_REPLY_BODY', 'UNIQUE_ID', 'SPAN_ID', 'CUSTOM_FLAGS'],
  ...['METADATA', 'CLUSTER_METADATA', 'UPSTREAM_METADATA', 'UPSTREAM_FILTER_STATE'],
  ...['ROUNDTRIP_DURATION', 'DOWNSTREAM_HANDSHAKE_DURATION'],
  ...['UPSTREAM_CONNECTION_POOL_READY_DURATION', 'BYTES_RETRANSMITTED', 'PACKETS_RETRANSMITTED'],
  ...['DOWNSTREAM', 'UPSTREAM'].flatMap((side) => [
    ...[`${side}_DETECTED_CLOSE_TYPE`, `${side}_LOCAL_CLOSE_REASON`],
    ...['SENT', 'RECEIVED'].map((way) => `${side}_DECOMPRESSED_HEADER_BYTES_${way}`),
  ]),
  ...['TLS_JA3_FINGERPRINT', 'TLS_JA4_FINGERPRINT', 'DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID'],
])

/** Facts of certificates and handshakes, of which there are many. */
const TLS_FACT =
  /^(?:DOWNSTREAM|UPSTREAM)_(?:PEER|LOCAL|TLS)_(?:URI_SAN|DNS_SAN|IP_SAN|EMAIL_SAN|OTHERNAME_SAN|SUBJECT|ISSUER|SERIAL|FINGERPRINT_256|FINGERPRINT_1|CHAIN_FINGERPRINTS_256|CHAIN_FINGERPRINTS_1|CHAIN_SERIALS|CERT|CERT_V_START|CERT_V_END|SESSION_ID|CIPHER|VERSION)$/

/** One that Envoy has and this proxy has no fact for. */
export function isUnknownLogFact(name: string): boolean {
  return NOT_KNOWN_HERE.has(name) || TLS_FACT.test(name)
}

/** What an argument must look like, and how that is said. */
const FORMS: Readonly<Partial<Record<Argument, readonly [form: RegExp, needs: string]>>> = {
  field: [/^[^?]*[^?](\?[^?]+)?$/s, 'needs a header name, or two with "?" between them'],
  text: [/./s, 'needs the name of a query parameter'],
  metadata: [/^[^:]+(:[^:]+)*$/s, 'needs FILTER:KEY, or FILTER:KEY:KEY and so on'],
  filterState: [
    /^[^:]+(:(PLAIN|TYPED|FIELD:[^:]+))?$/,
    'needs KEY, KEY:PLAIN, KEY:TYPED or KEY:FIELD:NAME',
  ],
  points: [
    /^[A-Z_]+:[A-Z_]+:(ms|us|ns)$/,
    'needs START:END:PRECISION, for example DS_RX_BEG:US_RX_BEG:ms',
  ],
  grpc: [/^(CAMEL_STRING|SNAKE_STRING|NUMBER)?$/, 'needs CAMEL_STRING, SNAKE_STRING or NUMBER'],
  serverName: [
    /^(SNI_ONLY|SNI_FIRST|HOST_FIRST)?(:ORIG)?$/,
    'needs SNI_ONLY, SNI_FIRST or HOST_FIRST',
  ],
}

/** What is wrong with an operator; `undefined`: nothing. */
export function logOperatorProblem(name: string, argument: string | undefined): string | undefined {
  const takes = LOG_OPERATORS.get(name)
  if (takes === undefined) return isUnknownLogFact(name) ? undefined : 'is not known'
  if (takes === 'none') return argument === undefined ? undefined : 'takes no argument'
  const [form, needs] = FORMS[takes] ?? []
  return form === undefined || form.test(argument ?? '') ? undefined : needs
}

/** `%NAME%`, `%NAME(argument)%`, `%NAME(argument):10%`; as Envoy reads them. Sticky. */
export const LOG_OPERATOR: RegExp = /%([A-Z0-9_]+)(?:\((.*?)\))?(?::(\d+))?%/sy

/** What is wrong with the operators of a format, and in which of its fields; `undefined`: nothing. */
export function logOperatorsProblem(
  format: NonNullable<AccessLogTarget['format']>,
): string | undefined {
  return format.kind === 'text' ? templateProblem(format.template) : fieldsProblem(format.fields)
}

function fieldsProblem(fields: AccessLogFields): string | undefined {
  for (const [key, value] of Object.entries(fields)) {
    const problem = valueProblem(value)
    if (problem !== undefined) return `field "${key}": ${problem}`
  }
  return undefined
}

function valueProblem(value: AccessLogValue): string | undefined {
  if (typeof value === 'string') return templateProblem(value)
  if (typeof value !== 'object' || value === null) return undefined
  return fieldsProblem(value as AccessLogFields)
}

function templateProblem(template: string): string | undefined {
  let at = template.indexOf('%')
  while (at >= 0) {
    if (template[at + 1] === '%') at += 2
    else {
      LOG_OPERATOR.lastIndex = at
      const [source, name = '', argument] = LOG_OPERATOR.exec(template) ?? []
      if (source === undefined) {
        const text = JSON.stringify(template.slice(at, at + 40))
        return `need %OPERATOR%, or %% for a percent sign, at ${at}, got ${text}`
      }
      const problem = logOperatorProblem(name, argument)
      if (problem !== undefined) return `${source} at ${at} ${problem}`
      at += source.length
    }
    at = template.indexOf('%', at)
  }
  return undefined
}
