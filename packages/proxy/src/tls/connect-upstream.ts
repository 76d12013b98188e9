/**
 * A connection to an endpoint, as its cluster wants it: plain, or with TLS on top, and with a
 * PROXY protocol header before anything else.
 */
import { isIP } from 'node:net'
import type { Cluster, Endpoint, ProxyTlvs, SocketAddress } from '@weft/model'
import { connectTls, type Socket, type SocketHandler, type Transport } from '@weft/net'
import { type ProxyTlv, renderProxyHeader } from '@weft/wire'
import type { EngineDeps } from '../exchange/contract.ts'
import { chosenTlvs, relayedOf } from '../listen/relayed.ts'
import { failedSocket } from './failed-socket.ts'
import { type HandshakeStats, handshakeStats } from './handshake-stats.ts'
import { coversHost } from './names-rule.ts'

/** For whom a connection is, where its cluster makes that a difference. */
export interface ConnectionPurpose {
  /** Absent: it is the proxy's own, e.g. a health check. */
  readonly client?: ClientEnds
  /** The request's host. */
  readonly authority?: string
}

/** Both ends of the client's connection. */
export interface ClientEnds {
  readonly remoteAddress: SocketAddress
  readonly localAddress: SocketAddress
}

type Connect = Pick<Transport, 'connect'>

/**
 * As `transport.connect`: `onOpen` means that requests can go. Never plaintext to a
 * cluster with TLS, also while its secrets have not come.
 */
export function connectUpstream(
  { tls, name, proxyProtocol, proxyTlvs, http }: Cluster,
  address: SocketAddress,
  handler: SocketHandler,
  deps: EngineDeps,
  purpose: ConnectionPurpose = {},
  speaks?: Spoken,
): Socket {
  const transport: Connect =
    proxyProtocol === undefined
      ? deps.transport
      : announcing(deps.transport, proxyHeader(proxyProtocol, purpose.client, proxyTlvs))
  if (tls === undefined) return transport.connect(address, handler)
  const context = deps.tls?.client(tls)
  if (context === undefined) {
    return failedSocket(address, handler, new Error(`a TLS secret of ${name} has not come`))
  }
  const serverName = serverNameOf(tls, purpose.authority)
  const host = serverName ?? hostOf(purpose.authority)
  const names = tls.autoSanValidation === true && host !== undefined ? coversHost(host) : undefined
  const alpn = offeredProtocols(http.protocol, tls.alpn, speaks)
  const stats = handshakeStats(deps.filterStats, { kind: 'cluster', name })
  const counting = new CountingHandler(handler, stats)
  const socket = connectTls(transport, address, counting, { context, serverName, names, alpn })
  counting.socket = socket
  return socket
}

/** Counts how the handshake ends, and is out of the way then. */
class CountingHandler implements SocketHandler {
  readonly #handler: SocketHandler
  readonly #stats: HandshakeStats
  socket: Socket | undefined

  constructor(handler: SocketHandler, stats: HandshakeStats) {
    this.#handler = handler
    this.#stats = stats
  }

  onOpen(): void {
    const { socket } = this
    this.#stats.done(socket?.tls, true)
    if (socket !== undefined) socket.handler = this.#handler
    this.#handler.onOpen()
  }

  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}

  onClose(error: Error | undefined): void {
    if (error !== undefined) this.#stats.failed(error)
    this.#handler.onClose(error)
  }
}

/** What the first bytes of a connection will be; absent: anything. */
type Spoken = 'http/1.1' | 'h2'

/** How the mesh's own TLS is told from an application's by its ClientHello (Istio's names). */
const MESH_ALPN = 'istio'
const MESH_HTTP = { 'http/1.1': 'istio-http/1.1', h2: 'istio-h2' } as const satisfies Record<
  Spoken,
  string
>

/**
 * Both, where the handshake decides; as Envoy, HTTP/2 says what it is even if nobody asked it to.
 * Peers of the mesh are told before what comes, so that they need not wait for it to know.
 */
