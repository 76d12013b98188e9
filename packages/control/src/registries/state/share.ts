/**
 * Keeps what is equal the same object from one state to the next, so that
 * whoever caches by identity recognises it.
 */
import { isDeepStrictEqual } from 'node:util'
import type { DefinedService, RegistryState } from '../registry.ts'

const NONE: ReadonlyMap<string, readonly DefinedService[]> = new Map()

export function shareState(before: RegistryState | undefined, after: RegistryState): RegistryState {
  if (before === undefined) return after
  const services = shareMap(before.services, after.services)
  const instances = shareMap(before.instances, after.instances)
  const rivals = shareMap(before.rivals ?? NONE, after.rivals ?? NONE)
  const isSame = services === before.services && instances === before.instances
  if (isSame && rivals === (before.rivals ?? NONE)) return before
  return { services, instances, ...(rivals.size === 0 ? {} : { rivals }) }
}

/** Equal entries are taken from `before`; when all are, `before` itself is returned. */
export function shareMap<V>(
  before: ReadonlyMap<string, V>,
  after: ReadonlyMap<string, V>,
): ReadonlyMap<string, V> {
  const shared = new Map<string, V>()
  let isSame = before.size === after.size
  for (const [key, value] of after) {
    const old = before.get(key)
    const equal = old !== undefined && (old === value || isDeepStrictEqual(old, value))
    shared.set(key, equal ? old : value)
    isSame &&= equal
  }
  return isSame ? before : shared
}
