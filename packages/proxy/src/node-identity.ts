/** What a proxy says of itself when it connects to the control plane. */
import { type OfferedPort, renderAddress, type SocketAddress } from '@weft/model'
import type { XdsNode } from '@weft/xds'
import type { ProxyOptions } from './proxy-options.ts'

/** What was bound, with the ports that the kernel chose. */
export interface BoundPorts {
  readonly outbound: SocketAddress | undefined
  readonly offers: readonly OfferedPort[]
}

/** What the proxy calls itself to others (Envoy's `--service-cluster`). */
export function serviceClusterOf({ workload }: ProxyOptions): string {
  return `${workload.name}.${workload.namespace}`
}

/** @param identity Its SPIFFE ID, or that one is on the way; absent: it takes no mutual TLS. */
export function nodeOf(options: ProxyOptions, bound: BoundPorts, identity?: string): XdsNode {
  const { workload, role, address, instance = workload.name } = options
  const { name, namespace } = workload
  const kind = role === 'gateway' ? 'router' : 'sidecar'
  return {
    id: `${kind}~${address}~${instance}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: serviceClusterOf(options),
    locality: workload.locality,
    metadata: {
      ...options.metadata,
      WEFT_KIND: 'weft',
      WEFT_ROLE: role,
      ...(identity === undefined ? {} : { WEFT_IDENTITY: identity }),
      NAMESPACE: namespace,
      WORKLOAD_NAME: name,
      SERVICE_ACCOUNT: workload.serviceAccount,
      LABELS: workload.labels,
      CLUSTER_ID: workload.cluster,
      ...(bound.outbound === undefined
        ? {}
        : { WEFT_OUTBOUND: { address: bound.outbound.host, port: bound.outbound.port } }),
      ...(bound.offers.length === 0 ? {} : { WEFT_OFFERS: bound.offers.map(offerJson) }),
      ...(options.portMap === undefined ? {} : { WEFT_PORT_MAP: options.portMap }),
      ...(options.bindHost === undefined ? {} : { WEFT_BIND: options.bindHost }),
    },
    userAgentName: 'weft',
    features: [],
  }
}

/** The fields by name: what a caller's object holds beyond them stays here. */
function offerJson(offer: OfferedPort) {
  const { service, port, protocol, address, listenPort, appAddress, appPort } = offer
  return { service, port, protocol, address, listenPort, appAddress, appPort }
}

/** For people, e.g. in a log line: `sidecar default/reviews-v1 at 127.0.0.1:15001`. */
export function renderProxy(options: ProxyOptions, bound: BoundPorts): string {
  const at = bound.outbound === undefined ? '' : ` at ${renderAddress(bound.outbound)}`
  return `${options.role} ${options.workload.namespace}/${options.workload.name}${at}`
}
