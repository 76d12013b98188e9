/** Where the broker meets its filters: which of them a stream or a connection is for. */
import type { Leg } from '../leg.ts'
import type { PeerFacts } from '../peer-facts.ts'
import type { RequestCall, ServiceHashes } from '../request-call.ts'
import type { StreamEntry } from '../stream-entry.ts'
import type { FilterConnection, FilterStream } from './filter.ts'
import type { FilterSet } from './filter-set.ts'
import { FilteredStream } from './filtered-stream.ts'
import type { ActiveFilter } from './item-lane.ts'
import { FAILED, type LoadedFilter, matches } from './loaded-filter.ts'

/** What the broker itself answers is asked by the links' own machinery. */
const OWN_SERVICES: readonly string[] = [
  'weft.broker',
  'com.alibaba.rsocket.health.RSocketServiceHealth',
]

export class FilterStage {
  readonly #set: Pick<FilterSet, 'chain' | 'version'>
  readonly #hashes: ServiceHashes

  constructor(set: Pick<FilterSet, 'chain' | 'version'>, hashes: ServiceHashes) {
    this.#set = set
    this.#hashes = hashes
  }

  get version(): number {
    return this.#set.version
  }

  /** Undefined: no filter wants to see the stream. */
  begin(entry: StreamEntry, call: RequestCall): FilteredStream | undefined {
    const { requester, interaction } = entry
    const { service } = call.route
    const { chain } = this.#set
    if (chain.length === 0 || requester.facts.skipsFilters === true) return undefined
    if (OWN_SERVICES.includes(service)) return undefined
    const names = namesOf(call)
    let stream: FilterStream | undefined
    const filters: ActiveFilter[] = []
    for (const loaded of chain) {
      if (loaded.filter.create === undefined) continue
      if (!names.some((name) => matches(loaded.settings.match, name, interaction))) continue
      stream ??= streamOf(requester, call)
      const hooks = hooksOf(loaded, stream)
      if (hooks !== undefined) filters.push({ loaded, hooks })
    }
    if (filters.length === 0) return undefined
    return new FilteredStream({ entry, filters, hashes: this.#hashes })
  }

  /** Whether the connection is let in; a text refuses it. */
  async admit(leg: Leg, facts: PeerFacts): Promise<string | undefined> {
    const connection = connectionOf(leg, facts)
    for (const loaded of this.#set.chain) {
      const { filter, config, settings } = loaded
      if (filter.onConnect === undefined) continue
      const said = await loaded.call(() => filter.onConnect?.(connection, config))
      if (said === FAILED) return `WEFT-503 the filter ${settings.name} failed`
      if (said === undefined || settings.phase === 'observe') continue
      loaded.health.refusals++
      return said
    }
    return undefined
  }
}

/**
 * How a filter may name what is called. Callers may leave the method out, and the last word of the
 * service stands in its place then; hosts are the same in upper case.
 */
function namesOf({ route, isHttp }: RequestCall): readonly string[] {
  const { service, method } = route
  if (isHttp) return [service.toLowerCase().replace(/\.$/, '')]
  return method === '' ? [service] : [service, `${service}.${method}`]
}

/** Undefined: it does not take part. One that fails closed takes part by refusing. */
function hooksOf(loaded: LoadedFilter, stream: FilterStream): ActiveFilter['hooks'] | undefined {
  const { filter, config, settings } = loaded
  const made = loaded.call(() => {
    const hooks = filter.create?.(config, stream)
    const seesItems = settings.needs.has('request-items') || settings.needs.has('response-items')
    if (hooks?.onItem !== undefined && !seesItems) {
      throw new Error("needs must have 'request-items' or 'response-items' for onItem")
    }
    return hooks
  })
  if (made !== FAILED) return made instanceof Promise ? undefined : made
  const refuse = `WEFT-503 the filter ${settings.name} failed`
  return { onRequest: () => ({ refuse }) }
}

function streamOf(leg: Leg, call: RequestCall): FilterStream {
  const { interaction, key, route, tags } = call
  const { service, method } = route
  return {
    ...{ interaction, route: key, service, method, tags },
    connection: connectionOf(leg, leg.facts),
  }
}

/** Made once for what is known of a connection. */
const connections = new WeakMap<PeerFacts, FilterConnection>()

function connectionOf(leg: Leg, facts: PeerFacts): FilterConnection {
  const known = connections.get(facts)
  if (known !== undefined) return known
  const { identity, instance } = facts
  const connection: FilterConnection = {
    principal: identity.principal,
    claims: identity.claims,
    instance: instance?.id ?? '',
    app: instance?.app ?? '',
    namespace: instance?.namespace ?? '',
    labels: instance?.labels ?? {},
    services: instance?.services.map(({ service }) => service) ?? [],
    remoteAddress: leg.socket.remoteAddress.host,
  }
  connections.set(facts, connection)
  return connection
}
