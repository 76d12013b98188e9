/** What the transport knows of the client of a call. */
import type { Http2Session, ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import type { XdsPeer } from './ads-server.ts'

const LOOPBACK = /^(::1$|(::ffff:)?127\.)/
/** A longer chain is an attack or a mistake. */
const MAX_CHAIN = 9

type SessionPeer = Omit<XdsPeer, 'authorization'>

/** The session ended already; whatever is answered reaches nobody. */
const GONE: SessionPeer = { address: 'gone', isLocal: false, isTls: true, chain: [] }

/** One handshake, one answer: reading the chain costs more than a small call. */
const known = new WeakMap<Http2Session, SessionPeer>()

export function peerOf({ session }: ServerHttp2Stream, authorization: string | undefined): XdsPeer {
  if (session === undefined || session.destroyed) return { ...GONE, authorization }
  let peer = known.get(session)
  if (peer === undefined) {
    peer = sessionPeer(session)
    known.set(session, peer)
  }
  return { ...peer, authorization }
}

function sessionPeer(session: Http2Session): SessionPeer {
  // A proxy of the socket, to which `in` says nothing.
  const socket: Socket | TLSSocket = session.socket
  const { remoteAddress, remotePort } = socket
  const isTls = session.encrypted === true
  return {
    address: remoteAddress === undefined ? 'unix' : `${remoteAddress}:${remotePort}`,
    isLocal: remoteAddress === undefined || LOOPBACK.test(remoteAddress),
    isTls,
    chain: isTls ? peerChain(socket as TLSSocket) : [],
  }
}

/** What a client showed, DER, the leaf first; nobody has verified it. Empty: nothing. */
export function peerChain(socket: TLSSocket): readonly Buffer[] {
  const chain: Buffer[] = []
  // Without a certificate it is an empty object, whatever its type says.
  let at: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true)
  while (at?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(at.raw)
    // A root is its own issuer.
    at = at.issuerCertificate === at ? undefined : at.issuerCertificate
  }
  return chain
}
