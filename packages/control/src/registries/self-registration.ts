/**
 * Workloads that register themselves by connecting: what their proxy offers
 * becomes endpoints, without anybody having written anything down.
 *
 *              offers                healthy
 *     (none) --------> registered ------------> serving <----+
 *                          |                      |  ^       | comes back
 *                          | stream ends          |  |       | in time
 *                          v                      v  |       |
 *                       (none)                   lingering --+
 *                                                    | graceMs passed, or
 *                                                    | said unhealthy
 *                                                    v
 *                                                  (none)
 *
 * An endpoint gets traffic from its first healthy report on. It outlives its
 * stream by a grace, so that a restart of either side takes nothing away; a
 * workload that stops on purpose reports unhealthy first and drains at once.
 */
import { type Clock, Latest } from '@weft/base'
import type { EndpointHealth, EndpointPath, OfferedPort, Workload } from '@weft/model'
import { portProtocol } from './declared/port-protocol.ts'
import { workloadRef } from './declared/workload-ref.ts'
import type {
  MeshService,
  Registry,
  RegistryHealth,
  RegistryState,
  ServiceInstance,
} from './registry.ts'
import { shareState } from './state/share.ts'

export interface Registration {
  /** The xDS node id. */
  readonly id: string
  readonly workload: Workload
  readonly offers: readonly OfferedPort[]
  /** Its proxy has a certificate of the mesh. */
  readonly hasIdentity?: boolean
  /** How it is reached; absent: directly. */
  readonly path?: EndpointPath
}

/** As kept on disk and shown on the admin port. */
export interface KeptRegistration extends Registration {
  readonly health: EndpointHealth | 'unknown'
}

export interface SelfRegistrationOptions {
  /** `cluster.local`. */
  readonly domain: string
  /** How long an endpoint outlives its stream, in milliseconds. */
  readonly graceMs: number
  /** The same for what was restored, whose streams are yet to come. */
  readonly restoredGraceMs: number
  /** What was known before a restart. */
  readonly restored?: readonly KeptRegistration[]
}

/**
 * At least this long between two states, in milliseconds: each is made from all
 * registrations, and after a restart all workloads of a mesh come back at once.
 */
const MIN_INTERVAL_MS = 10

interface Entry {
  registration: Registration
  health: EndpointHealth | 'unknown'
  /** Streams that carry it now; a reconnect may overlap with the old stream. */
  readonly streams: Set<number>
  cancelRemoval: (() => void) | undefined
}

export class SelfRegistration implements Registry {
  readonly name = 'self-registration'
  readonly #options: SelfRegistrationOptions
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  readonly #state = new Latest<RegistryState>()
  readonly #closed = new AbortController()
  #publishedAtMs = Number.NEGATIVE_INFINITY
  /** While a change is not in the state yet. */
  #cancelPublish: (() => void) | undefined

  constructor(options: SelfRegistrationOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
    for (const { health, ...registration } of options.restored ?? []) {
      const entry: Entry = { registration, health, streams: new Set(), cancelRemoval: undefined }
      this.#entries.set(registration.id, entry)
      this.#linger(entry, options.restoredGraceMs)
    }
    this.#publish()
  }

