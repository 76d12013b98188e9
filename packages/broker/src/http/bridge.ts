/**
 * Where what the mesh asks of workloads that dialled in becomes RSocket: an HTTP server for each
 * kind of them. What comes in was routed by its caller's proxy already, and the kind's sidecar has
 * said by certificate who that is; here one of its instances is chosen, and the exchange goes on
 * over RSocket. Without a sidecar the mesh asks the bridge itself, and nobody is known.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { ListenOptions } from 'node:net'
import type { SocketAddress } from '@weft/model'
import { PEER_HEADER } from '@weft/telemetry'
import type { Broker } from '../broker.ts'
import { attachLocalPeer, type LocalPeer, OWN_FACTS } from '../local-peer.ts'
import { CALLER_HEADER } from '../mesh/sidecar-configuration.ts'
import type { WorkloadKind } from '../mesh/workload-feeds.ts'
import { isApiRequest, serveApi } from './api-gateway.ts'
import { callerByCertificate } from './forwarded-principal.ts'
import { serveHttp } from './serve-http.ts'
import { isWebSocket, serveUpgrade } from './upgrade.ts'

/** Principals of one kind's callers that are kept; the oldest gives way. */
const MAX_CALLERS = 256

export interface BridgedCall {
  readonly kind: WorkloadKind
  /** The kind's sidecar has asked its policy already. */
  readonly isJudged: boolean
}

export class HttpBridge {
  readonly #host: string
  readonly #servers = new Map<WorkloadKind, Server>()
  /** By who asks; `''`: it is not known, or has been judged. */
  readonly #peers = new Map<WorkloadKind, Map<string, LocalPeer>>()
  readonly #targets = new WeakMap<LocalPeer['leg'], BridgedCall>()
  #broker: Broker | undefined

  /** @param host The address at which the mesh reaches this broker where there are no sidecars. */
  constructor(host: string) {
    this.#host = host
  }

  serve(broker: Broker): void {
    this.#broker = broker
  }

  /** Opens a port for a kind of workload that has no sidecar. */
  async open(kind: WorkloadKind): Promise<SocketAddress> {
    const server = this.#server(kind, false)
    await listening(server, { port: 0, host: this.#host })
    const bound = server.address()
    return { host: this.#host, port: typeof bound === 'object' ? (bound?.port ?? 0) : 0 }
  }

  /** Opens a Unix socket, which only the kind's sidecar may reach: it is believed who calls. */
  openSocket(kind: WorkloadKind, path: string): Promise<void> {
    return listening(this.#server(kind, true), { path })
  }

  #server(kind: WorkloadKind, isSidecar: boolean): Server {
    const server = createServer(
      { keepAliveTimeout: 75_000, shouldUpgradeCallback: isWebSocket },
      (request, response) => this.#onRequest(kind, isSidecar, request, response),
    )
    server.on('upgrade', (request, socket, early) => {
      const peer = this.#peerFor(kind, isSidecar, request)
      serveUpgrade(request, socket, early, { pick: () => peer })
    })
    this.#servers.set(kind, server)
    return server
  }

  /** What a request of the bridge is for; undefined: it comes from somebody else. */
  callOf(leg: LocalPeer['leg']): BridgedCall | undefined {
    return this.#targets.get(leg)
  }

  #onRequest(
    kind: WorkloadKind,
    isSidecar: boolean,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const peer = this.#peerFor(kind, isSidecar, request)
    if (!kind.isHttp && isApiRequest(request)) serveApi(request, response, peer)
    else serve(request, response, peer)
  }

  #peerFor(
    kind: WorkloadKind,
    isSidecar: boolean,
    request: IncomingMessage,
  ): LocalPeer['peer'] | undefined {
    if (isSidecar) restorePeer(request.rawHeaders)
    if (kind.isHttp) return this.#peerOf(kind, undefined, isSidecar)
    const principal = isSidecar ? callerByCertificate(request.headers) : undefined
    return this.#peerOf(kind, principal, false)
  }

  #peerOf(
    kind: WorkloadKind,
    principal: string | undefined,
    isJudged: boolean,
  ): LocalPeer['peer'] | undefined {
    if (this.#broker === undefined) return undefined
    const peers = this.#peers.get(kind) ?? new Map<string, LocalPeer>()
    this.#peers.set(kind, peers)
    let local = peers.get(principal ?? '')
    if (local === undefined || local.leg.closed) {
      const identity = { principal, claims: undefined }
      local = attachLocalPeer(this.#broker, { ...OWN_FACTS, identity })
      makeRoom(peers)
      peers.set(principal ?? '', local)
      this.#targets.set(local.leg, { kind, isJudged })
    }
    return local.peer
  }

  closeKind(kind: WorkloadKind): void {
    this.#servers.get(kind)?.close()
    this.#servers.get(kind)?.closeAllConnections()
    this.#servers.delete(kind)
    for (const { leg } of this.#peers.get(kind)?.values() ?? []) leg.close()
    this.#peers.delete(kind)
  }

  close(): void {
    for (const kind of [...this.#servers.keys()]) this.closeKind(kind)
  }
}

function listening(server: Server, at: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function serve(
  request: IncomingMessage,
  response: ServerResponse,
  peer: LocalPeer['peer'] | undefined,
): void {
  serveHttp(request, response, {
    pick: (tried) => (tried.length === 0 ? peer : undefined),
    admitRetry: () => false,
  })
}

/** Which workload the caller's proxy says it is stands where the broker looks for it. */
function restorePeer(rawHeaders: string[]): void {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === CALLER_HEADER) rawHeaders[i] = PEER_HEADER
  }
}

/** Somebody that asks nothing now goes; what is under way is not cut. */
function makeRoom(peers: Map<string, LocalPeer>): void {
  if (peers.size < MAX_CALLERS) return
  for (const [principal, { leg }] of peers) {
    if (leg.streams.size > 0) continue
    leg.close()
    peers.delete(principal)
    return
  }
}