function offeredProtocols(
  protocol: Cluster['http']['protocol'],
  configured: readonly string[],
  speaks: Spoken | undefined,
): readonly string[] {
  if (configured.includes(MESH_ALPN)) {
    if (speaks === undefined || configured.length > 1) return configured
    return [MESH_HTTP[speaks], MESH_ALPN, speaks]
  }
  if (protocol === 'alpn') return ['h2', 'http/1.1']
  return protocol === 'http2' && configured.length === 0 ? ['h2'] : configured
}

const plaintext = new WeakMap<Cluster, Cluster>()

/** The cluster as this endpoint is to be called: without TLS where only peers of the mesh have it. */
export function towards(cluster: Cluster, { tlsMode }: Endpoint): Cluster {
  if (cluster.autoTls !== true || tlsMode === 'istio') return cluster
  const known = plaintext.get(cluster)
  if (known !== undefined) return known
  const { tls: _tls, ...plain } = cluster
  plaintext.set(cluster, plain)
  return plain
}

/** What a connection for this request is not shared beyond; empty: it is anybody's. */
export function purposeKey(cluster: Cluster, purpose: ConnectionPurpose): string {
  const { tls, proxyProtocol, proxyTlvs } = cluster
  const { client, authority } = purpose
  const host = tls?.autoSni === true || tls?.autoSanValidation === true ? hostOf(authority) : ''
  if (proxyProtocol === undefined || client === undefined) return host ?? ''
  const { remoteAddress, localAddress } = client
  const ends = [remoteAddress, localAddress].map(({ host: ip, port }) => `${ip} ${port}`)
  const passed = passedTlvs(client, proxyTlvs).map(
    ({ type, value }) => `${type}:${Buffer.from(value).toString('hex')}`,
  )
  return [host ?? '', ...ends, ...passed].join(' ')
}

function proxyHeader(
  version: 'v1' | 'v2',
  client: ClientEnds | undefined,
  tlvs: ProxyTlvs = {},
): Uint8Array {
  // Who speaks for itself has nothing to tell of a client.
  if (client === undefined) return renderProxyHeader(version, undefined)
  const { remoteAddress: source, localAddress: destination } = client
  const all = version === 'v1' ? [] : [...(tlvs.adds ?? []), ...passedTlvs(client, tlvs)]
  return renderProxyHeader(version, { source, destination }, thoseThatFit(all))
}

/** Those of the client's own header that are neither kept back nor replaced. */
function passedTlvs(
  { remoteAddress }: ClientEnds,
  { passes, adds = [] }: ProxyTlvs = {},
): readonly ProxyTlv[] {
  if (passes === undefined) return []
  const known = relayedOf(remoteAddress)?.tlvs ?? []
  return chosenTlvs(known, passes).filter(({ type }) => adds.every((one) => one.type !== type))
}

/** Of the 65 535 bytes that a header's length can say, with room for any addresses. */
const MAX_TLVS_BYTES = 65_535 - 216
const TLV_HEAD_BYTES = 3

/** What is added may be more than a header takes: then the last ones are not told. */
function thoseThatFit(tlvs: readonly ProxyTlv[]): readonly ProxyTlv[] {
  let bytes = 0
  return tlvs.filter(({ value }) => {
    bytes += TLV_HEAD_BYTES + value.length
    return bytes <= MAX_TLVS_BYTES
  })
}

/** Sends `header` first; whoever connects does not notice. */
function announcing(transport: Connect, header: Uint8Array): Connect {
  return {
    connect(address, handler) {
      const socket: Socket = transport.connect(address, {
        onOpen() {
          socket.handler = handler
          socket.write(header)
          handler.onOpen()
        },
        onData() {},
        onEnd() {},
        onDrain() {},
        onClose: (error) => handler.onClose(error),
      })
      return socket
    },
  }
}

function serverNameOf(tls: NonNullable<Cluster['tls']>, authority?: string): string | undefined {
  const wanted = tls.autoSni === true ? (hostOf(authority) ?? tls.sni) : tls.sni
  return wanted === undefined || isIP(wanted) !== 0 ? undefined : wanted
}

/** Without port and brackets. */
function hostOf(authority: string | undefined): string | undefined {
  if (authority === undefined || authority === '') return undefined
  const host = authority.replace(/:\d+$/, '')
  return host.startsWith('[') ? host.slice(1, -1) : host
}
