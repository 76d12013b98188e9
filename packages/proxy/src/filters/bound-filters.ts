/**
 * The filters of a listener as they are for one route: those with settings are bound once per
 * runtime tree and route, and found again for each request.
 */
import type { FilterOverrides, HttpFilterConfig, VirtualHost } from '@weft/model'
import type { CompiledRoute } from '@weft/traffic'
import type { EngineDeps, HttpRuntime } from '../exchange/contract.ts'
import { boundFilters } from './catalog.ts'
import { cors } from './cors.ts'
import { fault } from './fault.ts'
import type { BoundFilter, FilterScope, HttpFilter } from './http-filter.ts'
import { countedFilter } from './plain-stats.ts'

type ChainFilter =
  | { readonly kind: 'plain'; readonly filter: HttpFilter }
  | { readonly kind: 'bound'; readonly filter: BoundFilter }

export type FilterChain = readonly ChainFilter[]

const NONE: FilterChain = []
const chains = new WeakMap<HttpRuntime, WeakMap<CompiledRoute, FilterChain>>()

export function filterChainOf(
  deps: EngineDeps,
  runtime: HttpRuntime,
  virtualHost: VirtualHost,
  route: CompiledRoute,
): FilterChain {
  const { filters } = runtime.manager
  if (filters.length === 0) return NONE
  let ofRuntime = chains.get(runtime)
  if (ofRuntime === undefined) {
    ofRuntime = new WeakMap()
    chains.set(runtime, ofRuntime)
  }
  const known = ofRuntime.get(route)
  if (known !== undefined) return known
  const { source } = route
  const overrides: FilterOverrides = { ...virtualHost.filters, ...source.filters }
  const scope = { deps, runtime, route: source, overrides }
  const chain = filters.flatMap((config) => bind(config, scope))
  ofRuntime.set(route, chain)
  return chain
}

function bind(config: HttpFilterConfig, scope: FilterScope): ChainFilter[] {
  const { overrides, route } = scope
  if (overrides.disabled?.includes(config.kind) === true) return []
  switch (config.kind) {
    case 'cors':
      return route.cors === undefined ? [] : plain(cors, scope)
    case 'fault':
      return route.fault === undefined ? [] : plain(fault, scope)
    case 'csrf':
      return bound(boundFilters.csrf(config, scope))
    case 'localRateLimit':
      return bound(boundFilters.localRateLimit(config, scope))
    case 'rateLimit':
      return bound(boundFilters.rateLimit(config, scope))
    case 'adaptiveConcurrency':
      return bound(boundFilters.adaptiveConcurrency(config, scope))
    case 'grpcWeb':
      return bound(boundFilters.grpcWeb(config, scope))
    case 'buffer':
      return bound(boundFilters.buffer(config, scope))
    case 'compressor':
      return bound(boundFilters.compressor(config, scope))
    default:
      return []
  }
}

function plain(filter: HttpFilter, scope: FilterScope): ChainFilter[] {
  const counted = countedFilter(filter, scope)
  return counted === undefined ? [{ kind: 'plain', filter }] : bound(counted)
}

function bound(filter: BoundFilter | undefined): ChainFilter[] {
  return filter === undefined ? [] : [{ kind: 'bound', filter }]
}
