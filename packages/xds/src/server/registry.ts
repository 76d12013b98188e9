/**
 * All resources of all views, encoded once: a model object that several views share is one
 * value here, and so are its bytes.
 */
import type { Clock } from '@weft/base'
import { contentHash } from '@weft/base'
import type { Endpoints, ResourceSet, Resources, ResourceType } from '@weft/model'
import { codec, encodeForHash } from '../codec/codec.ts'
import { referencesOf } from '../references.ts'
import { RESOURCE_TYPES, TYPE_URLS } from '../type-urls.ts'
import { field, textField } from '../wire/protobuf.ts'
import { type PublishedView, Quarantine } from './quarantine.ts'
import { EDS, RDS, SDS } from './rules.ts'
import type { Reference, Served } from './served.ts'

/** How long what is gone is kept for clients that still use it; beyond every rule's waiting time. */
const TOMBSTONE_MS = 60_000

export interface ServedResource extends Served {
  readonly typeUrl: string
  readonly bytes: Uint8Array
  /** Field 2 of a `DeltaDiscoveryResponse`: a `Resource`. */
  delta(): Uint8Array
  /** Field 2 of a `DiscoveryResponse`: an `Any`. */
  sotw(): Uint8Array
}

/** Names by type URL. */
export type Changes = ReadonlyMap<string, readonly string[]>

export class Registry {
  readonly #clock: Clock
  readonly #views = new Map<string, View>()
  readonly quarantine: Quarantine
  /** By model object; entries go when the objects do. */
  readonly #encoded = new WeakMap<object, ServedResource>()

  constructor(clock: Clock, quarantine = new Quarantine(Number.POSITIVE_INFINITY)) {
    this.#clock = clock
    this.quarantine = quarantine
  }

  view(key: string): View | undefined {
    return this.#views.get(key)
  }

  drop(key: string): void {
    this.#views.delete(key)
  }

  /** Replaces a view's resources and says what changed by content. */
  publish(key: string, set: ResourceSet, generation: string): Changes {
    let view = this.#views.get(key)
    if (view === undefined) {
      view = new View()
      this.#views.set(key, view)
    }
    view.generation = generation
    const changes = new Map<string, readonly string[]>()
    for (const type of RESOURCE_TYPES) {
      const names = this.#replace(view, type, set)
      if (names.length > 0) changes.set(TYPE_URLS[type], names)
    }
    if (changes.size > 0) this.quarantine.release((...resource) => this.#isServed(...resource))
    return changes
  }

  #replace<T extends ResourceType>(view: View, type: T, set: ResourceSet): string[] {
    const resources = set[type]
    const before = view.resources(TYPE_URLS[type])
    const after = new Map<string, ServedResource>()
    const changed: string[] = []
    const nowMs = this.#clock.monotonicMs()
    for (const [name, resource] of resources) {
      const old = before.get(name)
      const served = this.#encode(type, name, resource)
      // Equal content keeps the old bytes: only where it came from has moved.
      const same = old?.version === served.version
      after.set(name, same ? old : served)
      if (same) continue
      changed.push(name)
      if (old !== undefined && !this.quarantine.isSuspect(old.typeUrl, name, old.version)) {
        view.keepBefore(old, nowMs)
      }
    }
    for (const [name, old] of before) {
      if (after.has(name)) continue
      changed.push(name)
      view.bury(TYPE_URLS[type], old, nowMs)
    }
    view.replace(TYPE_URLS[type], after)
    view.forget(nowMs - TOMBSTONE_MS, (served) =>
      this.quarantine.isSuspect(served.typeUrl, served.name, served.version),
    )
    return changed
  }

  #isServed(typeUrl: string, name: string, version: string): boolean {
    for (const view of this.#views.values()) {
      if (view.get(typeUrl, name)?.version === version) return true
      if (view.before(typeUrl, name)?.version === version) return true
    }
    return false
  }

  #encode<T extends ResourceType>(type: T, name: string, resource: Resources[T]): ServedResource {
    const known = this.#encoded.get(resource)
    if (known !== undefined && known.name === name) return known
    const served = serve(type, name, resource)
    this.#encoded.set(resource, served)
    return served
  }
}

