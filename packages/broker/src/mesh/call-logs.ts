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
import type { HttpResponseEntry, ZipkinTrace } from '@weft/wire'
import type { Leg } from '../leg.ts'
import type { CallObserver } from '../router.ts'
import type { StreamEntry } from '../stream-entry.ts'
import { answeringKind, resultOf } from './call-metrics.ts'
import { responseHeadOf } from './http-head.ts'
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
  /** What an entry of RSocket says of its trace. */
  readonly trace: ZipkinTrace | undefined
  /** Given where answers change on their way to the caller. */
  readonly heard: HeardAnswer | undefined
}

/** Of one call; lines have heads as they came, as those of sidecars do. */
export interface HeardAnswer {
  /** As the application said it. */
  head: HttpResponseEntry | undefined
  /** As its sidecar would hand it on. */
  handedOn: HttpResponseEntry | undefined
}

export class CallLogs {
  readonly #deps: CallLogsDeps
  readonly #line = new LineBuffer()
  readonly #known = new WeakMap<readonly AccessLogTarget[], readonly AccessLog[]>()
  /** Of answers that do not change. */
  readonly #heads = new WeakMap<StreamEntry, HttpResponseEntry>()

  constructor(deps: CallLogsDeps) {
    this.#deps = deps
  }

  /** Counts as before and writes lines, where somebody may want one. */
  observing(call: LoggedCall, observer: CallObserver): CallObserver {
    return {
      onItem: (entry, fromRequester, view) => {
        const isFirst = !fromRequester && entry.status === 0
        observer.onItem(entry, fromRequester, view)
        const head = isFirst ? responseHeadOf(view) : undefined
        if (head !== undefined) this.#heads.set(entry, head)
      },
      onEnd: (entry, code) => {
        observer.onEnd(entry, code)
        this.#write(call, entry, code)
      },
    }
  }

  #write(call: LoggedCall, entry: StreamEntry, code: number): void {
    const { policy, heard } = call
    const { refusal } = entry
    const passed = this.#heads.get(entry)
    if (policy !== undefined && policy.logs.outbound.length > 0) {
      // To the caller's end, what the other one refuses is an answer.
      const head = refusal === undefined ? (heard?.handedOn ?? passed) : refusal.by && refusal.head
      const facts = new CallFacts('source', call, entry, code, call.cluster, head, this.#deps)
      this.#toAll(policy.logs.outbound, facts)
    }
    const answering = answeringKind(entry, this.#deps.feeds)
    const inbound = answering?.opened?.policy?.logs.inbound ?? []
    if (inbound.length === 0) return
    const port = answering?.services[0]?.port ?? ''
    const cluster = `inbound|${port}||`
    const said = refusal === undefined ? (heard?.head ?? passed) : undefined
    const facts = new CallFacts('destination', call, entry, code, cluster, said, this.#deps)
    this.#toAll(inbound, facts)
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
  readonly #trace: ZipkinTrace | undefined
  readonly #head: HttpResponseEntry | undefined

  constructor(
    reporter: 'source' | 'destination',
    { leg, request, routeName, trace }: LoggedCall,
    entry: StreamEntry,
    code: number,
    cluster: string | undefined,
    head: HttpResponseEntry | undefined,
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
    this.#trace = trace
    this.#head = head
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
    const written = readTraceId((name) => this.#request.header(name))
    return written ?? this.#trace?.traceId.padStart(32, '0')
  }

  requestHeader(name: string): string | undefined {
    return this.#request.header(name)
  }

  responseHeader(name: string): string | undefined {
    const lines =
      this.#head?.fields.flatMap(([each, value]) => (each === name ? [value] : [])) ?? []
    return lines.length === 0 ? undefined : lines.join(',')
  }

  responseTrailer(): undefined {
    return undefined
  }
}
