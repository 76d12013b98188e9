/**
 * The services beside ADS on the same port: client status (CSDS), load reports (LRS), rate limits
 * (RLS), certificates (Istio's CSR service).
 */
import type { ServerHttp2Stream } from 'node:http2'
import type { Clock } from '@weft/base'
import {
  decodeCertificateRequest,
  encodeCertificateResponse,
} from '../certificates/certificate-messages.ts'
import type { XdsNode } from '../node.ts'
import {
  decodeRateLimitRequest,
  encodeRateLimitResponse,
} from '../rate-limit/rate-limit-messages.ts'
import type { AdsServerDeps, XdsPeer } from './ads-server.ts'
import type { ConnectionStatus } from './ads-status.ts'
import { answerClientStatus, type ContentOf } from './client-status.ts'
import { GRPC_STATUS, refuseCall, serveCall, serveUnary, type UnaryAnswer } from './grpc-call.ts'
import { identityService } from './identity-service.ts'
import { type LoadReport, loadReporter } from './load-reports.ts'

export interface SideServiceDeps {
  readonly clock: Clock
  connections(): readonly ConnectionStatus[]
  readonly contentOf: ContentOf
  readonly loadReportIntervalMs: number
  onLoad(node: XdsNode, reports: readonly LoadReport[]): void
  readonly onRateLimit: AdsServerDeps['onRateLimit']
  readonly onRateLimitReturn: AdsServerDeps['onRateLimitReturn']
  readonly onCertificate: AdsServerDeps['onCertificate']
  readonly identities: AdsServerDeps['identities']
}

type Serve = (stream: ServerHttp2Stream, peer: XdsPeer) => void

const CLIENT_STATUS = '/envoy.service.status.v3.ClientStatusDiscoveryService'
const LOAD_REPORTS = '/envoy.service.load_stats.v3.LoadReportingService'
const RATE_LIMITS = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit'
/** Ours, beside Envoy's: the same request, for hits that were granted and not used. */
const RATE_LIMIT_RETURNS = '/weft.ratelimit.v1.Leases/Return'
export const CREATE_CERTIFICATE = '/istio.v1.auth.IstioCertificateService/CreateCertificate'
const MAX_RATE_LIMIT_BYTES = 65_536
/** R67: whoever asks has not said who they are yet. */
const MAX_CERTIFICATE_BYTES = 65_536
const CERTIFICATE_REQUEST_MS = 10_000
const MAX_REQUEST_BYTES = 4 * 1_048_576

/** By path of the method. */
export function sideServices(deps: SideServiceDeps): ReadonlyMap<string, Serve> {
  return new Map<string, Serve>([
    [`${CLIENT_STATUS}/FetchClientStatus`, (stream, peer) => serveStatus(stream, peer, deps, true)],
    [
      `${CLIENT_STATUS}/StreamClientStatus`,
      (stream, peer) => serveStatus(stream, peer, deps, false),
    ],
    [`${LOAD_REPORTS}/StreamLoadStats`, (stream) => serveLoadReports(stream, deps)],
    [RATE_LIMITS, (stream) => serveRateLimits(stream, deps)],
    [RATE_LIMIT_RETURNS, (stream) => serveReturns(stream, deps)],
    [CREATE_CERTIFICATE, (stream, peer) => serveCertificates(stream, peer, deps)],
    ...identityService(deps.clock, deps.identities),
  ])
}

function serveStatus(
  stream: ServerHttp2Stream,
  peer: XdsPeer,
  deps: SideServiceDeps,
  isUnary: boolean,
): void {
  // What others were sent is for this machine only.
  if (!peer.isLocal) {
    refuseCall(stream, GRPC_STATUS.permissionDenied, 'client status is for this machine only')
    return
  }
  serveCall(stream, MAX_REQUEST_BYTES, (message, call) => {
    call.send(answerClientStatus(message, () => deps.connections(), deps.contentOf))
    if (isUnary) call.end(GRPC_STATUS.ok)
  })
}

function serveRateLimits(stream: ServerHttp2Stream, { onRateLimit }: SideServiceDeps): void {
  if (onRateLimit === undefined) {
    refuseCall(stream, GRPC_STATUS.unimplemented, 'nobody counts here')
    return
  }
  serveCall(stream, MAX_RATE_LIMIT_BYTES, (message, call) => {
    const question = decodeRateLimitRequest(message)
    call.answerLater(async () => {
      call.send(encodeRateLimitResponse(await onRateLimit(question)))
      call.end(GRPC_STATUS.ok)
    })
  })
}

function serveReturns(stream: ServerHttp2Stream, { onRateLimitReturn }: SideServiceDeps): void {
  serveCall(stream, MAX_RATE_LIMIT_BYTES, (message, call) => {
    onRateLimitReturn?.(decodeRateLimitRequest(message))
    call.end(GRPC_STATUS.ok)
  })
}

function serveCertificates(
  stream: ServerHttp2Stream,
  peer: XdsPeer,
  { clock, onCertificate }: SideServiceDeps,
): void {
  if (onCertificate === undefined) {
    refuseCall(stream, GRPC_STATUS.unimplemented, 'there is no certificate authority here')
    return
  }
  const limits = {
    clock,
    maxMessageBytes: MAX_CERTIFICATE_BYTES,
    requestTimeoutMs: CERTIFICATE_REQUEST_MS,
  }
  serveUnary(stream, limits, async (message): Promise<UnaryAnswer> => {
    const question = readQuestion(message)
    if (question === undefined) {
      return { ok: false, code: 'invalidArgument', problem: 'the request cannot be read' }
    }
    const answer = await onCertificate(question, peer)
    return answer.ok ? { ok: true, message: encodeCertificateResponse(answer.chainPem) } : answer
  })
}

function readQuestion(message: Buffer) {
  try {
    return decodeCertificateRequest(message)
  } catch {
    // Anybody may send anything here.
    return undefined
  }
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
