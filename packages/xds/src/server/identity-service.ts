/** `weft.identity.v1.WorkloadIdentity` on the xDS port: JWT-SVIDs, and everybody's trust bundles. */
import type { ServerHttp2Stream } from 'node:http2'
import type { Clock } from '@weft/base'
import {
  type BundleAcknowledgement,
  type BundleNews,
  identityMessages,
  type JwtQuestion,
  type JwtReply,
} from '../identity-service/identity-messages.ts'
import type { CertificateAnswer, XdsPeer } from './ads-server.ts'
import { GRPC_STATUS, refuseCall, serveCall, serveUnary, type UnaryAnswer } from './grpc-call.ts'

export interface IdentityService {
  /** Somebody asks for a JWT-SVID. */
  issueJwt(question: JwtQuestion, peer: XdsPeer): Promise<JwtAnswer>
  /** Somebody wants to hear of bundles; `send` at once and at every change, until `end`. */
  watchBundles(send: (news: BundleNews) => void, peer: XdsPeer): BundleWatch
}

export type JwtAnswer =
  | { readonly ok: true; readonly reply: JwtReply }
  | Extract<CertificateAnswer, { readonly ok: false }>

export interface BundleWatch {
  /** `undefined`, or why it may not say so. */
  acknowledge(acknowledgement: BundleAcknowledgement): string | undefined
  end(): void
}

export const ISSUE_JWT = '/weft.identity.v1.WorkloadIdentity/IssueJwtSvid'
const WATCH_BUNDLES = '/weft.identity.v1.WorkloadIdentity/WatchBundles'
const MAX_REQUEST_BYTES = 65_536
const REQUEST_MS = 10_000

type Serve = (stream: ServerHttp2Stream, peer: XdsPeer) => void

/** By path of the method. */
export function identityService(
  clock: Clock,
  service: IdentityService | undefined,
): readonly (readonly [string, Serve])[] {
  const none: Serve = (stream) =>
    refuseCall(stream, GRPC_STATUS.unimplemented, 'there is no certificate authority here')
  return [
    [ISSUE_JWT, service === undefined ? none : (...call) => issue(clock, service, ...call)],
    [WATCH_BUNDLES, service === undefined ? none : (...call) => watch(service, ...call)],
  ]
}

function issue(
  clock: Clock,
  service: IdentityService,
  stream: ServerHttp2Stream,
  peer: XdsPeer,
): void {
  const limits = { clock, maxMessageBytes: MAX_REQUEST_BYTES, requestTimeoutMs: REQUEST_MS }
  serveUnary(stream, limits, async (message): Promise<UnaryAnswer> => {
    const question = readQuestion(message)
    if (question === undefined) {
      return { ok: false, code: 'invalidArgument', problem: 'the request cannot be read' }
    }
    const answer = await service.issueJwt(question, peer)
    if (!answer.ok) return answer
    return { ok: true, message: identityMessages.encodeJwtReply(answer.reply) }
  })
}

function readQuestion(message: Buffer): JwtQuestion | undefined {
  try {
    return identityMessages.decodeJwtQuestion(message)
  } catch {
    // Anybody may send anything here.
    return undefined
  }
}

function watch(service: IdentityService, stream: ServerHttp2Stream, peer: XdsPeer): void {
  let watching: BundleWatch | undefined
  serveCall(stream, MAX_REQUEST_BYTES, (message, call) => {
    const acknowledgement = identityMessages.decodeAcknowledgement(message)
    watching ??= service.watchBundles(
      (news) => call.send(identityMessages.encodeBundleNews(news)),
      peer,
    )
    const problem = watching.acknowledge(acknowledgement)
    if (problem !== undefined) call.end(GRPC_STATUS.permissionDenied, problem)
  })
  stream.on('close', () => watching?.end())
}
