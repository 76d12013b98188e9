/** What ended, in the words of the access log. Empty texts of a record mean that there was none. */
import type { SocketAddress, WorkloadRef } from '@weft/model'
import type { TlsFacts } from '@weft/net'
import { type LogFacts, PEER_HEADER, parsePeerHeader, readTraceId } from '@weft/telemetry'
import type { ConnectionRecord, ExchangeRecord } from '../exchange/contract.ts'
import { connectionDenialIn, DENIAL_NOTE, denialIn } from '../filters/denial-note.ts'
import { relayedOf } from '../listen/relayed.ts'
import { connectionIdOf } from './connection-ids.ts'
import { filterStateOf } from './peer-state.ts'
import { shownPath } from './shown-path.ts'

/** A view of the record at hand; reused, because there is one per request. */
export class ExchangeEntry implements LogFacts {
  readonly kind = 'HTTP'
  #record: ExchangeRecord
  readonly #header = (name: string): string | undefined => this.#record.requestHeader(name)
  readonly connectionTerminationDetails = undefined

  constructor(record: ExchangeRecord) {
    this.#record = record
  }

  of(record: ExchangeRecord): this {
    this.#record = record
    return this
  }

  get logType(): string | undefined {
    return this.#record.logType
  }
  get startedAtMs(): number {
    return this.#record.startedAtMs
  }
  get durationMs(): number {
    return this.#record.durationMs
  }
  get scheme(): string | undefined {
    return this.#record.scheme
  }
  get grpcStatus(): number | undefined {
    const { grpcStatus } = this.#record
    return grpcStatus === undefined ? undefined : Number(grpcStatus)
  }
  get requestMs(): number | undefined {
    return this.#record.requestMs
  }
  get firstByteMs(): number | undefined {
    return this.#record.firstByteMs
  }
  get downstreamDirectAddress(): SocketAddress {
    return this.#record.downstreamDirect
  }
  get downstreamPeerUriSan(): string | undefined {
    return this.#record.downstreamPeerUriSan
  }
  get downstreamTls(): TlsFacts | undefined {
    return this.#record.downstreamTls
  }
  get upstreamTls(): TlsFacts | undefined {
    return this.#record.upstreamTls
  }
  metadata(filter: string): Readonly<Record<string, unknown>> | undefined {
    return this.#record.metadata?.(filter)
  }
  filterState(key: string): string | Readonly<Record<string, string>> | undefined {
    const { direction, downstreamTls, endpoint } = this.#record
    return filterStateOf(key, {
      downstream: () => callerOf(direction, this.#record.requestHeader(PEER_HEADER)),
      upstream: () => endpoint?.workload,
      tls: downstreamTls,
    })
  }
  get requestSentMs(): number | undefined {
    return this.#record.requestSentMs
  }
  get downstreamWire(): LogFacts['downstreamWire'] {
    return this.#record.downstreamWire
  }
  get upstreamWire(): LogFacts['upstreamWire'] {
    return this.#record.upstreamWire
  }
  get requestFieldBytes(): number | undefined {
    return this.#record.requestFieldBytes
  }
  get responseFieldBytes(): number | undefined {
    return this.#record.responseFieldBytes
  }
  get responseTrailerBytes(): number | undefined {
    return this.#record.responseTrailerBytes
  }
  get connectionId(): number {
    return connectionIdOf(this.#record.downstreamRemote)
  }
  get upstreamConnectionId(): number | undefined {
    const { upstreamLocal } = this.#record
    return upstreamLocal === undefined ? undefined : connectionIdOf(upstreamLocal)
  }
  get requestedServerName(): string | undefined {
    return this.#record.downstreamTls?.serverName
  }
  get upstreamHostname(): string | undefined {
    return this.#record.upstreamAddress?.host
  }
  get filterChain(): string | undefined {
    return undefined
  }
  requestHeader(name: string): string | undefined {
    return this.#record.requestHeader(name)
  }
  responseHeader(name: string): string | undefined {
    return this.#record.responseHeader(name)
  }
  responseTrailer(name: string): string | undefined {
    return this.#record.responseTrailer?.(name)
  }
  get upstreamServiceMs(): number | undefined {
    const { upstreamMs } = this.#record
    return upstreamMs < 0 ? undefined : upstreamMs
  }
  get method(): string | undefined {
    return textOf(this.#record.method)
  }
  get path(): string | undefined {
    const path = textOf(this.#record.path)
    return path === undefined ? undefined : shownPath(path)
  }
  get protocol(): string {
    return this.#record.protocol
  }
  get responseCode(): number {
    return this.#record.status
  }
  get responseFlags(): string {
    return this.#record.responseFlags
  }
  get responseCodeDetails(): string | undefined {
    return textOf(this.#record.responseCodeDetails)
  }
  get denialReason(): string | undefined {
    return denialIn(this.#record.metadata?.(DENIAL_NOTE))
  }
  get bytesReceived(): number {
    return this.#record.requestBytes
  }
  get bytesSent(): number {
    return this.#record.responseBytes
  }
  get authority(): string | undefined {
    return textOf(this.#record.authority)
  }
  get userAgent(): string | undefined {
    return this.#record.requestHeader('user-agent')
  }
  get requestId(): string | undefined {
    return textOf(this.#record.requestId)
  }
  get forwardedFor(): string | undefined {
    return this.#record.requestHeader('x-forwarded-for')
  }
  get traceId(): string | undefined {
    return readTraceId(this.#header)
  }
  get routeName(): string | undefined {
    return this.#record.route?.name
  }
  get upstreamCluster(): string | undefined {
    return this.#record.cluster?.name
  }
  get upstreamAddress(): SocketAddress | undefined {
    return this.#record.upstreamAddress
  }
  get upstreamLocalAddress(): SocketAddress | undefined {
    const local = this.#record.upstreamLocal
    // Nobody had asked before its socket was gone.
    return local?.host === '' ? undefined : local
  }
  get upstreamProtocol(): string | undefined {
    return this.#record.upstreamProtocol
  }
  get upstreamTransportFailureReason(): string | undefined {
    return textOf(this.#record.failureDetail)
  }
  get upstreamAttempts(): number {
    return this.#record.attempts
  }
  get downstreamLocalAddress(): SocketAddress {
    return this.#record.downstreamLocal
  }
  get downstreamRemoteAddress(): SocketAddress {
    return this.#record.client
  }
}

/** Only who comes from inside the mesh is believed to say who it is. */
function callerOf(
  direction: ExchangeRecord['direction'],
  header: string | undefined,
): WorkloadRef | undefined {
  return direction === 'inbound' && header !== undefined ? parsePeerHeader(header) : undefined
}

const none = (): undefined => undefined

const NOT_HTTP = {
  kind: 'TCP',
  scheme: undefined,
  grpcStatus: undefined,
  requestMs: undefined,
  firstByteMs: undefined,
  upstreamHostname: undefined,
  upstreamProtocol: undefined,
  filterChain: undefined,
  requestHeader: none,
  responseHeader: none,
  responseTrailer: none,
} as const

/** A tunnel or a proxied TCP connection. */
export function connectionEntryOf(record: ConnectionRecord): LogFacts {
  const denial = connectionDenialIn(record.failureDetail)
  return {
    ...NOT_HTTP,
    logType: record.logType,
    downstreamTls: record.downstreamTls,
    downstreamPeerUriSan: record.downstreamTls?.peer?.uriSans[0],
    startedAtMs: record.startedAtMs,
    durationMs: record.durationMs,
    upstreamServiceMs: undefined,
    method: undefined,
    path: undefined,
    protocol: undefined,
    responseCode: 0,
    responseFlags: record.responseFlags,
    responseCodeDetails: record.responseCodeDetails,
    connectionTerminationDetails: denial?.details,
    downstreamTransportFailureReason: record.transportFailure,
    denialReason: denial?.because,
    bytesReceived: record.receivedBytes,
    bytesSent: record.sentBytes,
    authority: undefined,
    userAgent: undefined,
    requestId: undefined,
    forwardedFor: undefined,
    traceId: undefined,
    routeName: undefined,
    upstreamCluster: record.cluster?.name,
    upstreamAddress: record.upstreamAddress,
    upstreamLocalAddress: record.upstreamLocal,
    upstreamTransportFailureReason: denial === undefined ? textOf(record.failureDetail) : undefined,
    upstreamAttempts: record.attempts,
    downstreamLocalAddress: record.downstreamLocal,
    downstreamRemoteAddress: record.downstreamRemote,
    downstreamDirectAddress: record.downstreamDirect ?? record.downstreamRemote,
    requestedServerName: record.serverName,
    // Bytes are all that there is of it: no head, no coding.
    downstreamWire: wireOf(record.receivedBytes, record.sentBytes),
    upstreamWire: wireOf(record.sentBytes, record.receivedBytes),
    get connectionId() {
      return connectionIdOf(record.downstreamRemote)
    },
    get upstreamConnectionId() {
      return record.upstreamLocal === undefined ? undefined : connectionIdOf(record.upstreamLocal)
    },
    filterState: (key) =>
      filterStateOf(key, {
        downstream: () => undefined,
        upstream: () => record.endpoint?.workload,
        tls: record.downstreamTls,
      }),
    metadata: (filter) => relayedOf(record.downstreamRemote)?.metadata.get(filter),
  }
}

function wireOf(received: number, sent: number): LogFacts['upstreamWire'] {
  return { received, sent, headerReceived: 0, headerSent: 0 }
}

function textOf(text: string): string | undefined {
  return text === '' ? undefined : text
}
