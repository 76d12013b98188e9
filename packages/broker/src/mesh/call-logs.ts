/**
 * Access logs of calls: where Telemetry asks for lines of a workload's sidecar, the broker writes
 * them, in the same formats and to the same files – as the caller's sidecar and as that of who
 * answers.
 */
import type { AccessLogTarget, RequestView, SocketAddress } from '@weft/model'
import {
  type AccessLog,
  type AccessLogs,
  LineBuffer,
  type LogFacts,
  readTraceId,
  writeAccessLog,
} from '@weft/telemetry'
import type { Leg } from '../leg.ts'
import type { CallObserver } from '../router.ts'
import type { StreamEntry } from '../stream-entry.ts'
import { answeringKind, resultOf } from './call-metrics.ts'
import type { WorkloadFeeds } from './workload-feeds.ts'
import type { WorkloadPolicy } from './workload-policy.ts'

export interface CallLogsDeps {
  readonly feeds: WorkloadFeeds
  readonly logs: AccessLogs
  /** Wall clock. */
  readonly wallMs: () => number
}

export interface LoggedCall {
  readonly leg: Leg
  readonly request: RequestView
  readonly routeName: string | undefined
  /** Absent: one of several, by weight. */
  readonly cluster: string | undefined
  /** Of the caller; absent: its own proxy writes its line. */
  readonly policy: WorkloadPolicy | undefined
}

export class CallLogs {
  readonly #deps: CallLogsDeps
  readonly #line = new LineBuffer()
  readonly #known = new WeakMap<readonly AccessLogTarget[], readonly AccessLog[]>()

  constructor(deps: CallLogsDeps) {
    this.#deps = deps
  }

  /** Counts as before and writes lines, where somebody may want one. */
  observing(call: LoggedCall, observer: CallObserver): CallObserver {
    return {
      onItem: (entry, fromRequester, view) => observer.onItem(entry, fromRequester, view),
      onEnd: (entry, code) => {
        observer.onEnd(entry, code)
        this.#write(call, entry, code)
      },
    }
  }

  #write(call: LoggedCall, entry: StreamEntry, code: number): void {
    const { policy } = call
    if (policy !== undefined && policy.logs.outbound.length > 0) {
      const facts = new CallFacts('source', call, entry, code, call.cluster, this.#deps)
      this.#toAll(policy.logs.outbound, facts)
    }
    const answering = answeringKind(entry, this.#deps.feeds)
    const inbound = answering?.opened?.policy?.logs.inbound ?? []
    if (inbound.length === 0) return
    const port = answering?.services[0]?.port ?? ''
    const cluster = `inbound|${port}||`
    this.#toAll(inbound, new CallFacts('destination', call, entry, code, cluster, this.#deps))
  }

  #toAll(targets: readonly AccessLogTarget[], facts: LogFacts): void {
    for (const { writer, write = writeAccessLog, filter } of this.#logsOf(targets)) {
      if (filter?.(facts) === false) continue
      this.#line.clear()
      write(facts, this.#line)
      writer.write(this.#line.bytes, this.#line.length)
    }
  }

  #logsOf(targets: readonly AccessLogTarget[]): readonly AccessLog[] {
    const known = this.#known.get(targets) ?? this.#deps.logs.logsFor({ accessLogs: targets })
    this.#known.set(targets, known)
    return known
  }
}

/** A call that is over, in the words of the access log. */
class CallFacts implements LogFacts {
  readonly kind = 'HTTP'
  readonly scheme = 'http'
  readonly protocol = 'RSocket'
  readonly startedAtMs: number
  readonly durationMs: number
  readonly method: string
  readonly path: string
  readonly authority: string
  readonly responseCode: number
  readonly responseFlags: string
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly routeName: string | undefined
  readonly upstreamCluster: string | undefined
  readonly upstreamAddress: SocketAddress | undefined
  readonly upstreamHostname: string | undefined
  readonly upstreamAttempts: number
  readonly downstreamLocalAddress: SocketAddress
  readonly downstreamRemoteAddress: SocketAddress
  readonly downstreamDirectAddress: SocketAddress
  readonly downstreamPeerUriSan: string | undefined
  readonly grpcStatus = undefined
  readonly requestMs = undefined
  readonly firstByteMs = undefined
  readonly upstreamServiceMs = undefined
  readonly responseCodeDetails = undefined
  readonly connectionTerminationDetails = undefined
  readonly upstreamLocalAddress = undefined
  readonly upstreamTransportFailureReason = undefined
  readonly requestedServerName = undefined
  readonly filterChain = undefined
  readonly #request: RequestView

  constructor(
    reporter: 'source' | 'destination',
    { leg, request, routeName }: LoggedCall,
    entry: StreamEntry,
    code: number,
    cluster: string | undefined,
    { feeds, wallMs }: CallLogsDeps,
  ) {
    const { remoteAddress, localAddress } = leg.socket
    const { responder } = entry
    this.durationMs = Math.max(0, leg.owner.nowMs - entry.openedAtMs)
    this.startedAtMs = wallMs() - this.durationMs
    this.method = request.method
    this.path = request.path
    this.authority = request.authority
    ;[this.responseCode, this.responseFlags] = resultOf(reporter, entry, code)
    this.bytesReceived = entry.requestBytes
    this.bytesSent = entry.answerBytes
    this.routeName = routeName
    const { refusal } = entry
    const wasAsked = refusal === undefined || (refusal.by !== undefined && reporter === 'source')
    this.upstreamCluster = wasAsked ? cluster : undefined
    this.upstreamAddress = responder && feeds.kindOf(responder)?.opened?.endpoint
    this.upstreamHostname = responder?.facts.instance?.id
    this.upstreamAttempts = entry.attempts
    this.downstreamLocalAddress = localAddress
    this.downstreamRemoteAddress = remoteAddress
    this.downstreamDirectAddress = remoteAddress
    this.downstreamPeerUriSan = leg.facts.identity.principal
    this.#request = request
  }

  get userAgent(): string | undefined {
    return this.#request.header('user-agent')
  }

  get requestId(): string | undefined {
    return this.#request.header('x-request-id')
  }

  get forwardedFor(): string | undefined {
    return this.#request.header('x-forwarded-for')
  }

  get traceId(): string | undefined {
    return readTraceId((name) => this.#request.header(name))
  }

  requestHeader(name: string): string | undefined {
    return this.#request.header(name)
  }

  /** Heads of answers are not kept. */
  responseHeader(): undefined {
    return undefined
  }

  responseTrailer(): undefined {
    return undefined
  }
}
