/**
 * The broker speaks to the control plane once for each kind of workload that dialled in: with the
 * name, labels and offers of that workload, as its sidecar would. What comes back is its policy;
 * what goes there is that it can be called, at an address of the broker.
 */
import type { Clock, Logger } from '@weft/base'
import type { SocketAddress, Workload } from '@weft/model'
import { type AdsClient, createAdsClient, type ResourceUpdate, type XdsNode } from '@weft/xds'
import { buildWorkloadPolicy, type WorkloadPolicy } from './workload-policy.ts'

/** A workload's name in the mesh. */
export interface OfferedName {
  readonly name: string
  /** Under which callers know it. */
  readonly port: number
}

export interface WorkloadFeedOptions {
  readonly workload: Workload
  /** Its services; none: it only calls. */
  readonly services: readonly OfferedName[]
  /** Where the mesh reaches the workload; no other one has it. */
  readonly endpoint: SocketAddress
  readonly connect: SocketAddress | { readonly path: string }
}

export interface WorkloadFeedDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** There is another policy. */
  onPolicy(): void
}

export class WorkloadFeed {
  readonly endpoint: SocketAddress
  readonly #options: WorkloadFeedOptions
  readonly #deps: WorkloadFeedDeps
  #client: AdsClient | undefined
  #closed = false
  #policy: WorkloadPolicy | undefined
  #waiting: (() => void)[] = []

  constructor(options: WorkloadFeedOptions, deps: WorkloadFeedDeps) {
    this.endpoint = options.endpoint
    this.#options = options
    this.#deps = deps
  }

  /** The newest; absent until the control plane has spoken. */
  get policy(): WorkloadPolicy | undefined {
    return this.#policy
  }

  /** Resolves when there is a policy, or the feed is closed. */
  ready(): Promise<void> {
    if (this.#policy !== undefined || this.#closed) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  async open(): Promise<void> {
    const { connect } = this.#options
    const client = await createAdsClient(
      { node: nodeOf(this.#options), connect },
      { ...this.#deps, onUpdate: (update) => this.#apply(update) },
    )
    if (this.#closed) await client.close()
    else this.#client = client
  }

  /** Whether somebody is there who can be called. */
  reportHealth(healthy: boolean): void {
    this.#client?.reportHealth(healthy, healthy ? '' : 'nobody of this workload is connected')
  }

  #apply({ set }: ResourceUpdate): void {
    this.#policy = buildWorkloadPolicy(set)
    this.#release()
    this.#deps.onPolicy()
  }

  #release(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#release()
    await this.#client?.close()
  }
}

function nodeOf({ workload, services, endpoint }: WorkloadFeedOptions): XdsNode {
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
      CLUSTER_ID: workload.cluster,
      // Routes are wanted; the listener that they are for is never opened.
      WEFT_OUTBOUND: { address: endpoint.host, port: endpoint.port },
      ...(offers.length === 0 ? {} : { WEFT_OFFERS: offers }),
    },
    userAgentName: 'weft',
    features: [],
  }
}
