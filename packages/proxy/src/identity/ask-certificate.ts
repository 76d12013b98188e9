/** One call of Istio's CSR service (`IstioCertificateService/CreateCertificate`) over `node:http2`. */
import { type ClientHttp2Session, connect, type SecureClientSessionOptions } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import type { Clock } from '@weft/base'
import { renderAddress, type SocketAddress } from '@weft/model'
import { loadCertificateMessages } from '@weft/xds'
import type { Svid } from './svid.ts'

const METHOD = '/istio.v1.auth.IstioCertificateService/CreateCertificate'
const ANSWER_MS = 10_000
const MAX_ANSWER_BYTES = 1_048_576
const PREFIX_BYTES = 5
const UNAVAILABLE = 14

export interface CertificateCall {
  readonly target: SocketAddress | { readonly path: string }
  readonly csrPem: string
  /** 0: as long as the authority likes. */
  readonly validitySeconds: number
  readonly metadata: Readonly<Record<string, string>>
  /** What proves who asks: a token, or the certificate that is to be replaced. */
  readonly proof:
    | { readonly kind: 'token'; readonly token: string }
    | { readonly kind: 'svid'; readonly svid: Svid; readonly rootsPem: string }
    /** The socket itself says who asks (peer credentials). */
    | { readonly kind: 'none' }
}

export type CertificateAnswer =
  | { readonly ok: true; readonly chainPem: readonly string[] }
  /** `code` is gRPC's. */
  | { readonly ok: false; readonly code: number; readonly problem: string }

/** Never rejects: what goes wrong on the way is gRPC's UNAVAILABLE. */
export async function askCertificate(
  call: CertificateCall,
  clock: Clock,
): Promise<CertificateAnswer> {
  const messages = await loadCertificateMessages()
  const { csrPem, validitySeconds, metadata } = call
  const message = messages.encodeCertificateRequest({ csrPem, validitySeconds, metadata })
  return new Promise((resolve) => {
    const session = openSession(call)
    let answer = Buffer.alloc(0)
    const end = (result: CertificateAnswer) => {
      cancel()
      session.destroy()
      resolve(result)
    }
    const fail = (problem: string, code = UNAVAILABLE) => end({ ok: false, code, problem })
    const cancel = clock.after(ANSWER_MS, () => fail(`no answer within ${ANSWER_MS} ms`))
    session.on('error', (error) => fail(error.message))
    session.on('close', () => fail('the connection was closed'))
    const stream = session.request({
      ':method': 'POST',
      ':path': METHOD,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(call.proof.kind === 'token' ? { authorization: `Bearer ${call.proof.token}` } : {}),
    })
    const finish = (headers: Readonly<Record<string, unknown>>) => {
      const status = Number(headers['grpc-status'] ?? UNAVAILABLE)
      if (status !== 0) return fail(decode(headers['grpc-message']), status)
      try {
        const body = answer.subarray(PREFIX_BYTES)
        end({ ok: true, chainPem: messages.decodeCertificateResponse(body) })
      } catch {
        fail('the answer cannot be read')
      }
    }
    stream.on('response', (headers) => {
      if (headers[':status'] !== 200) fail(`HTTP status ${headers[':status']}`)
      else if (headers['grpc-status'] !== undefined) finish(headers)
    })
    stream.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length > MAX_ANSWER_BYTES) fail('the answer is too large')
    })
    stream.on('trailers', finish)
    stream.on('error', (error) => fail(error.message))
    stream.on('close', () => fail('the answer was cut short'))
    const prefix = Buffer.alloc(PREFIX_BYTES)
    prefix.writeUInt32BE(message.length, 1)
    stream.end(Buffer.concat([prefix, message]))
  })
}

function openSession({ target, proof }: CertificateCall): ClientHttp2Session {
  if ('path' in target) {
    const { path } = target
    return connect('http://localhost', { createConnection: () => connectSocket(path) })
  }
  if (proof.kind !== 'svid') return connect(`http://${renderAddress(target)}`)
  const { svid, rootsPem } = proof
  const options: SecureClientSessionOptions = {
    cert: svid.chainPem,
    key: svid.keyPem,
    ca: rootsPem,
    // It is known by its root; the mesh's certificates name workloads, not hosts.
    checkServerIdentity: () => undefined,
  }
  return connect(`https://${renderAddress(target)}`, options)
}

function decode(text: unknown): string {
  if (typeof text !== 'string' || text === '') return 'no reason was given'
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
