/**
 * The way from who dialled in to who did not: the broker hands such a call, as it came, to the
 * sidecar of the caller's kind, which does what sidecars do: routes, balancing, retries, mutual
 * TLS with the certificate of that very workload.
 */
import { Agent } from 'node:http'
import { renderAddress, type ServiceRef } from '@weft/model'
import type { CompiledAction } from '@weft/traffic'
import type { Broker } from '../broker.ts'
import { callAsHttp } from '../http/call-as-http.ts'
import { callHttp } from '../http/call-http.ts'
import type { Leg } from '../leg.ts'
import { attachLocalPeer, type LocalPeer, OWN_FACTS } from '../local-peer.ts'
import type { WorkloadFeeds, WorkloadKind } from './workload-feeds.ts'
import type { WorkloadPolicy } from './workload-policy.ts'

export class Outside {
  readonly #sockets = new Map<WorkloadKind, string>()
  readonly #peers = new Map<WorkloadKind, LocalPeer>()
  /** For calls in RSocket's own form. */
  readonly #nativePeers = new Map<WorkloadKind, LocalPeer>()
  readonly #agent = new Agent({ keepAlive: true })
  #broker: Broker | undefined

  serve(broker: Broker): void {
    this.#broker = broker
  }

  /** @param socket Where the kind's sidecar takes what the workload asks. */
  open(kind: WorkloadKind, socket: string): void {
    this.#sockets.set(kind, socket)
  }

  /** What calls of the kind go to; undefined: it has no way out. */
  legFor(kind: WorkloadKind): Leg | undefined {
    return this.#legOf(kind, this.#peers, callHttp)
  }

  /** The same for calls in RSocket's own form, which carry a head of HTTP there. */
  nativeLegFor(kind: WorkloadKind): Leg | undefined {
    return this.#legOf(kind, this.#nativePeers, callAsHttp)
  }

  #legOf(
    kind: WorkloadKind,
    peers: Map<WorkloadKind, LocalPeer>,
    ask: typeof callAsHttp,
  ): Leg | undefined {
    const path = this.#sockets.get(kind)
    if (this.#broker === undefined || path === undefined) return undefined
    let local = peers.get(kind)
    if (local === undefined || local.leg.closed) {
      const agent = this.#agent
      local = attachLocalPeer(this.#broker, OWN_FACTS, (stream, payload) =>
        ask(stream, payload, { application: { path }, agent }),
      )
      peers.set(kind, local)
    }
    return local.leg
  }

  closeKind(kind: WorkloadKind): void {
    this.#sockets.delete(kind)
    for (const peers of [this.#peers, this.#nativePeers]) {
      peers.get(kind)?.leg.close()
      peers.delete(kind)
    }
  }

  close(): void {
    for (const kind of [...this.#sockets.keys()]) this.closeKind(kind)
    this.#agent.destroy()
  }
}

/**
 * Whether a route may lead to somebody who has not dialled in here. Then the whole call is the
 * sidecar's: the broker does nothing of the route itself, or faults and shares would hold twice.
 */
export function leavesBroker(
  action: CompiledAction,
  policy: WorkloadPolicy,
  feeds: Pick<WorkloadFeeds, 'kindAt' | 'version'>,
): boolean {
  if (action.kind !== 'forward') return false
  const found = knownFor(policy, feeds.version)
  const isElsewhere = (cluster: string) => {
    let known = found.get(cluster)
    if (known === undefined) {
      known = isSomewhereElse(policy, cluster, feeds)
      found.set(cluster, known)
    }
    return known
  }
  return (
    action.targets.some(({ cluster }) => isElsewhere(cluster)) ||
    action.source.mirrors.some(({ cluster }) => isElsewhere(cluster))
  )
}

/** The service that a route leads to, by its first target; undefined: to none that is declared. */
export function serviceOf(action: CompiledAction, policy: WorkloadPolicy): ServiceRef | undefined {
  if (action.kind !== 'forward') return undefined
  return policy.clusterOf(action.targets[0].cluster)?.model.service
}

function isSomewhereElse(
  policy: WorkloadPolicy,
  cluster: string,
  feeds: Pick<WorkloadFeeds, 'kindAt'>,
): boolean {
  const { model, endpoints } = policy.clusterOf(cluster) ?? {}
  switch (model?.discovery.kind) {
    case 'strictDns':
    case 'logicalDns':
      return true
    case 'forwardProxy':
    case 'originalDst':
      // Where no service is declared that way, it would be to anywhere.
      return model.service !== undefined
    default:
      return (endpoints?.localities ?? []).some((locality) =>
        locality.endpoints.some(
          ({ address }) => feeds.kindAt(renderAddress(address)) === undefined,
        ),
      )
  }
}

/** By cluster; a service may have ten thousand endpoints. */
const answers = new WeakMap<WorkloadPolicy, { version: number; known: Map<string, boolean> }>()

function knownFor(policy: WorkloadPolicy, version: number): Map<string, boolean> {
  const before = answers.get(policy)
  if (before?.version === version) return before.known
  const known = new Map<string, boolean>()
  answers.set(policy, { version, known })
  return known
}
