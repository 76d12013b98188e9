/** The configuration in force, and since when each resource is as it is. */
import type { ResourceType } from '@weft/model'
import { RESOURCE_TYPES, type ResourceUpdate } from '@weft/xds'
import type { Configuration } from './admin/endpoint.ts'

export class ConfigurationLog {
  #newest: Configuration | undefined

  get newest(): Configuration | undefined {
    return this.#newest
  }

  /** @param nowMs Wall clock. */
  record(update: ResourceUpdate, nowMs: number): void {
    const before = this.#newest
    const changedAtMs = new Map<string, number>()
    for (const type of RESOURCE_TYPES) {
      for (const [name, resource] of update.set[type]) {
        const key = `${type}/${name}`
        const isSame = resourceIn(before, type, name) === resource
        changedAtMs.set(key, (isSame ? before?.changedAtMs.get(key) : undefined) ?? nowMs)
      }
    }
    this.#newest = { update, changedAtMs }
  }
}

function resourceIn(
  configuration: Configuration | undefined,
  type: ResourceType,
  name: string,
): unknown {
  return configuration?.update.set[type].get(name)
}
