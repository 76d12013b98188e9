/**
 * Where services and their endpoints come from (★ a family: one file per
 * registry, all in `catalog.ts`, all held to `conformance.ts`).
 *
 * A registry knows nothing of routes or proxies: it says which hosts exist,
 * which ports they have, and who answers for them.
 */
import type { PathOrder } from '@weft/config'
import type { EndpointHealth, EndpointPath, Locality, Origin, WorkloadRef } from '@weft/model'
import type { OwnBalancer } from './declared/own-balancer.ts'

export interface Registry extends AsyncDisposable {
  /** For logs and the admin port, e.g. `static`, `self-registration`. */
  readonly name: string

  /**
   * Yields the whole state, first as soon as it is known and then after each
   * change. Changes that come while the consumer is busy are merged: it gets the
   * newest state, never a backlog. What did not change is the same object again.
   *
   * Ends when `signal` aborts. An outage does not end it: the registry keeps its
   * last state, tries again on its own, and says so through `health()`.
   */
  watch(signal: AbortSignal): AsyncIterable<RegistryState>

  health(): RegistryHealth
}

export type RegistryHealth =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'stale'; readonly sinceMs: number; readonly reason: string }

/** Both maps are by fully qualified host. A host may have instances but no service: then another registry declares it. */
export interface RegistryState {
  readonly services: ReadonlyMap<string, MeshService>
  readonly instances: ReadonlyMap<string, readonly ServiceInstance[]>
  /** What other namespaces define for hosts of `services`, in order of precedence; absent: nothing. */
  readonly rivals?: ReadonlyMap<string, readonly DefinedService[]>
}

/** A definition of a host that not everybody goes by. */
export interface DefinedService {
  readonly service: MeshService
  readonly instances: readonly ServiceInstance[]
}

export const EMPTY_REGISTRY: RegistryState = { services: new Map(), instances: new Map() }

/** Something that can be called by name. */
export interface MeshService {
  /** Fully qualified, e.g. `reviews.default.svc.cluster.local`; may be `*.example.com`. */
  readonly host: string
  readonly name: string
  readonly namespace: string
  readonly source: 'kubernetes' | 'serviceEntry' | 'selfRegistered'
  /** Virtual addresses (IP literals or CIDRs) that callers may dial instead of the name. */
  readonly addresses: readonly string[]
  readonly ports: readonly ServicePort[]
  readonly resolution: ServiceResolution
  /** Host of the service that this one is only another name for (ExternalName). */
  readonly aliasOf?: string
  /** True for what runs outside the mesh (`MESH_EXTERNAL`, ExternalName). */
  readonly external: boolean
  /** `*`, `.`, `~` or namespaces; empty: the mesh's default. */
  readonly exportTo: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Names that certificates of its endpoints may have (ServiceEntry `subjectAltNames`). */
  readonly subjectAltNames?: readonly string[]
  /** A balancer asked for by annotation. */
  readonly balancer?: OwnBalancer
  /** By which ways it is called, by annotation; absent: directly, else by a broker. */
  readonly paths?: PathOrder
  readonly createdAt?: string
  readonly origins: readonly Origin[]
}

/** The service that a host means, whatever it is called there. */
export function findService(
  services: ReadonlyMap<string, MeshService>,
  host: string,
): MeshService | undefined {
  const named = services.get(host)
  return named?.aliasOf === undefined ? named : services.get(named.aliasOf)
}

/** How a cluster for the service finds its endpoints. */
export type ServiceResolution =
  /** Instances of the registry. */
  | 'registry'
  /** As `registry`, but callers see the instances' addresses instead of one virtual address. */
  | 'headless'
  /** The addresses that the instances' host names resolve to, all of them. */
  | 'dns'
  /** As `dns`, but one address at a time. */
  | 'dnsRoundRobin'
  /** The host that each request names, resolved when it is called. */
  | 'dynamicDns'
  /** Wherever the caller was going. */
  | 'none'

export interface ServicePort {
  readonly name: string
  readonly port: number
  readonly protocol: PortProtocol
  /** Where the workload listens, by number or by the name it gives the port; absent: on `port`. */
  readonly targetPort?: number | string
}

/** `auto`: nobody said, so the first bytes decide; treated as HTTP where a decision is needed before them. */
export type PortProtocol = 'http' | 'http2' | 'grpc' | 'https' | 'tls' | 'tcp' | 'udp' | 'auto'

/** One endpoint of one port of a service. */
export interface ServiceInstance {
  /** The service's port. */
  readonly servicePort: number
  /** IP literal, or a host name for `dns` services. */
  readonly address: string
  readonly port: number
  readonly health: EndpointHealth
  /** > 0. */
  readonly weight: number
  readonly labels: Readonly<Record<string, string>>
  readonly locality: Locality
  readonly workload?: WorkloadRef
  readonly serviceAccount?: string
  /** How it is reached; absent: directly. */
  readonly path?: EndpointPath
  /** Its proxy takes mutual TLS of the mesh. */
  readonly takesMutualTls?: true
  /** The port of the application behind the proxy, where it is another one. */
  readonly appPort?: number
}
