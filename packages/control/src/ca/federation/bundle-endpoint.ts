/**
 * The mesh's bundle for other trust domains (SPIFFE_Federation.md, § 4): `GET /` over TLS. The server
 * shows the control plane's own SVID (`https_spiffe`), or a certificate for its name (`https_web`).
 */
import type { Server, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { SocketAddress } from '@weft/model'
import type { XdsTls } from '@weft/xds'

export interface BundleEndpoint {
  readonly address: SocketAddress
  /** For the handshakes to come. */
  setTls(tls: XdsTls): void
  close(): Promise<void>
}

/** R67: of somebody whom nobody knows. */
const HANDSHAKE_MS = 10_000
const REQUEST_MS = 10_000
const MAX_CONNECTIONS = 1_000
const PATHS = ['/', '/bundle', '/.well-known/spiffe-bundle']

/** @param document The bundle; `undefined`: there is none yet. */
export async function openBundleEndpoint(
  address: SocketAddress,
  tls: XdsTls,
  document: () => { readonly text: string; readonly refreshHintMs: number } | undefined,
): Promise<BundleEndpoint> {
  const server = createServer(
    {
      ...pairOf(tls),
      minVersion: 'TLSv1.2',
      handshakeTimeout: HANDSHAKE_MS,
      requestTimeout: REQUEST_MS,
      headersTimeout: REQUEST_MS,
    },
    (request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'https://bundle')
      request.resume()
      if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405)
      const found = PATHS.includes(pathname) ? document() : undefined
      if (found === undefined) return refuse(response, PATHS.includes(pathname) ? 503 : 404)
      response.writeHead(200, {
        'content-type': 'application/json',
        'cache-control': `max-age=${Math.floor(found.refreshHintMs / 1_000)}`,
      })
      response.end(request.method === 'HEAD' ? undefined : found.text)
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  // Scanners: ordinary.
  server.on('tlsClientError', () => undefined)
  await listen(server, address)
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port
  return {
    address: { host: address.host, port },
    setTls: (next) => server.setSecureContext(pairOf(next)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status)
  response.end()
}

function pairOf({ chainPem, keyPem }: XdsTls) {
  return { cert: chainPem, key: keyPem }
}

function listen(server: Pick<Server, 'once' | 'off' | 'listen'>, { host, port }: SocketAddress) {
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
