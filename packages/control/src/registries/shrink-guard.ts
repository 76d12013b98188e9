/**
 * Doubts it when most endpoints of a service are gone at once (R36). A registry that lost its
 * memory, a mount that is empty, a network that broke between here and the workloads all look
 * like that, and who believes them takes a service down that works.
 *
 *     published ── more than half gone within WINDOW_MS ──► held ── HOLD_MS, or they come back ──► published
 *
 * Who says good-bye is never held: an endpoint that drains first was counted out by then.
 */
import type { Clock, Logger } from '@weft/base'
import type { MeshService, RegistryState, ServiceInstance } from './registry.ts'

/** Removals within so long of each other are one: graces end one by one. */
const WINDOW_MS = 10_000
const HOLD_MS = 30_000
/** Of fewer, every one is a large part. */
const MIN_ENDPOINTS = 3
const MAX_LOST_SHARE = 0.5

export interface ShrinkGuardDeps {
  readonly clock: Clock
  readonly log: Logger
  /** A hold is over: what the registry said last is published from now on. */
  onRelease(state: RegistryState): void
}

interface Watched {
  /** Healthy endpoints at the beginning of the window, by what tells them apart. */
  base: ReadonlySet<string>
  baseAtMs: number
  service: MeshService | undefined
  /** As handed on last. */
  published: readonly ServiceInstance[]
  cancelHold: (() => void) | undefined
  /** Its loss was held once and is believed. */
  isBelieved: boolean
}

export class ShrinkGuard implements Disposable {
  readonly #deps: ShrinkGuardDeps
  readonly #hosts = new Map<string, Watched>()
  #newest: RegistryState | undefined

  constructor(deps: ShrinkGuardDeps) {
    this.#deps = deps
  }

  /** Hosts whose endpoints are held now. */
  get held(): readonly string[] {
    return [...this.#hosts].flatMap(([host, { cancelHold }]) => (cancelHold ? [host] : []))
  }

  /** What to go by. The same object when there is nothing to doubt. */
  take(state: RegistryState): RegistryState {
    this.#newest = state
    const kept = new Map<string, readonly ServiceInstance[]>()
    for (const [host, instances] of state.instances) {
      const extra = this.#missing(host, instances)
      if (extra.length > 0) kept.set(host, [...instances, ...extra])
      this.#note(host, kept.get(host) ?? instances)
    }
    const services = new Map<string, MeshService>()
    for (const [host, watched] of this.#hosts) {
      if (state.instances.has(host)) continue
      // Whoever deletes a service means it; one that is only what registered is gone with the last.
      const service = state.services.get(host) ?? registeredOf(watched)
      if (service !== undefined && this.#missing(host, []).length > 0) {
        kept.set(host, watched.published)
        services.set(host, service)
      } else if (!state.services.has(host)) this.#forget(host, watched)
    }
    for (const [host, watched] of this.#hosts) {
      watched.service = state.services.get(host) ?? watched.service
    }
    if (kept.size === 0) return state
    return {
      ...state,
      services: new Map([...services, ...state.services]),
      instances: new Map([...state.instances, ...kept]),
    }
  }

  [Symbol.dispose](): void {
    for (const { cancelHold } of this.#hosts.values()) cancelHold?.()
  }

  /** Of those that were published: what is gone and not believed to be. */
  #missing(host: string, instances: readonly ServiceInstance[]): readonly ServiceInstance[] {
    const watched = this.#hosts.get(host)
    if (watched === undefined) return []
    const now = new Set(instances.map(keyOf))
    const lost = [...watched.base].filter((key) => !now.has(key)).length
    const isDoubtful =
      watched.base.size >= MIN_ENDPOINTS && lost > watched.base.size * MAX_LOST_SHARE
    if (!isDoubtful) {
      if (watched.cancelHold !== undefined) this.#end(host, watched, 'endpoints are back')
      return []
    }
    if (watched.isBelieved) return []
    if (watched.cancelHold === undefined) this.#hold(host, watched, lost)
    return watched.published.filter((one) => one.health === 'healthy' && !now.has(keyOf(one)))
  }

  #hold(host: string, watched: Watched, lost: number): void {
    const { clock, log, onRelease } = this.#deps
    log.warn('most endpoints of a service are gone at once; they stay for now', {
      ...{ host, lost, of: watched.base.size, holdMs: HOLD_MS },
    })
    watched.cancelHold = clock.after(HOLD_MS, () => {
      watched.isBelieved = true
      this.#end(host, watched, 'endpoints are gone')
      if (this.#newest !== undefined) onRelease(this.take(this.#newest))
    })
  }

  #end(host: string, watched: Watched, what: string): void {
    watched.cancelHold?.()
    watched.cancelHold = undefined
    this.#deps.log.warn(what, { host })
  }

  #note(host: string, published: readonly ServiceInstance[]): void {
    const nowMs = this.#deps.clock.monotonicMs()
    const watched = this.#hosts.get(host)
    if (watched === undefined) {
      this.#hosts.set(host, {
        ...{ base: healthyOf(published), baseAtMs: nowMs, published },
        ...{ service: undefined, cancelHold: undefined, isBelieved: false },
      })
      return
    }
    watched.published = published
    if (watched.cancelHold !== undefined) return
    const healthy = healthyOf(published)
    const isOld = nowMs - watched.baseAtMs >= WINDOW_MS
    if (isOld || watched.isBelieved) {
      watched.base = healthy
      watched.baseAtMs = nowMs
      watched.isBelieved = false
    } else {
      watched.base = stillCounted(watched.base, published, healthy)
    }
  }

  #forget(host: string, { cancelHold }: Watched): void {
    cancelHold?.()
    this.#hosts.delete(host)
  }
}

function registeredOf({ service }: Watched): MeshService | undefined {
  return service?.source === 'selfRegistered' ? service : undefined
}

/** New ones count, and those that drain do not any more: their end is announced. */
function stillCounted(
  base: ReadonlySet<string>,
  published: readonly ServiceInstance[],
  healthy: ReadonlySet<string>,
): ReadonlySet<string> {
  const announced = new Set(published.map(keyOf).filter((key) => !healthy.has(key)))
  return new Set([...base, ...healthy].filter((key) => !announced.has(key)))
}

function healthyOf(instances: readonly ServiceInstance[]): ReadonlySet<string> {
  return new Set(instances.filter(({ health }) => health === 'healthy').map(keyOf))
}

function keyOf({ address, port, servicePort }: ServiceInstance): string {
  return `${address} ${port} ${servicePort}`
}
