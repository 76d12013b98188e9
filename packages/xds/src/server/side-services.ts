/** The services beside ADS on the same port: client status (CSDS) and load reports (LRS). */
import type { ServerHttp2Stream } from 'node:http2'
import type { XdsNode } from '../node.ts'
import type { ConnectionStatus } from './ads-status.ts'
import { answerClientStatus, type ContentOf } from './client-status.ts'
import { GRPC_STATUS, refuseCall, serveCall } from './grpc-call.ts'
import { type LoadReport, loadReporter } from './load-reports.ts'

export interface SideServiceDeps {
  connections(): readonly ConnectionStatus[]
  readonly contentOf: ContentOf
  readonly loadReportIntervalMs: number
  onLoad(node: XdsNode, reports: readonly LoadReport[]): void
}

type Serve = (stream: ServerHttp2Stream) => void

const CLIENT_STATUS = '/envoy.service.status.v3.ClientStatusDiscoveryService'
const LOAD_REPORTS = '/envoy.service.load_stats.v3.LoadReportingService'
const MAX_REQUEST_BYTES = 4 * 1_048_576

/** By path of the method. */
export function sideServices(deps: SideServiceDeps): ReadonlyMap<string, Serve> {
  return new Map<string, Serve>([
    [`${CLIENT_STATUS}/FetchClientStatus`, (stream) => serveStatus(stream, deps, true)],
    [`${CLIENT_STATUS}/StreamClientStatus`, (stream) => serveStatus(stream, deps, false)],
    [`${LOAD_REPORTS}/StreamLoadStats`, (stream) => serveLoadReports(stream, deps)],
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

function serveLoadReports(stream: ServerHttp2Stream, deps: SideServiceDeps): void {
  const reporter = loadReporter(deps.loadReportIntervalMs, (node, reports) =>
    deps.onLoad(node, reports),
  )
  serveCall(stream, MAX_REQUEST_BYTES, (message, call) => {
    const answer = reporter.receive(message)
    if (answer !== undefined) call.send(answer)
  })
}
