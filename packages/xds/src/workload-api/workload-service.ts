/**
 * SPIFFE's Workload API over gRPC. Whoever may open the socket is the workload: see `docs/security.md`
 * for how that is known.
 *
 *     FetchX509SVID, FetchX509Bundles, FetchJWTBundles   a message at once and at every change
 *     FetchJWTSVID, ValidateJWTSVID                      one question, one answer
 */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { Clock } from '@weft/base'
import {
  GRPC_STATUS,
  type GrpcCall,
  refuseCall,
  serveCall,
  serveUnary,
  type UnaryAnswer,
} from '../server/grpc-call.ts'
import {
  decodeJwtSvidRequest,
  decodeValidateRequest,
  encodeJwtBundles,
  encodeJwtSvids,
  encodeValidated,
  encodeX509Bundles,
  encodeX509Svid,
} from './workload-messages.ts'
import type { WorkloadSource, WorkloadState } from './workload-source.ts'

type Serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void
type Ready = Extract<WorkloadState, { readonly kind: 'ready' }>

/** Without it a browser, or a proxy that was talked into it, could ask (§ 4.2 of the specification). */
const HEADER = 'workload.spiffe.io'
const MAX_REQUEST_BYTES = 65_536
const REQUEST_MS = 10_000

/** By path of the method. */
export function workloadService(source: WorkloadSource, clock: Clock): ReadonlyMap<string, Serve> {
  const limits = { clock, maxMessageBytes: MAX_REQUEST_BYTES, requestTimeoutMs: REQUEST_MS }
  const unary = <Question>(
    decode: (message: Buffer) => Question,
    answer: (question: Question, source: WorkloadSource) => Promise<UnaryAnswer>,
  ) =>
    guarded((stream) => {
      serveUnary(stream, limits, async (message) => {
        const question = read(message, decode)
        return question === undefined ? UNREADABLE : answer(question, source)
      })
    })
  const following = (render: (state: Ready) => Uint8Array) =>
    guarded((stream) => follow(stream, source, render))
  const service = '/SpiffeWorkloadAPI'
  return new Map([
    [`${service}/FetchX509SVID`, following(renderX509)],
    [
      `${service}/FetchX509Bundles`,
      following(({ bundles }) => encodeX509Bundles(byId(bundles.x509))),
    ],
    [
      `${service}/FetchJWTBundles`,
      following(({ bundles }) => encodeJwtBundles(byId(inUtf8(bundles.jwt)))),
    ],
    [`${service}/FetchJWTSVID`, unary(decodeJwtSvidRequest, fetchJwt)],
    [`${service}/ValidateJWTSVID`, unary(decodeValidateRequest, validateJwt)],
  ])
}

function guarded(serve: (stream: ServerHttp2Stream) => void): Serve {
  return (stream, headers) => {
    if (headers[HEADER] === 'true') return serve(stream)
    const problem = `the metadata ${HEADER}: true is missing`
    refuseCall(stream, GRPC_STATUS.invalidArgument, problem)
  }
}

function follow(
  stream: ServerHttp2Stream,
  source: WorkloadSource,
  render: (state: Ready) => Uint8Array,
): void {
  let stop: (() => void) | undefined
  let before: Buffer | undefined
  const closed = new Promise<void>((resolve) => stream.on('close', resolve))
  void closed.then(() => stop?.())
  const tell = (call: GrpcCall) => {
    const state = source.state()
    if (state.kind === 'none') call.end(GRPC_STATUS.permissionDenied, state.problem)
    if (state.kind !== 'ready') return
    const message = Buffer.from(render(state))
    // Every change of anything is heard of here; what this stream is about may be the same.
    if (before?.equals(message) === true) return
    before = message
    call.send(message)
  }
  serveCall(stream, MAX_REQUEST_BYTES, (_message, call) => {
    if (stop !== undefined) return
    stop = source.onChange(() => tell(call))
    // The client has said all it will; we have not.
    call.answerLater(() => closed)
    tell(call)
  })
}

function renderX509({ svid, bundles }: Ready): Uint8Array {
  const { trustDomain, x509 } = bundles
  const federated = [...x509].filter(([name]) => name !== trustDomain)
  return encodeX509Svid(svid, x509.get(trustDomain) ?? new Uint8Array(), byId(new Map(federated)))
}

async function fetchJwt(
  { audiences, id }: ReturnType<typeof decodeJwtSvidRequest>,
  source: WorkloadSource,
): Promise<UnaryAnswer> {
  if (audiences.length === 0 || audiences.includes('')) {
    return { ok: false, code: 'invalidArgument', problem: 'an audience is needed' }
  }
  const fetched = await source.fetchJwt(audiences, id)
  return fetched.ok ? { ok: true, message: encodeJwtSvids([fetched]) } : fetched
}

function validateJwt(
  { audience, token }: ReturnType<typeof decodeValidateRequest>,
  source: WorkloadSource,
): Promise<UnaryAnswer> {
  return Promise.resolve(judge(audience, token, source))
}

function judge(audience: string, token: string, source: WorkloadSource): UnaryAnswer {
  const code = 'invalidArgument'
  if (audience === '') return { ok: false, code, problem: 'an audience is needed' }
  if (token === '') return { ok: false, code, problem: 'an svid is needed' }
  const validated = source.validateJwt(audience, token)
  if (!validated.ok) return { ok: false, code, problem: validated.problem }
  return { ok: true, message: encodeValidated(validated.id, validated.claims) }
}

const UNREADABLE: UnaryAnswer = {
  ok: false,
  code: 'invalidArgument',
  problem: 'the request cannot be read',
}

/** `undefined`: what a client sent may be anything. */
function read<Question>(
  message: Buffer,
  decode: (message: Buffer) => Question,
): Question | undefined {
  try {
    return decode(message)
  } catch {
    return undefined
  }
}

function byId(bundles: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, Uint8Array> {
  return new Map([...bundles].map(([trustDomain, value]) => [`spiffe://${trustDomain}`, value]))
}

function inUtf8(texts: ReadonlyMap<string, string>): ReadonlyMap<string, Uint8Array> {
  return new Map([...texts].map(([name, text]) => [name, Buffer.from(text)]))
}
