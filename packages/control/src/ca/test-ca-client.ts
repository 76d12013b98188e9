/** Asks for certificates as any agent does, for tests: `node:http2` and nothing of a proxy. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { type ClientHttp2Session, connect } from 'node:http2'
import { createCertificateRequest, readPem, writePem } from '@weft/identity'
import type { SocketAddress } from '@weft/model'
import { loadCertificateMessages } from '@weft/xds'

const PATH = '/istio.v1.auth.IstioCertificateService/CreateCertificate'

export interface Answered {
  /** gRPC's. */
  readonly status: number
  readonly text: string
  /** PEM; empty when it was refused. */
  readonly chain: readonly string[]
}

export interface Proof {
  readonly token?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly csrPem?: string
  readonly validitySeconds?: number
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

export function csrOf(key: KeyObject): string {
  return writePem('CERTIFICATE REQUEST', createCertificateRequest(key))
}

export function openSession(
  { host, port }: SocketAddress,
  tls?: { readonly cert?: string; readonly key?: string },
): ClientHttp2Session {
  const session = connect(
    `${tls === undefined ? 'http' : 'https'}://${host}:${port}`,
    // What the server shows is not what these tests are about, but for those that look at it.
    tls === undefined ? {} : { ...tls, rejectUnauthorized: false },
  )
  session.on('error', () => {})
  return session
}

const messages = await loadCertificateMessages()

/** @throws {Error} When the connection is lost before the answer. */
export function askFor(session: ClientHttp2Session, proof: Proof): Promise<Answered> {
  const { token, metadata = {}, csrPem = csrOf(newKey()), validitySeconds = 0 } = proof
  const message = messages.encodeCertificateRequest({ csrPem, validitySeconds, metadata })
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  const { promise, resolve, reject } = Promise.withResolvers<Answered>()
  const stream = session.request({
    ':method': 'POST',
    ':path': PATH,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  })
  let status: string | undefined
  let text = ''
  const chunks: Buffer[] = []
  const take = (fields: Record<string, unknown>) => {
    status = fields['grpc-status'] === undefined ? status : String(fields['grpc-status'])
    text = decodeURI(String(fields['grpc-message'] ?? text))
  }
  stream.on('response', take)
  stream.on('trailers', take)
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('error', reject)
  stream.on('close', () => {
    if (status === undefined) {
      reject(new Error('the connection was lost'))
      return
    }
    const body = Buffer.concat(chunks).subarray(5)
    resolve({
      status: Number(status),
      text,
      chain: status === '0' ? messages.decodeCertificateResponse(body) : [],
    })
  })
  stream.end(Buffer.concat([head, message]))
  return promise
}

export function derOf(chain: readonly string[]): readonly Buffer[] {
  return chain.flatMap((pem) => readPem(pem, 'CERTIFICATE'))
}
