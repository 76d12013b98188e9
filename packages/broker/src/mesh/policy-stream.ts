/**
 * In place of a sidecar, where nobody brings one: an ADS stream for the policy alone. The mesh then
 * reaches the workload in plaintext at the bridge itself, and nobody else can be called.
 */
import type { Clock, Logger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import { createAdsClient, type XdsNode } from '@weft/xds'
import type { Sidecar, SidecarOrder } from './sidecar.ts'

export interface PolicyStreamOptions
  extends Pick<SidecarOrder, 'workload' | 'services' | 'onConfiguration'> {
  /** Where the mesh reaches the workload; no other one has it. */
  readonly endpoint: SocketAddress
  readonly connect: SocketAddress | { readonly path: string }
}

export interface PolicyStreamDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
}

export async function openPolicyStream(
  options: PolicyStreamOptions,
  deps: PolicyStreamDeps,
): Promise<Sidecar> {
  const { endpoint, connect, services, onConfiguration } = options
  const client = await createAdsClient(
    { node: nodeOf(options), connect },
    { ...deps, onUpdate: ({ set }) => void onConfiguration(set) },
  )
  return {
    addresses: services.map(() => endpoint),
    reportHealth: (healthy) =>
      client.reportHealth(healthy, healthy ? '' : 'nobody of this workload is connected'),
    close: () => client.close(),
  }
}

function nodeOf({ workload, services, endpoint }: PolicyStreamOptions): XdsNode {
  const { name, namespace } = workload
  const offers = services.map((service) => ({
    service: service.name,
    port: service.port,
    protocol: 'http',
    address: endpoint.host,
    listenPort: endpoint.port,
    appAddress: endpoint.host,
    appPort: endpoint.port,
  }))
  return {
    id: `sidecar~${endpoint.host}~${name}-${endpoint.port}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: `${name}.${namespace}`,
    locality: workload.locality,
    metadata: {
      WEFT_KIND: 'weft',
      WEFT_ROLE: 'sidecar',
      NAMESPACE: namespace,
      WORKLOAD_NAME: name,
      SERVICE_ACCOUNT: workload.serviceAccount,
      LABELS: workload.labels,
      WEFT_PATH: 'broker',
      CLUSTER_ID: workload.cluster,
      // Routes are wanted; the listener that they are for is never opened.
      WEFT_OUTBOUND: { address: endpoint.host, port: endpoint.port },
      ...(offers.length === 0 ? {} : { WEFT_OFFERS: offers }),
    },
    userAgentName: 'weft',
    features: [],
  }
}
