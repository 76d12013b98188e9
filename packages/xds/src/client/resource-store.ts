/**
 * The resources that a client has accepted, and what they refer to. Each is checked before it
 * replaces the one before; one that fails is refused and the old one stays.
 */
import type { ResourceSet, Resources, ResourceType } from '@weft/model'
import type { ResourceCodec } from '../codec/resource-codec.ts'
import { type References, referencesOf } from '../references.ts'
import { RESOURCE_TYPES } from '../type-urls.ts'
import type { ResourceSinkDeps, ResourceUpdate } from './ads-client.ts'

/** A resource as it came from the wire or from disk. */
export interface RawResource {
  readonly name: string
  readonly version: string
  readonly bytes: Uint8Array
}

interface ReadResource<T> extends RawResource {
  readonly resource: T
}

export interface ReadResources<T extends ResourceType> {
  readonly good: readonly ReadResource<Resources[T]>[]
  readonly refused: readonly Refused[]
}

export interface Refused {
  readonly name: string
  readonly version: string
  readonly problem: string
}

interface Held<T> {
  readonly version: string
  readonly resource: T
  readonly bytes: Uint8Array
  readonly references: References
}

const NO_NAMES: ReadonlySet<string> = new Set()

type HeldMaps = { readonly [T in ResourceType]: Map<string, Held<Resources[T]>> }

export class ResourceStore {
  readonly #codec: ResourceCodec
  readonly #validate: ResourceSinkDeps['validate']
  readonly #localSecrets: ReadonlySet<string>
  readonly #held: HeldMaps = {
    listener: new Map(),
    route: new Map(),
    cluster: new Map(),
    endpoints: new Map(),
    secret: new Map(),
  }
  /** Since the last `snapshot`, which shares the maps of types that did not change. */
  readonly #changed = new Set<ResourceType>(RESOURCE_TYPES)
  #last: Pick<ResourceUpdate, 'set' | 'versions'> | undefined

  /** @param localSecrets Names of secrets that are not asked for. */
  constructor(
    codec: ResourceCodec,
    validate: ResourceSinkDeps['validate'],
    localSecrets: readonly string[] = [],
  ) {
    this.#codec = codec
    this.#validate = validate
    this.#localSecrets = new Set(localSecrets)
  }

  /** Takes what is good, and says what is not and why. */
  put<T extends ResourceType>(type: T, resources: readonly RawResource[]): readonly Refused[] {
    return this.take(type, this.read(type, resources))
  }

  /**
   * Looks at what came without taking it.
   *
   * @param again Looked at even if nothing changed.
   */
  read<T extends ResourceType>(
    type: T,
    resources: readonly RawResource[],
    again: ReadonlySet<string> = NO_NAMES,
  ): ReadResources<T> {
    const held = this.#held[type] as Map<string, Held<Resources[T]>>
    const good: ReadResource<Resources[T]>[] = []
    const refused: Refused[] = []
    for (const { name, version, bytes } of resources) {
      if (held.get(name)?.version === version && !again.has(name)) continue
      const decoded = this.#codec.decode(type, bytes)
      const problem = decoded.ok
        ? (nameProblem(decoded.resource, name) ?? this.#validate?.(type, decoded.resource))
        : decoded.problems.join('; ')
      if (!decoded.ok || problem !== undefined) {
        refused.push({ name, version, problem: problem ?? '' })
        continue
      }
      good.push({ name, version, bytes, resource: decoded.resource })
    }
    return { good, refused }
  }

  /** @param problems What is good and cannot be used here, by name. */
  take<T extends ResourceType>(
    type: T,
    { good, refused }: ReadResources<T>,
    problems?: ReadonlyMap<string, string>,
  ): readonly Refused[] {
    const held = this.#held[type] as Map<string, Held<Resources[T]>>
    const unusable: Refused[] = []
    for (const { name, version, bytes, resource } of good) {
      const problem = problems?.get(name)
      if (problem !== undefined) unusable.push({ name, version, problem })
      else if (held.get(name)?.version !== version) {
        held.set(name, { version, resource, bytes, references: referencesOf(type, resource) })
        this.#changed.add(type)
      }
    }
    return [...refused, ...unusable]
  }

  remove(type: ResourceType, name: string): void {
    if (this.#held[type].delete(name)) this.#changed.add(type)
  }

  has(type: ResourceType, name: string): boolean {
    return this.#held[type].has(name)
  }

  names(type: ResourceType): Iterable<string> {
    return this.#held[type].keys()
  }

  /** For a reconnect: what need not be sent again. */
  versions(type: ResourceType): Map<string, string> {
    return new Map([...this.#held[type]].map(([name, { version }]) => [name, version]))
  }

  raw(type: ResourceType): RawResource[] {
    return [...this.#held[type]].map(([name, { version, bytes }]) => ({ name, version, bytes }))
  }

  /** Names that listeners and clusters refer to. */
  wanted(): { readonly [T in 'route' | 'endpoints' | 'secret']: Set<string> } {
    const wanted = {
      route: new Set<string>(),
      endpoints: new Set<string>(),
      secret: new Set<string>(),
    }
    for (const type of ['listener', 'cluster'] as const) {
      for (const { references } of this.#held[type].values()) {
        for (const name of references.routes) wanted.route.add(name)
        for (const name of references.endpoints) wanted.endpoints.add(name)
        for (const name of references.secrets) {
          if (!this.#localSecrets.has(name)) wanted.secret.add(name)
        }
      }
    }
    return wanted
  }

  hasChanges(): boolean {
    return this.#changed.size > 0
  }

  /** An immutable copy of what is held now. */
  snapshot(): Pick<ResourceUpdate, 'set' | 'versions'> {
    const last = this.#last
    const set = {
      listener: this.#copy('listener', last?.set),
      route: this.#copy('route', last?.set),
      cluster: this.#copy('cluster', last?.set),
      endpoints: this.#copy('endpoints', last?.set),
      secret: this.#copy('secret', last?.set),
    }
    const versions = Object.fromEntries(
      RESOURCE_TYPES.map((type) => [
        type,
        last === undefined || this.#changed.has(type) ? this.versions(type) : last.versions[type],
      ]),
    ) as unknown as ResourceUpdate['versions']
    this.#changed.clear()
    this.#last = { set, versions }
    return this.#last
  }

  #copy<T extends ResourceType>(type: T, last: ResourceSet | undefined): ResourceSet[T] {
    if (last !== undefined && !this.#changed.has(type)) return last[type]
    const held = this.#held[type] as Map<string, Held<Resources[T]>>
    const copy = new Map([...held].map(([name, { resource }]) => [name, resource]))
    return copy as unknown as ResourceSet[T]
  }
}

/** A resource that says it is another one would be found under the wrong name. */
function nameProblem(resource: { readonly name: string }, name: string): string | undefined {
  return resource.name === name ? undefined : `is named ${resource.name} inside`
}
