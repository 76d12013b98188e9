/** One call of Istio's CSR service (`IstioCertificateService/CreateCertificate`) over `node:http2`. */
import { createHash, X509Certificate } from 'node:crypto'
import { type ClientHttp2Session, connect } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import { connect as connectTls, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import type { Clock } from '@weft/base'
import { renderAddress, type SocketAddress } from '@weft/model'
import { CONTROL_PLANE_NAME } from '../client/control-plane-name.ts'
import { decodeCertificateResponse, encodeCertificateRequest } from './certificate-messages.ts'

const METHOD = '/istio.v1.auth.IstioCertificateService/CreateCertificate'
const ANSWER_MS = 10_000
const MAX_ANSWER_BYTES = 1_048_576
const PREFIX_BYTES = 5
const UNAVAILABLE = 14
/** Longer is an attack or a mistake. */
const MAX_CHAIN = 9

export interface CertificateCall {
  readonly target: SocketAddress | { readonly path: string }
  readonly csrPem: string
  /** 0: as long as the authority likes. */
  readonly validitySeconds: number
  readonly metadata: Readonly<Record<string, string>>
  /** How the authority is known; absent: it is asked in plaintext, which is for this machine. */
  readonly server?: ServerTrust
  /** The DNS name that its certificate must have; absent: a control plane's. */
  readonly serverName?: string
  /** What proves who asks: a token, or the certificate that is to be replaced, over TLS always. */
  readonly proof:
    | { readonly kind: 'token'; readonly token: string }
    | { readonly kind: 'svid'; readonly svid: ShownCertificate; readonly rootsPem: string }
    /** The socket itself says who asks (peer credentials). */
    | { readonly kind: 'none' }
}

interface ShownCertificate {
  /** The leaf first. */
  readonly chainPem: string
  readonly keyPem: string
}

/** By roots, or before anything is known by the SHA-256 of one's DER, hex. */
type ServerTrust =
  | { readonly kind: 'roots'; readonly rootsPem: string }
  | { readonly kind: 'pins'; readonly pins: readonly string[] }

export type CertificateReply =
  | { readonly ok: true; readonly chainPem: readonly string[] }
  /** `code` is gRPC's. */
  | { readonly ok: false; readonly code: number; readonly problem: string }

/** Never rejects: what goes wrong on the way is gRPC's UNAVAILABLE. */
export async function askCertificate(
  call: CertificateCall,
  clock: Clock,
): Promise<CertificateReply> {
  const { csrPem, validitySeconds, metadata } = call
  const message = encodeCertificateRequest({ csrPem, validitySeconds, metadata })
  const trusted = await rootsOf(call, clock)
  if (trusted.problem !== undefined) {
    return { ok: false, code: UNAVAILABLE, problem: trusted.problem }
  }
  return new Promise((resolve) => {
    const session = openSession(call, trusted.rootsPem)
    let answer = Buffer.alloc(0)
    const end = (result: CertificateReply) => {
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
        end({ ok: true, chainPem: decodeCertificateResponse(body) })
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

type TrustedRoots =
  | { readonly rootsPem: string | undefined; readonly problem?: undefined }
  | { readonly problem: string }

/** What the authority's certificate must lead to; none: it is asked in plaintext. */
async function rootsOf(
  { target, proof, server }: CertificateCall,
  clock: Clock,
): Promise<TrustedRoots> {
  if ('path' in target) return { rootsPem: undefined }
  if (proof.kind === 'svid') return { rootsPem: proof.rootsPem }
  if (server?.kind !== 'pins') return { rootsPem: server?.rootsPem }
  return rootByPin(target, server.pins, clock)
}

/**
 * The root with one of the hashes, as the authority itself shows it. Nothing is sent to whoever
 * that is: the connection that is used afterwards must lead to this root, like any other.
 */
function rootByPin(
  { host, port }: SocketAddress,
  pins: readonly string[],
  clock: Clock,
): Promise<TrustedRoots> {
  return new Promise((resolve) => {
    const socket = connectTls({
      host,
      port,
      servername: CONTROL_PLANE_NAME,
      ALPNProtocols: ['h2'],
      rejectUnauthorized: false,
    })
    const end = (outcome: TrustedRoots) => {
      cancel()
      socket.destroy()
      resolve(outcome)
    }
    const cancel = clock.after(ANSWER_MS, () => end({ problem: `no answer in ${ANSWER_MS} ms` }))
    socket.on('error', (error) => end({ problem: error.message }))
    socket.on('close', () => end({ problem: 'the connection was closed' }))
    socket.once('secureConnect', () => {
      const root = shownBy(socket).find(
        (der) => isCa(der) && pins.includes(createHash('sha256').update(der).digest('hex')),
      )
      end(
        root === undefined
          ? { problem: 'the authority is not the one that the join token names' }
          : { rootsPem: new X509Certificate(root).toString() },
      )
    })
  })
}

function isCa(der: Buffer): boolean {
  return new X509Certificate(der).ca
}

function shownBy(socket: TLSSocket): readonly Buffer[] {
  const shown: Buffer[] = []
  let at: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true)
  while (at?.raw !== undefined && shown.length < MAX_CHAIN) {
    shown.push(at.raw)
    at = at.issuerCertificate === at ? undefined : at.issuerCertificate
  }
  return shown
}

function openSession(
  { target, proof, serverName = CONTROL_PLANE_NAME }: CertificateCall,
  rootsPem: string | undefined,
): ClientHttp2Session {
  if ('path' in target) {
    const { path } = target
    return connect('http://localhost', { createConnection: () => connectSocket(path) })
  }
  if (rootsPem === undefined) return connect(`http://${renderAddress(target)}`)
  return connect(`https://${renderAddress(target)}`, {
    ca: rootsPem,
    servername: serverName,
    ...(proof.kind === 'svid' ? { cert: proof.svid.chainPem, key: proof.svid.keyPem } : {}),
  })
}

function decode(text: unknown): string {
  if (typeof text !== 'string' || text === '') return 'no reason was given'
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
