/**
 * The feeds of all kinds of workloads that are connected. Legs with equal names, labels and
 * services share one; the last to go takes it along, after a while in which it may come back.
 */
import type { Clock, Logger } from '@weft/base'
import {
  parseSpiffeId,
  renderAddress,
  type SocketAddress,
  serviceAccountOf,
  type Workload,
} from '@weft/model'
import type { Leg } from '../leg.ts'
import { type OfferedName, WorkloadFeed } from './workload-feed.ts'

export interface WorkloadFeedsOptions {
  readonly connect: SocketAddress | { readonly path: string }
  /** Cluster in Istio's sense, for all that dial in here. */
  readonly cluster: string
  /** How long a kind of workload is kept after its last connection, in milliseconds. */
  readonly graceMs: number
}

export interface WorkloadFeedsDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly random: () => number
  /** Gives a kind of workload an address where the mesh reaches it, its own. */
  openEndpoint(kind: WorkloadKind): Promise<SocketAddress>
  /** Nobody of the kind is left. */
  closeEndpoint(kind: WorkloadKind): void
}

export interface WorkloadKind {
  readonly workload: Workload
  /** The mesh services that it is; none: it only calls. */
  readonly services: readonly OfferedName[]
  /** Legs of this kind, now. */
  readonly legs: Set<Leg>
  readonly feed: Promise<WorkloadFeed>
  /** As soon as it is open. */
  opened: WorkloadFeed | undefined
  cancelClose: (() => void) | undefined
}

export class WorkloadFeeds {
  readonly #options: WorkloadFeedsOptions
  readonly #deps: WorkloadFeedsDeps
  readonly #kinds = new Map<string, WorkloadKind>()
  readonly #byLeg = new WeakMap<Leg, WorkloadKind>()
  readonly #byAddress = new Map<string, WorkloadKind>()
  /** Grows with every change of a policy or of who is connected. */
  version = 0

  constructor(options: WorkloadFeedsOptions, deps: WorkloadFeedsDeps) {
    this.#options = options
    this.#deps = deps
  }

  kindOf(leg: Leg): WorkloadKind | undefined {
    return this.#byLeg.get(leg)
  }

  /** By the address that the mesh knows it by. */
  kindAt(address: string): WorkloadKind | undefined {
    return this.#byAddress.get(address)
  }

  add(leg: Leg): void {
    const workload = workloadOf(leg, this.#options.cluster)
    const services = servicesOf(leg)
    const key = JSON.stringify([workload, services])
    let kind = this.#kinds.get(key)
    if (kind === undefined) {
      kind = this.#open(workload, services)
      this.#kinds.set(key, kind)
    }
    kind.cancelClose?.()
    kind.cancelClose = undefined
    kind.legs.add(leg)
    this.#byLeg.set(leg, kind)
    this.version++
    reportHealthOf(kind)
  }

  remove(leg: Leg): void {
    const kind = this.#byLeg.get(leg)
    if (kind === undefined || !kind.legs.delete(leg)) return
    this.version++
    reportHealthOf(kind)
    if (kind.legs.size > 0) return
    kind.cancelClose = this.#deps.clock.after(this.#options.graceMs, () => this.#close(kind))
  }

  /** A connection wants no requests any more, or wants them again. */
  onServing(leg: Leg): void {
    const kind = this.#byLeg.get(leg)
    if (kind !== undefined) reportHealthOf(kind)
  }

  #open(workload: Workload, services: readonly OfferedName[]): WorkloadKind {
    const open = async (): Promise<WorkloadFeed> => {
      const endpoint = await this.#deps.openEndpoint(kind)
      const { connect } = this.#options
      const feed = new WorkloadFeed(
        { workload, services, endpoint, connect },
        {
          ...this.#deps,
          onPolicy: () => {
            this.version++
          },
        },
      )
      this.#byAddress.set(renderAddress(endpoint), kind)
      await feed.open()
      kind.opened = feed
      reportHealthOf(kind)
      return feed
    }
    const kind: WorkloadKind = {
      workload,
      services,
      legs: new Set(),
      feed: Promise.resolve().then(open),
      opened: undefined,
      cancelClose: undefined,
    }
    kind.feed.catch((error: unknown) => {
      this.#deps.log.error('a kind of workload has no feed', { workload: workload.name, error })
    })
    return kind
  }

  #close(kind: WorkloadKind): void {
    for (const [key, each] of this.#kinds) if (each === kind) this.#kinds.delete(key)
    this.#deps.closeEndpoint(kind)
    const { opened } = kind
    if (opened !== undefined) this.#byAddress.delete(renderAddress(opened.endpoint))
    kind.feed.then(
      (feed) => feed.close(),
      () => {},
    )
  }

  async close(): Promise<void> {
    const kinds = [...this.#kinds.values()]
    for (const kind of kinds) kind.cancelClose?.()
    this.#kinds.clear()
    await Promise.all(kinds.map(async (kind) => (await kind.feed).close()))
  }
}

function reportHealthOf({ opened, legs }: WorkloadKind): void {
  opened?.reportHealth([...legs].some(({ isServing }) => isServing))
}

/** Of services that dial out, where nobody says otherwise. */
const SERVICE_PORT = 80

/**
 * An application is one service of the mesh under its own name, whatever RSocket services it has;
 * HTTP services behind an agent are each one under theirs.
 */
function servicesOf({ facts }: Leg): readonly OfferedName[] {
  const { instance, features } = facts
  if (instance === undefined || instance.services.length === 0) return []
  if (!features.has('http')) return [{ name: instance.app, port: SERVICE_PORT }]
  return instance.services.map(({ service, port = SERVICE_PORT }) => ({ name: service, port }))
}

/** Namespace and account come from the verified identity; the rest is the instance's own word. */
function workloadOf(leg: Leg, cluster: string): Workload {
  const { instance, identity } = leg.facts
  const parsed = identity.principal === undefined ? undefined : parseSpiffeId(identity.principal)
  const account = parsed?.ok === true ? serviceAccountOf(parsed.id) : undefined
  return {
    name: instance?.app ?? account?.serviceAccount ?? 'anonymous',
    namespace: account?.namespace ?? instance?.namespace ?? 'default',
    serviceAccount: account?.serviceAccount ?? 'default',
    labels: { ...(instance === undefined ? {} : { app: instance.app }), ...instance?.labels },
    locality: { region: '', zone: instance?.zone ?? '', subZone: '' },
    cluster,
  }
}
