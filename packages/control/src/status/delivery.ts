/**
 * Which proxies took what came from which object: the answers of every
 * connection, rolled up by the objects that made the resources.
 */
import type { Origin, ResourceSet } from '@weft/model'
import { type ConnectionStatus, referencesOf, resourceTypeOf } from '@weft/xds'
import type { AppliedSummary } from './object-status.ts'

export interface ProxyDelivery {
  readonly connection: ConnectionStatus
  /** For people, e.g. `web-7`. */
  readonly name: string
  /** What it was given. */
  readonly set: ResourceSet
}

/**
 * By `kind/namespace/name`.
 *
 * @param generation Of the snapshot in force, to tell proxies that have all of it.
 */
export function rollUp(
  deliveries: readonly ProxyDelivery[],
  generation?: string,
): ReadonlyMap<string, AppliedSummary> {
  const summaries = new Map<string, Summary>()
  for (const delivery of deliveries) {
    const answers = answersOf(delivery.connection)
    const { ackedGeneration } = delivery.connection
    const isCurrent =
      ackedGeneration !== undefined &&
      ackedGeneration === generation &&
      hasReferenced(delivery.set, answers)
    for (const [object, resources] of resourcesByObject(delivery.set)) {
      const summary = summaries.get(object) ?? newSummary()
      summaries.set(object, summary)
      summary.proxies++
      if (isCurrent) summary.current++
      const own = resources.map((resource) => answers.get(resource))
      summary.unbound.push(...unboundParts(delivery, object, resources, answers))
      const rejected = own.find((answer) => answer?.state === 'rejected')
      if (rejected !== undefined) summary.rejected.set(delivery.name, rejected.message ?? '')
      else if (own.every((answer) => answer?.state === 'acked')) summary.acknowledged++
    }
  }
  return new Map(
    [...summaries].map(([object, { proxies, acknowledged, current, rejected, unbound }]) => [
      object,
      {
        proxies,
        acknowledged,
        current,
        rejected: [...rejected].map(([proxy, message]) => ({ proxy, message })),
        ...(unbound.length === 0 ? {} : { unbound }),
      },
    ]),
  )
}

function unboundParts(
  { name, set }: ProxyDelivery,
  object: string,
  resources: readonly string[],
  answers: ReadonlyMap<string, ResourceAnswer>,
): Summary['unbound'] {
  return resources.flatMap((resource) => {
    const { isUnbound, message = '' } = answers.get(resource) ?? {}
    if (isUnbound !== true) return []
    return pathsOf(set, resource, object).map((path) => ({ path, proxy: name, message }))
  })
}

interface Summary {
  proxies: number
  acknowledged: number
  current: number
  readonly rejected: Map<string, string>
  readonly unbound: { path: string; proxy: string; message: string }[]
}

function newSummary(): Summary {
  return { proxies: 0, acknowledged: 0, current: 0, rejected: new Map(), unbound: [] }
}

export function originKey({
  kind,
  namespace,
  name,
}: Pick<Origin, 'kind' | 'namespace' | 'name'>): string {
  return `${kind}/${namespace}/${name}`
}

interface ResourceAnswer {
  readonly state: string
  readonly message?: string
  readonly isUnbound?: true
}

/** By `type/name` of the resource. */
function answersOf({ types }: ConnectionStatus): ReadonlyMap<string, ResourceAnswer> {
  const answers = new Map<string, ResourceAnswer>()
  for (const { typeUrl, resources } of types) {
    const type = resourceTypeOf(typeUrl)
    if (type === undefined) continue
    for (const resource of resources) answers.set(`${type}/${resource.name}`, resource)
  }
  return answers
}

const REFERENCED = ['route', 'endpoints', 'secret'] as const

/**
 * Who has accepted a new listener has not asked for its routes yet: nothing is open between, and
 * still not all of the generation is there. Of a listener that cannot be bound nobody asks.
 */
function hasReferenced(set: ResourceSet, answers: ReadonlyMap<string, ResourceAnswer>): boolean {
  const missing = REFERENCED.flatMap((type) =>
    [...set[type].keys()]
      .map((name) => `${type}/${name}`)
      .filter((key) => answers.get(key)?.state !== 'acked'),
  )
  if (missing.length === 0) return true
  const unasked = onlyOfUnbound(set, answers)
  return missing.every((key) => unasked.has(key))
}

/** Routes and secrets that no listener refers to but those that are not bound. */
function onlyOfUnbound(
  set: ResourceSet,
  answers: ReadonlyMap<string, ResourceAnswer>,
): ReadonlySet<string> {
  const bound = new Set<string>()
  const unbound = new Set<string>()
  const add = (keys: Set<string>, { routes, secrets }: ReturnType<typeof referencesOf>) => {
    for (const name of routes) keys.add(`route/${name}`)
    for (const name of secrets) keys.add(`secret/${name}`)
  }
  for (const [name, listener] of set.listener) {
    const isUnbound = answers.get(`listener/${name}`)?.isUnbound === true
    add(isUnbound ? unbound : bound, referencesOf('listener', listener))
  }
  for (const cluster of set.cluster.values()) add(bound, referencesOf('cluster', cluster))
  return unbound.difference(bound)
}

/** Where in the object the listener comes from. */
function pathsOf(set: ResourceSet, resource: string, object: string): readonly string[] {
  const listener = set.listener.get(resource.slice('listener/'.length))
  const origins = listener?.origins.filter((origin) => originKey(origin) === object) ?? []
  return origins.flatMap(({ path }) => (path === undefined ? [] : [path]))
}

/** Sets are immutable and shared by many connections: worked out once each. */
const known = new WeakMap<ResourceSet, ReadonlyMap<string, readonly string[]>>()

function resourcesByObject(set: ResourceSet): ReadonlyMap<string, readonly string[]> {
  const before = known.get(set)
  if (before !== undefined) return before
  const objects = new Map<string, Set<string>>()
  const add = (resource: string, origins: readonly Origin[]) => {
    for (const origin of origins) {
      const key = originKey(origin)
      const resources = objects.get(key)
      if (resources === undefined) objects.set(key, new Set([resource]))
      else resources.add(resource)
    }
  }
  for (const [name, listener] of set.listener) add(`listener/${name}`, listener.origins)
  for (const [name, cluster] of set.cluster) add(`cluster/${name}`, cluster.origins)
  for (const [name, table] of set.route) {
    add(`route/${name}`, table.origins)
    for (const host of table.virtualHosts) {
      add(`route/${name}`, host.origins)
      for (const route of host.routes) add(`route/${name}`, route.origins)
    }
  }
  const result = new Map([...objects].map(([object, resources]) => [object, [...resources]]))
  known.set(set, result)
  return result
}
