/** Who is on the other end of an xDS stream: Envoy's `core.v3.Node` as plain values. */
import type { Locality } from '@weft/model'

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue }

export interface XdsNode {
  /** E.g. `sidecar~10.1.2.3~reviews-v1.default~default.svc.cluster.local`. */
  readonly id: string
  /** `<workload>.<namespace>`. */
  readonly cluster: string
  readonly locality: Locality
  readonly metadata: { readonly [key: string]: JsonValue }
  /** E.g. `envoy`, `gRPC Node Pure JS`, `weft`. */
  readonly userAgentName: string
  /** Envoy's `client_features`. */
  readonly features: readonly string[]
}

/**
 * What kind of client a node is; it decides which workarounds a stream needs.
 *
 *     weft    our own proxy: swaps whole trees, takes anything in any order
 *     envoy   warms clusters and listeners, does not warm routes
 *     grpc    a gRPC library: asks for names one by one
 */
export type ClientKind = 'weft' | 'envoy' | 'grpc'

export function clientKind(node: XdsNode): ClientKind {
  const said = node.metadata.WEFT_KIND
  if (said === 'weft' || said === 'envoy' || said === 'grpc') return said
  return /grpc/i.test(node.userAgentName) ? 'grpc' : 'envoy'
}
