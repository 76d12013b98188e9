/**
 * The filters of a listener as they are for one route: those with settings are bound once per
 * runtime tree and route, and found again for each request.
 */
import {
  type FilterOverrides,
  type HttpFilterConfig,
  NO_HEADER_CHANGES,
  type Route,
  type VirtualHost,
} from '@weft/model'
import type { CompiledRoute } from '@weft/traffic'
import type { EngineDeps, HttpRuntime } from '../exchange/contract.ts'
import { boundFilters } from './catalog.ts'
import { cors } from './cors.ts'
import { fault } from './fault.ts'
import type { BoundFilter, FilterScope, HttpFilter } from './http-filter.ts'
import { countedFilter } from './plain-stats.ts'

type ChainFilter = PlacedFilter & {
  /** In the listener's list. */
  readonly place: number
}

type PlacedFilter =
  | { readonly kind: 'plain'; readonly filter: HttpFilter }
  | { readonly kind: 'bound'; readonly filter: BoundFilter }

export type FilterChain = readonly ChainFilter[]

const NONE: FilterChain = []
/** Nearly every request is for the same route, or at least the same runtime, as the last one. */
let lastRuntime: HttpRuntime | undefined
let lastOfRuntime = new WeakMap<CompiledRoute, FilterChain>()
let lastRoute: CompiledRoute | undefined
let lastChain = NONE
const chains = new WeakMap<HttpRuntime, WeakMap<CompiledRoute, FilterChain>>()

export function filterChainOf(
  deps: EngineDeps,
  runtime: HttpRuntime,
  virtualHost: VirtualHost,
  route: CompiledRoute,
): FilterChain {
  const { filters } = runtime.manager
  if (filters.length === 0) return NONE
  if (runtime === lastRuntime && route === lastRoute) return lastChain
  if (runtime !== lastRuntime) {
    lastOfRuntime = chains.get(runtime) ?? new WeakMap()
    chains.set(runtime, lastOfRuntime)
    lastRuntime = runtime
    lastRoute = undefined
  }
  const chain = lastOfRuntime.get(route) ?? bindAll(deps, runtime, virtualHost, route)
  lastOfRuntime.set(route, chain)
  lastRoute = route
  lastChain = chain
  return chain
}

function bindAll(
  deps: EngineDeps,
  runtime: HttpRuntime,
  virtualHost: VirtualHost,
  route: CompiledRoute,
): FilterChain {
  const { source } = route
  const overrides: FilterOverrides = { ...virtualHost.filters, ...source.filters }
  const scope = { deps, runtime, route: source, overrides }
  return placed(runtime.manager.filters, scope)
}

function placed(filters: readonly HttpFilterConfig[], scope: FilterScope): FilterChain {
  return filters.flatMap((config, place) =>
    bind(config, scope).map((filter) => ({ ...filter, place })),
  )
}

const guards = new WeakMap<HttpRuntime, FilterChain>()
const GUARDS: readonly string[] = ['jwtAuthn', 'extAuthz', 'rbac']

/**
 * Those that decide who may call: they run for requests without a route too. There may be one once
 * it is known who calls, and if not, strangers do not learn which paths there are.
 */
export function guardsOf(deps: EngineDeps, runtime: HttpRuntime): FilterChain {
  const known = guards.get(runtime)
  if (known !== undefined) return known
  const scope = { deps, runtime, route: NO_ROUTE, overrides: {} }
  const { filters } = runtime.manager
  const chain = placed(filters, scope).filter(({ place }) => {
    const config = filters[place]
    return config !== undefined && GUARDS.includes(config.kind)
  })
  guards.set(runtime, chain)
  return chain
}

const NO_ROUTE: Route = {
  name: '',
  match: { path: { kind: 'prefix', value: '/', ignoreCase: false }, headers: [], query: [] },
  action: { kind: 'respond', status: 404, body: '' },
  requestHeaders: NO_HEADER_CHANGES,
  responseHeaders: NO_HEADER_CHANGES,
  origins: [],
}

function bind(config: HttpFilterConfig, scope: FilterScope): PlacedFilter[] {
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
    case 'jwtAuthn':
      return bound(boundFilters.jwtAuthn(config, scope))
    case 'extAuthz':
      return bound(boundFilters.extAuthz(config, scope))
    case 'rbac':
      return bound(boundFilters.rbac(config, scope))
    case 'compressor':
      return bound(boundFilters.compressor(config, scope))
    default:
      return []
  }
}

function plain(filter: HttpFilter, scope: FilterScope): PlacedFilter[] {
  const counted = countedFilter(filter, scope)
  return counted === undefined ? [{ kind: 'plain', filter }] : bound(counted)
}

function bound(filter: BoundFilter | undefined): PlacedFilter[] {
  return filter === undefined ? [] : [{ kind: 'bound', filter }]
}
