/**
 * Which proxies took what came from which object: the answers of every
 * connection, rolled up by the objects that made the resources.
 */
import type { Origin, ResourceSet } from '@weft/model'
import { type ConnectionStatus, resourceTypeOf } from '@weft/xds'
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
  const summaries = new Map<
    string,
    { proxies: number; acknowledged: number; current: number; rejected: Map<string, string> }
  >()
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
      const rejected = own.find((answer) => answer?.state === 'rejected')
      if (rejected !== undefined) summary.rejected.set(delivery.name, rejected.message ?? '')
      else if (own.every((answer) => answer?.state === 'acked')) summary.acknowledged++
    }
  }
  return new Map(
    [...summaries].map(([object, { proxies, acknowledged, current, rejected }]) => [
      object,
      {
        proxies,
        acknowledged,
        current,
        rejected: [...rejected].map(([proxy, message]) => ({ proxy, message })),
      },
    ]),
  )
}

function newSummary() {
  return { proxies: 0, acknowledged: 0, current: 0, rejected: new Map<string, string>() }
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
 * still not all of the generation is there.
 */
function hasReferenced(set: ResourceSet, answers: ReadonlyMap<string, ResourceAnswer>): boolean {
  return REFERENCED.every((type) =>
    [...set[type].keys()].every((name) => answers.get(`${type}/${name}`)?.state === 'acked'),
  )
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
