/**
 * The feeds of all kinds of workloads that are connected. Legs with equal names, labels and
 * services share one; the last to go takes it along, after a while in which it may come back.
 */
import type { Clock, Logger } from '@weft/base'
import {
  parseSpiffeId,
  type ResourceSet,
  renderAddress,
  serviceAccountOf,
  type Workload,
} from '@weft/model'
import type { Leg } from '../leg.ts'
import { KindPlaces, kindId, type Places } from './kind-places.ts'
import type { OfferedName, Sidecar } from './sidecar.ts'
import { forSidecar } from './sidecar-configuration.ts'
import { WorkloadFeed } from './workload-feed.ts'

/** Of one identity. Who is of one kind more calls nobody and is called by nobody. */
const MAX_KINDS = 256

export interface WorkloadFeedsOptions {
  /** Cluster in Istio's sense, for all that dial in here. */
  readonly cluster: string
  /** How long a kind of workload is kept after its last connection, in milliseconds. */
  readonly graceMs: number
}

export interface WorkloadFeedsDeps {
  readonly clock: Clock
  readonly log: Logger
  /** The way between a kind of workload and the mesh. */
  openSidecar(
    kind: WorkloadKind,
    onConfiguration: (set: ResourceSet) => ResourceSet,
  ): Promise<Sidecar>
  /** Nobody of the kind is left. */
  onGone(kind: WorkloadKind): void
  /** Kinds are offered at other addresses than before: `places`. */
  onPlaces?(): void
}

export interface WorkloadKind {
  readonly workload: Workload
  /** The SPIFFE ID that each leg has proved; absent: they have none. */
  readonly principal: string | undefined
  /** Their application speaks HTTP, else RSocket. */
  readonly isHttp: boolean
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
  readonly #byId = new Map<string, WorkloadKind>()
  readonly #elsewhere = new KindPlaces()
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
    const id = this.#byAddress.has(address) ? undefined : this.#elsewhere.at(address)
    return id === undefined ? this.#byAddress.get(address) : this.#byId.get(id)
  }

  /** Where this broker offers kinds to the mesh. */
  get places(): Places {
    const ids = new Map([...this.#byId].map(([id, kind]) => [kind, id]))
    return Object.fromEntries(
      [...this.#byAddress].flatMap(([address, kind]) => {
        const id = ids.get(kind)
        return id === undefined ? [] : [[address, id]]
      }),
    )
  }

  /** Where another broker of the cluster does; undefined: it is gone. */
  learnPlaces(broker: string, places: Places | undefined): void {
    this.#elsewhere.learn(broker, places)
    this.version++
  }

  add(leg: Leg): void {
    const workload = workloadOf(leg, this.#options.cluster)
    const services = servicesOf(leg)
    const { identity, features } = leg.facts
    const { principal } = identity
    const isHttp = features.has('http')
    // Who has proved nothing must not share a certificate with who has.
    const key = JSON.stringify([workload, services, principal, isHttp])
    let kind = this.#kinds.get(key)
    if (kind === undefined) {
      if (this.#isCrowded(principal)) {
        const { name } = workload
        this.#deps.log.warn('one identity has too many kinds of workloads', { principal, name })
        return
      }
      kind = this.#open({ workload, services, principal, isHttp })
      this.#kinds.set(key, kind)
      this.#byId.set(kindId(key), kind)
    }
    kind.cancelClose?.()
    kind.cancelClose = undefined
    kind.legs.add(leg)
    this.#byLeg.set(leg, kind)
    this.version++
    reportHealthOf(kind)
  }

  /** Names and labels are an instance's own word, and each new one costs a sidecar. */
  #isCrowded(principal: string | undefined): boolean {
    let count = 0
    for (const kind of this.#kinds.values()) if (kind.principal === principal) count++
    return count >= MAX_KINDS
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

  #open(facts: Pick<WorkloadKind, 'workload' | 'services' | 'principal' | 'isHttp'>): WorkloadKind {
    const open = async (): Promise<WorkloadFeed> => {
      const feed = new WorkloadFeed({
        open: (onConfiguration) => this.#deps.openSidecar(kind, onConfiguration),
        forSidecar: (set) => forSidecar(set, kind),
        onPolicy: () => {
          this.version++
        },
      })
      await feed.open()
      for (const address of feed.addresses) this.#byAddress.set(renderAddress(address), kind)
      kind.opened = feed
      this.version++
      this.#deps.onPlaces?.()
      reportHealthOf(kind)
      return feed
    }
    const kind: WorkloadKind = {
      ...facts,
      legs: new Set(),
      feed: Promise.resolve().then(open),
      opened: undefined,
      cancelClose: undefined,
    }
    kind.feed.catch((error: unknown) => {
      const { name } = facts.workload
      this.#deps.log.error('a kind of workload has no feed', { workload: name, error })
    })
    return kind
  }

  #close(kind: WorkloadKind): void {
    for (const [key, each] of this.#kinds) if (each === kind) this.#kinds.delete(key)
    for (const [id, each] of this.#byId) if (each === kind) this.#byId.delete(id)
    this.#deps.onGone(kind)
    for (const address of kind.opened?.addresses ?? []) {
      this.#byAddress.delete(renderAddress(address))
    }
    this.#deps.onPlaces?.()
    kind.feed.then(
      (feed) => feed.close(),
      () => {},
    )
  }

  /** The broker goes: the mesh is told that nobody can be reached here, while what runs goes on. */
  leave(): void {
    for (const { opened } of this.#kinds.values()) opened?.reportHealth(false)
  }

  async close(): Promise<void> {
    const kinds = [...this.#kinds.values()]
    for (const kind of kinds) kind.cancelClose?.()
    this.#kinds.clear()
    await Promise.allSettled(kinds.map(async (kind) => (await kind.feed).close()))
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
