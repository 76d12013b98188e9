/**
 * What translation may know of a proxy: the facts that decide its resources and
 * nothing else, so that proxies with equal views share them.
 */
import {
  type Locality,
  NO_LOCALITY,
  type OfferedPort,
  type ProxyRole,
  type SocketAddress,
} from '@weft/model'

export interface ProxyView {
  readonly role: ProxyRole
  readonly namespace: string
  readonly workload: string
  readonly labels: Readonly<Record<string, string>>
  /** It has a certificate of the mesh, or is about to. */
  readonly hasIdentity: boolean
  /** Cluster in Istio's sense. */
  readonly cluster: string
  /** Where it runs: decides which endpoints are near. */
  readonly locality: Locality
  /** The proxy's own IP addresses: which services run behind it. */
  readonly addresses: readonly string[]
  readonly capture: Capture
  /** What the workload registered by itself; inbound listeners are made for these. */
  readonly offers: readonly OfferedPort[]
  /** Gateways: service port → port to bind, where they differ. */
  readonly portMap: ReadonlyMap<number, number>
  /** Gateways: address to bind; `0.0.0.0` by default. */
  readonly bind: string
}

/** How traffic of the application reaches the proxy. */
export type Capture =
  /** As an explicit HTTP proxy (`HTTP_PROXY`) at this address; absent: outbound is off. */
  | { readonly kind: 'explicit'; readonly outbound?: SocketAddress }
  /** Redirected by the kernel to 15001 and 15006, as Istio does; also what stock Envoys get. */
  | { readonly kind: 'redirect' }
  /** It is its own proxy: a gRPC program that speaks xDS. */
  | { readonly kind: 'proxyless' }

/** A sidecar as Istio would have it; `weft simulate` starts from this. */
export const DEFAULT_PROXY: ProxyView = {
  role: 'sidecar',
  namespace: 'default',
  workload: '',
  labels: {},
  hasIdentity: false,
  cluster: 'Kubernetes',
  locality: NO_LOCALITY,
  addresses: [],
  capture: { kind: 'redirect' },
  offers: [],
  portMap: new Map(),
  bind: '0.0.0.0',
}
