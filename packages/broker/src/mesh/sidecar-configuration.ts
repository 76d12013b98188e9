/**
 * What of a workload's configuration its sidecar in the broker goes by. All of it, but for two
 * things that are the broker's:
 *
 * - Who dials in does not get a forward proxy to whatever the broker can reach: clusters that go
 *   where a request says are left out unless a service is declared that way.
 * - Who may call a service that speaks RSocket is judged by the broker, which knows service and
 *   method; the sidecar says by certificate who asks.
 */
import type { FilterChain, Listener, ResourceSet } from '@weft/model'
import type { WorkloadKind } from './workload-feeds.ts'

export function forSidecar(
  set: ResourceSet,
  { isHttp }: Pick<WorkloadKind, 'isHttp'>,
): ResourceSet {
  const cluster = new Map(
    [...set.cluster].filter(([, { discovery, service }]) => {
      const isAnywhere = discovery.kind === 'forwardProxy' || discovery.kind === 'originalDst'
      return !isAnywhere || service !== undefined
    }),
  )
  const listener = isHttp
    ? set.listener
    : new Map([...set.listener].map(([name, one]) => [name, withoutGates(one)]))
  return { ...set, cluster, listener }
}

/** Tokens too: claims that a rule asks for must not be lost on the way. */
const JUDGED_BY_BROKER: ReadonlySet<string> = new Set(['rbac', 'jwtAuthn', 'localRateLimit'])

/** By listener, so that one that is the same stays the same. */
const known = new WeakMap<Listener, Listener>()

function withoutGates(listener: Listener): Listener {
  if (listener.direction !== 'inbound') return listener
  let changed = known.get(listener)
  if (changed === undefined) {
    changed = { ...listener, filterChains: listener.filterChains.map(chainWithoutGates) }
    known.set(listener, changed)
  }
  return changed
}

function chainWithoutGates(chain: FilterChain): FilterChain {
  const { filter } = chain
  if (filter.kind !== 'http') return chain
  const filters = filter.filters.filter(({ kind }) => !JUDGED_BY_BROKER.has(kind))
  return { ...chain, filter: { ...filter, filters } }
}