/** The resources of one view at this moment, and the ones that have just gone. */
export class View implements PublishedView {
  generation = ''
  readonly #live = new Map<string, Map<string, ServedResource>>()
  readonly #dead = new Map<string, Map<string, { served: ServedResource; atMs: number }>>()

  readonly #before = new Map<string, Map<string, { served: ServedResource; atMs: number }>>()

  get(typeUrl: string, name: string): ServedResource | undefined {
    return this.#live.get(typeUrl)?.get(name)
  }

  names(typeUrl: string): Iterable<string> {
    return this.#live.get(typeUrl)?.keys() ?? []
  }

  tombstone(typeUrl: string, name: string): ServedResource | undefined {
    return this.#dead.get(typeUrl)?.get(name)?.served
  }

  tombstones(typeUrl: string): Iterable<string> {
    return this.#dead.get(typeUrl)?.keys() ?? []
  }

  isHeldBack(): boolean {
    return false
  }

  before(typeUrl: string, name: string): ServedResource | undefined {
    return this.#before.get(typeUrl)?.get(name)?.served
  }

  keepBefore(served: ServedResource, atMs: number): void {
    const before = this.#before.get(served.typeUrl) ?? new Map()
    before.set(served.name, { served, atMs })
    this.#before.set(served.typeUrl, before)
  }

  noEndpoints(name: string): ServedResource {
    return noEndpoints(name)
  }

  resources(typeUrl: string): ReadonlyMap<string, ServedResource> {
    return this.#live.get(typeUrl) ?? new Map()
  }

  replace(typeUrl: string, resources: Map<string, ServedResource>): void {
    this.#live.set(typeUrl, resources)
    const dead = this.#dead.get(typeUrl)
    if (dead !== undefined)
      for (const name of dead.keys()) if (resources.has(name)) dead.delete(name)
  }

  bury(typeUrl: string, served: ServedResource, atMs: number): void {
    const dead = this.#dead.get(typeUrl) ?? new Map()
    dead.set(served.name, { served, atMs })
    this.#dead.set(typeUrl, dead)
  }

  /** @param isSuspect Whether a version may still have to be replaced by the one before it. */
  forget(beforeMs: number, isSuspect: (served: ServedResource) => boolean): void {
    for (const dead of this.#dead.values()) {
      for (const [name, { atMs }] of dead) if (atMs < beforeMs) dead.delete(name)
    }
    for (const [typeUrl, before] of this.#before) {
      for (const [name, { atMs }] of before) {
        const live = this.get(typeUrl, name)
        if (live === undefined || (atMs < beforeMs && !isSuspect(live))) before.delete(name)
      }
    }
  }
}

function serve<T extends ResourceType>(
  type: T,
  name: string,
  resource: Resources[T],
): ServedResource {
  const typeUrl = TYPE_URLS[type]
  const version = contentHash(encodeForHash(type, resource))
  const bytes = codec.encode(type, resource)
  const { clusters, routes, endpoints, secrets } = referencesOf(type, resource)
  const needs: Reference[] = [
    ...[...routes].map((route) => ({ typeUrl: RDS, name: route })),
    ...[...endpoints].map((assignment) => ({ typeUrl: EDS, name: assignment })),
    ...[...secrets].map((secret) => ({ typeUrl: SDS, name: secret })),
  ]
  let delta: Uint8Array | undefined
  let sotw: Uint8Array | undefined
  const any = () => Buffer.concat([textField(1, typeUrl), field(2, bytes)])
  return {
    typeUrl,
    name,
    version,
    bytes,
    size: bytes.length + name.length + typeUrl.length + 40,
    clusters,
    needs,
    delta() {
      delta ??= field(
        2,
        Buffer.concat([textField(1, version), field(2, any()), textField(3, name)]),
      )
      return delta
    },
    sotw() {
      sotw ??= field(2, any())
      return sotw
    },
  }
}

/** Few names and all alike; not worth remembering. */
function noEndpoints(name: string): ServedResource {
  const endpoints: Endpoints = { name, localities: [] }
  return serve('endpoints', name, endpoints)
}