  /** A stream of this node opened. */
  connected(registration: Registration, stream: number): void {
    const known = this.#entries.get(registration.id)
    if (known === undefined) {
      if (registration.offers.length === 0) return
      this.#entries.set(registration.id, {
        registration,
        health: 'unknown',
        streams: new Set([stream]),
        cancelRemoval: undefined,
      })
    } else {
      known.registration = registration
      known.streams.add(stream)
      known.cancelRemoval?.()
      known.cancelRemoval = undefined
    }
    this.#changed()
  }

  reported(id: string, isHealthy: boolean): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    // Unhealthy before it ever served is not draining: it just does not serve yet.
    if (isHealthy) entry.health = 'healthy'
    else if (entry.health !== 'unknown') entry.health = 'draining'
    this.#changed()
  }

  /** A stream ended, however it ended. */
  disconnected(id: string, stream: number): void {
    const entry = this.#entries.get(id)
    if (entry === undefined || !entry.streams.delete(stream) || entry.streams.size > 0) return
    if (entry.health === 'healthy') this.#linger(entry, this.#options.graceMs)
    else this.#remove(id)
    this.#changed()
  }

  watch(signal: AbortSignal): AsyncIterable<RegistryState> {
    // Whoever begins to look sees everything that was said until now.
    if (this.#cancelPublish !== undefined) this.#publish()
    return this.#state.watch(AbortSignal.any([signal, this.#closed.signal]))
  }

  health(): RegistryHealth {
    return { kind: 'live' }
  }

  registrations(): readonly KeptRegistration[] {
    return [...this.#entries.values()]
      .map(({ registration, health }) => ({ ...registration, health }))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const entry of this.#entries.values()) entry.cancelRemoval?.()
    this.#cancelPublish?.()
    this.#closed.abort()
  }

  #linger(entry: Entry, graceMs: number): void {
    entry.cancelRemoval?.()
    entry.cancelRemoval = this.#clock.after(graceMs, () => {
      this.#remove(entry.registration.id)
      this.#changed()
    })
  }

  #remove(id: string): void {
    this.#entries.get(id)?.cancelRemoval?.()
    this.#entries.delete(id)
  }

  #changed(): void {
    if (this.#cancelPublish !== undefined) return
    const waitMs = this.#publishedAtMs + MIN_INTERVAL_MS - this.#clock.monotonicMs()
    if (waitMs <= 0) this.#publish()
    else this.#cancelPublish = this.#clock.after(waitMs, () => this.#publish())
  }

  #publish(): void {
    this.#cancelPublish?.()
    this.#cancelPublish = undefined
    this.#publishedAtMs = this.#clock.monotonicMs()
    const before = this.#state.value
    const after = shareState(before, stateOf(this.registrations(), this.#options.domain))
    if (after !== before) this.#state.set(after)
  }
}

/** @param registrations Sorted, so that every replica settles conflicts alike: the first to name a port defines it. */
function stateOf(registrations: readonly KeptRegistration[], domain: string): RegistryState {
  const services = new Map<string, MeshService>()
  const instances = new Map<string, ServiceInstance[]>()
  for (const registration of registrations) {
    for (const offer of registration.offers) {
      const host = hostOf(offer, registration.workload.namespace, domain)
      const service = services.get(host) ?? newService(host, offer, registration.workload)
      services.set(host, withPort(service, offer))
      const own = instances.get(host) ?? []
      instances.set(host, own)
      if (registration.health !== 'unknown') {
        own.push(instanceOf(offer, registration, registration.health))
      }
    }
  }
  return { services, instances }
}

function hostOf(offer: OfferedPort, namespace: string, domain: string): string {
  return offer.service.includes('.')
    ? offer.service.toLowerCase()
    : `${offer.service}.${namespace}.svc.${domain}`
}

function newService(host: string, offer: OfferedPort, workload: Workload): MeshService {
  return {
    host,
    name: offer.service,
    namespace: workload.namespace,
    source: 'selfRegistered',
    addresses: [],
    ports: [],
    resolution: 'registry',
    external: false,
    exportTo: [],
    labels: {},
    origins: [],
  }
}

function withPort(service: MeshService, offer: OfferedPort): MeshService {
  if (service.ports.some((port) => port.port === offer.port)) return service
  const protocol = portProtocol({ port: offer.port, appProtocol: offer.protocol })
  const port = { name: `${offer.protocol}-${offer.port}`, port: offer.port, protocol }
  return { ...service, ports: [...service.ports, port].sort((a, b) => a.port - b.port) }
}

function instanceOf(
  offer: OfferedPort,
  { workload, hasIdentity, path }: Registration,
  health: EndpointHealth,
): ServiceInstance {
  const { name, namespace, labels, cluster } = workload
  return {
    servicePort: offer.port,
    address: offer.address,
    port: offer.listenPort,
    health,
    weight: 1,
    labels,
    locality: workload.locality,
    workload: workloadRef(name, namespace, labels, cluster),
    serviceAccount: workload.serviceAccount,
    ...(path === undefined ? {} : { path }),
    ...(hasIdentity === true ? { takesMutualTls: true as const, appPort: offer.appPort } : {}),
  }
}
