/**
 * What changed between two complete sets of resources. Unchanged ones stay the same
 * objects on both sides, which is what lets a worker keep the trees built from them.
 */
import type { ResourceSet, ResourceType } from '@weft/model'
import { RESOURCE_TYPES, type ResourceUpdate } from '@weft/xds'

export interface ResourceDelta {
  readonly source: ResourceUpdate['source']
  readonly types: readonly TypeDelta[]
}

interface TypeDelta {
  readonly type: ResourceType
  readonly changed: readonly {
    readonly name: string
    readonly version: string
    readonly resource: unknown
  }[]
  readonly removed: readonly string[]
}

/** @param before Absent: everything is new. */
export function resourceDelta(
  before: ResourceUpdate | undefined,
  after: ResourceUpdate,
): ResourceDelta {
  const types = RESOURCE_TYPES.map((type): TypeDelta => {
    const old: ReadonlyMap<string, unknown> = before?.set[type] ?? new Map()
    const changed = [...after.set[type]]
      .filter(([name, resource]) => old.get(name) !== resource)
      .map(([name, resource]) => ({
        name,
        resource,
        version: after.versions[type].get(name) ?? '',
      }))
    const removed = [...old.keys()].filter((name) => !after.set[type].has(name))
    return { type, changed, removed }
  })
  return {
    source: after.source,
    types: types.filter(({ changed, removed }) => changed.length > 0 || removed.length > 0),
  }
}

/** @param before As the last delta left it; `undefined` before the first. */
export function applyDelta(
  before: ResourceUpdate | undefined,
  delta: ResourceDelta,
): ResourceUpdate {
  const set: Record<string, ReadonlyMap<string, unknown>> = {}
  const versions: Record<string, ReadonlyMap<string, string>> = {}
  for (const type of RESOURCE_TYPES) {
    const part = delta.types.find((one) => one.type === type)
    const oldSet: ReadonlyMap<string, unknown> = before?.set[type] ?? new Map()
    const oldVersions = before?.versions[type] ?? new Map<string, string>()
    if (part === undefined) {
      set[type] = oldSet
      versions[type] = oldVersions
      continue
    }
    const newSet = new Map(oldSet)
    const newVersions = new Map(oldVersions)
    for (const name of part.removed) {
      newSet.delete(name)
      newVersions.delete(name)
    }
    for (const { name, version, resource } of part.changed) {
      newSet.set(name, resource)
      newVersions.set(name, version)
    }
    set[type] = newSet
    versions[type] = newVersions
  }
  // Each map holds what the same type's map of the other process held.
  return {
    set: set as unknown as ResourceSet,
    versions: versions as ResourceUpdate['versions'],
    source: delta.source,
  }
}
