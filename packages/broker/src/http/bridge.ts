/**
 * Where the mesh reaches workloads that dialled in: an HTTP server for each kind of them. What
 * comes in was routed by its caller's proxy already; here the kind's own policy is asked, one of
 * its instances is chosen, and the exchange goes on over RSocket.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { SocketAddress } from '@weft/model'
import type { Broker } from '../broker.ts'
import { attachLocalPeer, type LocalPeer } from '../local-peer.ts'
import type { WorkloadKind } from '../mesh/workload-feeds.ts'
import type { PeerFacts } from '../peer-facts.ts'
import { isApiRequest, serveApi } from './api-gateway.ts'
import { serveHttp } from './serve-http.ts'

/** Nobody in particular: who calls was decided before, or is decided by the request. */
const FACTS: PeerFacts = {
  setup: { keepaliveMs: 0x7fff_ffff, maxLifetimeMs: 0x7fff_ffff, lease: false, dataMime: '' },
  metadataForm: 'composite',
  isAlibaba: false,
  identity: { principal: undefined, claims: undefined },
  instance: undefined,
  features: new Set(['http']),
}

export class HttpBridge {
  readonly #host: string
  readonly #servers = new Map<WorkloadKind, Server>()
  readonly #peers = new Map<WorkloadKind, LocalPeer>()
  #broker: Broker | undefined

  /** @param host The address at which the mesh reaches this broker. */
  constructor(host: string) {
    this.#host = host
  }

  serve(broker: Broker): void {
    this.#broker = broker
  }

  /** Opens a port for a kind of workload. */
  open(kind: WorkloadKind): Promise<SocketAddress> {
    const server = createServer({ keepAliveTimeout: 75_000 }, (request, response) =>
      this.#onRequest(kind, request, response),
    )
    this.#servers.set(kind, server)
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, this.#host, () => {
        const bound = server.address()
        if (bound === null || typeof bound === 'string') return
        resolve({ host: this.#host, port: bound.port })
      })
    })
  }

  /** The kind that a request of the bridge is for; undefined: it comes from somebody else. */
  kindFor(leg: LocalPeer['leg']): WorkloadKind | undefined {
    for (const [kind, local] of this.#peers) if (local.leg === leg) return kind
    return undefined
  }

  #onRequest(kind: WorkloadKind, request: IncomingMessage, response: ServerResponse): void {
    const peer = this.#peerOf(kind)
    if (isApiRequest(request) && !takesHttp(kind)) {
      serveApi(request, response, peer)
      return
    }
    serveHttp(request, response, {
      pick: (tried) => (tried.length === 0 ? peer : undefined),
      admitRetry: () => false,
    })
  }

  #peerOf(kind: WorkloadKind): LocalPeer['peer'] | undefined {
    if (this.#broker === undefined) return undefined
    let local = this.#peers.get(kind)
    if (local === undefined || local.leg.closed) {
      local = attachLocalPeer(this.#broker, FACTS)
      this.#peers.set(kind, local)
    }
    return local.peer
  }

  closeKind(kind: WorkloadKind): void {
    this.#servers.get(kind)?.close()
    this.#servers.get(kind)?.closeAllConnections()
    this.#servers.delete(kind)
    this.#peers.get(kind)?.leg.close()
    this.#peers.delete(kind)
  }

  close(): void {
    for (const kind of [...this.#servers.keys()]) this.closeKind(kind)
  }
}

/** Whether whoever answers reads HTTP messages; others are asked in RSocket's own way. */
function takesHttp({ legs }: WorkloadKind): boolean {
  for (const { facts } of legs) if (facts.features.has('http')) return true
  return false
}
