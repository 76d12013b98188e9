/**
 * One kind of workload that dialled in, towards the mesh: its sidecar introduces itself to the
 * control plane with the name, labels and offers of that workload. What comes back is its policy;
 * what goes there is that it can be called.
 */
import type { ResourceSet, SocketAddress } from '@weft/model'
import type { Sidecar } from './sidecar.ts'
import { buildWorkloadPolicy, type WorkloadPolicy } from './workload-policy.ts'

export interface WorkloadFeedDeps {
  /** @param onConfiguration See `SidecarOrder`. */
  open(onConfiguration: (set: ResourceSet) => ResourceSet): Promise<Sidecar>
  /** What of a configuration the sidecar goes by, whose policy the broker has read. */
  forSidecar(set: ResourceSet): ResourceSet
  /** There is another policy. */
  onPolicy(): void
}

const NOWHERE: SocketAddress = { host: '127.0.0.1', port: 0 }

export class WorkloadFeed {
  readonly #deps: WorkloadFeedDeps
  #sidecar: Sidecar | undefined
  #closed = false
  #policy: WorkloadPolicy | undefined
  #waiting: (() => void)[] = []

  constructor(deps: WorkloadFeedDeps) {
    this.#deps = deps
  }

  /** The newest; absent until the control plane has spoken. */
  get policy(): WorkloadPolicy | undefined {
    return this.#policy
  }

  /** Where the mesh reaches its services, in their order. */
  get addresses(): readonly SocketAddress[] {
    return this.#sidecar?.addresses ?? []
  }

  /** The first of them, for rules that ask for it. */
  get endpoint(): SocketAddress {
    return this.addresses[0] ?? NOWHERE
  }

  /** Resolves when there is a policy, or the feed is closed. */
  ready(): Promise<void> {
    if (this.#policy !== undefined || this.#closed) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  async open(): Promise<void> {
    const sidecar = await this.#deps.open((set) => this.#apply(set))
    this.#sidecar = sidecar
    if (this.#closed) await sidecar.close()
  }

  /** Whether somebody is there who can be called. */
  reportHealth(healthy: boolean): void {
    this.#sidecar?.reportHealth(healthy)
  }

  /** As `Sidecar.ask`; undefined: there is no way. */
  ask(...question: Parameters<NonNullable<Sidecar['ask']>>): (() => void) | undefined {
    return this.#sidecar?.ask?.(...question)
  }

  #apply(set: ResourceSet): ResourceSet {
    this.#policy = buildWorkloadPolicy(set)
    this.#release()
    this.#deps.onPolicy()
    return this.#deps.forSidecar(set)
  }

  #release(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#release()
    await this.#sidecar?.close()
  }
}
