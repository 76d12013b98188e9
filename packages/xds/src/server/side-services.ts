/** The services beside ADS on the same port: client status (CSDS), load reports (LRS), rate limits (RLS). */
import type { ServerHttp2Stream } from 'node:http2'
import type { XdsNode } from '../node.ts'
import {
  decodeRateLimitRequest,
  encodeRateLimitResponse,
} from '../rate-limit/rate-limit-messages.ts'
import type { AdsServerDeps } from './ads-server.ts'
import type { ConnectionStatus } from './ads-status.ts'
import { answerClientStatus, type ContentOf } from './client-status.ts'
import { GRPC_STATUS, refuseCall, serveCall } from './grpc-call.ts'
import { type LoadReport, loadReporter } from './load-reports.ts'

export interface SideServiceDeps {
  connections(): readonly ConnectionStatus[]
  readonly contentOf: ContentOf
  readonly loadReportIntervalMs: number
  onLoad(node: XdsNode, reports: readonly LoadReport[]): void
  readonly onRateLimit: AdsServerDeps['onRateLimit']
  readonly onRateLimitReturn: AdsServerDeps['onRateLimitReturn']
}

type Serve = (stream: ServerHttp2Stream) => void

const CLIENT_STATUS = '/envoy.service.status.v3.ClientStatusDiscoveryService'
const LOAD_REPORTS = '/envoy.service.load_stats.v3.LoadReportingService'
const RATE_LIMITS = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit'
/** Ours, beside Envoy's: the same request, for hits that were granted and not used. */
const RATE_LIMIT_RETURNS = '/weft.ratelimit.v1.Leases/Return'
const MAX_RATE_LIMIT_BYTES = 65_536
const MAX_REQUEST_BYTES = 4 * 1_048_576

/** By path of the method. */
export function sideServices(deps: SideServiceDeps): ReadonlyMap<string, Serve> {
  return new Map<string, Serve>([
    [`${CLIENT_STATUS}/FetchClientStatus`, (stream) => serveStatus(stream, deps, true)],
    [`${CLIENT_STATUS}/StreamClientStatus`, (stream) => serveStatus(stream, deps, false)],
    [`${LOAD_REPORTS}/StreamLoadStats`, (stream) => serveLoadReports(stream, deps)],
    [RATE_LIMITS, (stream) => serveRateLimits(stream, deps)],
    [RATE_LIMIT_RETURNS, (stream) => serveReturns(stream, deps)],
  ])
}

function serveStatus(stream: ServerHttp2Stream, deps: SideServiceDeps, isUnary: boolean): void {
  if (!isLocal(stream)) {
    refuseCall(stream, GRPC_STATUS.permissionDenied, 'client status is for this machine only')
    return
  }
  serveCall(stream, MAX_REQUEST_BYTES, (message, call) => {
    call.send(answerClientStatus(message, () => deps.connections(), deps.contentOf))
    if (isUnary) call.end(GRPC_STATUS.ok)
  })
}

/** Until clients are authenticated, only this machine may ask what others were sent. */
function isLocal({ session }: ServerHttp2Stream): boolean {
  const address = session?.socket.remoteAddress
  return address === undefined || /^(::1$|(::ffff:)?127\.)/.test(address)
}

function serveRateLimits(stream: ServerHttp2Stream, { onRateLimit }: SideServiceDeps): void {
  if (onRateLimit === undefined) {
    refuseCall(stream, GRPC_STATUS.unimplemented, 'nobody counts here')
    return
  }
  serveCall(stream, MAX_RATE_LIMIT_BYTES, (message, call) => {
    call.send(encodeRateLimitResponse(onRateLimit(decodeRateLimitRequest(message))))
    call.end(GRPC_STATUS.ok)
  })
}

function serveReturns(stream: ServerHttp2Stream, { onRateLimitReturn }: SideServiceDeps): void {
  serveCall(stream, MAX_RATE_LIMIT_BYTES, (message, call) => {
    onRateLimitReturn?.(decodeRateLimitRequest(message))
    call.end(GRPC_STATUS.ok)
  })
}

function serveLoadReports(stream: ServerHttp2Stream, deps: SideServiceDeps): void {
  const reporter = loadReporter(deps.loadReportIntervalMs, (node, reports) =>
    deps.onLoad(node, reports),
  )
  serveCall(stream, MAX_REQUEST_BYTES, (message, call) => {
    const answer = reporter.receive(message)
    if (answer !== undefined) call.send(answer)
  })
}
