/** Frames over TCP, or over TLS on it: each with its length before it. */
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type PeerCertificate } from 'node:tls'
import type { SocketAddress } from '@weft/model'
import { RSocketFrameReader } from '@weft/wire'
import { type Carrier, type CarrierHandler, MAX_FRAME_BYTES, OutgoingFrames } from './carrier.ts'

export interface LinkTls {
  /** The name that the broker's certificate must have. */
  readonly serverName: string
  /** Absent: the roots that Node has. */
  readonly caPem?: string
  /** Shown to the broker, which then needs no token. */
  readonly certificate?: { readonly chainPem: string; readonly keyPem: string }
  /** The URI that the broker's certificate must have, in place of the name. */
  readonly spiffeId?: string
}

/** Fewer bytes are joined into one write; more are handed over piece by piece, uncopied. */
const JOIN_BYTES = 65_536

/** @param tls Asked now, as certificates are renewed; absent: plaintext. */
export function openStreamCarrier(
  address: SocketAddress,
  tls: (() => LinkTls) | undefined,
  handler: CarrierHandler,
): Carrier {
  const socket =
    tls === undefined ? connectTcp({ ...address, noDelay: true }) : secure(address, tls())
  const outgoing = new OutgoingFrames({
    schedule: setImmediate,
    send: (frames, bytes) => (socket.destroyed ? true : write(socket, frames, bytes)),
  })
  const reader = new RSocketFrameReader(
    {
      closed: false,
      onFrame: (bytes, from, to) => handler.onFrame(bytes, from, to),
      onFrameError: (why) => handler.onBroken(why),
    },
    MAX_FRAME_BYTES,
  )
  let why: string | undefined
  socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
    socket.setNoDelay(true)
    handler.onOpen()
  })
  socket.on('data', (bytes: Buffer) => reader.receive(bytes, bytes.length))
  socket.on('drain', () => outgoing.onRoom())
  socket.on('error', (error) => {
    why = error.message
  })
  socket.once('close', () => {
    // First the news, which asks what has left.
    handler.onClose(why)
    outgoing.close()
  })
  return {
    outgoing,
    end() {
      outgoing.flush()
      socket.end()
      socket.destroySoon()
    },
    destroy: () => void socket.destroy(),
  }
}

function write(socket: Socket, frames: readonly Uint8Array[], bytes: number): boolean {
  if (frames.length === 1) return socket.write(frames[0] as Uint8Array)
  if (bytes <= JOIN_BYTES) return socket.write(Buffer.concat(frames, bytes))
  let hasRoom = true
  socket.cork()
  for (const frame of frames) hasRoom = socket.write(frame)
  socket.uncork()
  return hasRoom
}

function secure(
  address: SocketAddress,
  { serverName, caPem, certificate, spiffeId }: LinkTls,
): Socket {
  const options: ConnectionOptions = {
    ...{ host: address.host, port: address.port },
    // SNI has no addresses (RFC 6066, section 3); the certificate is held to `host` then.
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    ...(caPem === undefined ? {} : { ca: caPem }),
    ...(certificate === undefined ? {} : { cert: certificate.chainPem, key: certificate.keyPem }),
    ...(spiffeId === undefined
      ? {}
      : { checkServerIdentity: (_name, shown) => identityProblem(shown, spiffeId) }),
  }
  return connectTls(options)
}

/** The chain is verified by then; what is left is whose certificate it is. */
function identityProblem(shown: PeerCertificate, spiffeId: string): Error | undefined {
  const names = (shown.subjectaltname ?? '').split(', ')
  if (names.includes(`URI:${spiffeId}`)) return undefined
  return new Error(`the certificate is not of ${spiffeId}: it has ${names.join(', ') || 'no name'}`)
}
