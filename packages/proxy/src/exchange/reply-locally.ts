/**
 * An answer of our own: no upstream is asked, or none gave an answer. The rest
 * of a small request body is read and thrown away, to keep the connection.
 */
import type { HttpConnectionManager } from '@weft/model'
import { FIELD } from '@weft/wire'
import type { Exchange } from './exchange.ts'
import { type Failure, failureHeaders, failureStatus, failureText } from './failures.ts'
import { asGrpcReply, isGrpc } from './grpc.ts'
import { spellNames } from './header-case.ts'
import { httpDate } from './http-date.ts'
import { filterHeaders } from './relay-response.ts'
import { out } from './shared-out.ts'
import { type LocalReply, writeLocalReply } from './write-response.ts'

/** What is read and thrown away after an early answer to keep the connection. */
const MAX_DRAINED_BYTES = 65_536

const NO_CONTENT = 204

/** What `failure` is told as; callers inside the mesh may ask for 204 in place of a 504. */
export function failureReply({ head, runtime }: Exchange, failure: Failure): LocalReply {
  const isLate = failure === 'requestTimeout' || failure === 'perTryTimeout'
  const asked = head.at[FIELD['x-envoy-upstream-rq-timeout-alt-response']] !== 0
  if (isLate && asked && !runtime.manager.useRemoteAddress) return { status: NO_CONTENT }
  return {
    status: failureStatus(failure),
    body: `${failureText(failure)}\n`,
    headers: failureHeaders(failure),
  }
}

/** Writes `asHttp`, to a gRPC client in its own form, and ends the exchange. */
export function replyLocally(exchange: Exchange, asHttp: LocalReply): void {
  const { request, head, view, downstream } = exchange
  const reply = replyFor(exchange, asHttp)
  exchange.localGrpcStatus = reply.headers?.find(([name]) => name === 'grpc-status')?.[1]
  exchange.dropUpstream()
  exchange.status = reply.status
  exchange.answered = true
  const drains =
    request.framing === 'fixed' && request.left <= MAX_DRAINED_BYTES && !head.expectsContinue
  exchange.mustClose ||= exchange.closesAfterwards() || !(request.done || drains)
  if (head.form === 'authority' || reply.status === 408) exchange.mustClose = true
  if (exchange.route?.source.cors !== undefined) exchange.filterHeaders = filterHeaders(exchange)
  out.clear()
  const bodyBytes = writeLocalReply(
    reply,
    {
      close: exchange.mustClose,
      withBody: view.method !== 'HEAD',
      date: httpDate(exchange.deps.clock),
      server: serverName(exchange.runtime.manager),
      view,
      ops: exchange.filterHeaders,
      stamps: undefined,
    },
    out,
  )
  exchange.responseBodyBytes = bodyBytes
  const { answerPlan } = exchange
  answerPlan.headLength = out.length - bodyBytes
  answerPlan.lineLength = out.bytes.indexOf('\n') + 1
  exchange.answer.framingOut = 0
  const { headerCase } = exchange.runtime.manager
  if (headerCase !== undefined && !downstream.multiplexed) {
    spellNames(out.bytes, 0, out.length - bodyBytes, headerCase)
  }
  downstream.send(out.length - bodyBytes, true, undefined)
  if (request.done || exchange.mustClose || downstream.multiplexed) exchange.finish()
  else {
    exchange.discarding = true
    downstream.resumeBody()
  }
}

function replyFor({ view, request: { webContentType } }: Exchange, asHttp: LocalReply): LocalReply {
  if (webContentType !== '') return asGrpcReply(asHttp, webContentType)
  return isGrpc(view.requestHeader('content-type')) ? asGrpcReply(asHttp) : asHttp
}

function serverName({ serverHeader }: HttpConnectionManager): string | undefined {
  if (serverHeader === undefined) return 'weft'
  return serverHeader.kind === 'remove' ? undefined : serverHeader.value
}
