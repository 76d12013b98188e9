/** HTTP/2 servers for gRPC: plaintext for this machine, TLS for others. */
import { constants } from 'node:crypto'
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
} from 'node:http2'
import type { XdsTls } from './ads-server.ts'

const WINDOW_BYTES = 1_048_576
/** R67: of somebody who has not said who they are yet. */
const HANDSHAKE_MS = 10_000

const SETTINGS = {
  settings: { initialWindowSize: WINDOW_BYTES, maxConcurrentStreams: 100 },
  // Megabytes for one slow client are limited per stream, not by ending its session.
  maxSessionMemory: 256,
}

export function openPlaintext(): Http2Server {
  return createServer(SETTINGS)
}

/**
 * A client may show a certificate. It is not judged here but by whoever is asked for something:
 * somebody without one must be able to ask for the first.
 */
export function openSecure(tls: XdsTls): Http2SecureServer {
  return createSecureServer({
    ...SETTINGS,
    ...contextOf(tls),
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    handshakeTimeout: HANDSHAKE_MS,
  })
}

export function contextOf({ chainPem, keyPem }: XdsTls) {
  return {
    cert: chainPem,
    key: keyPem,
    minVersion: 'TLSv1.2' as const,
    // A resumed session would come without the client's chain; streams live for hours anyway.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  }
}
