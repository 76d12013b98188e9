/** `sessionPersistence` of Gateway API rules, and the filter that listeners need for it. */
import { parseDurationMs } from '@weft/base'
import type { GatewaySessionPersistence } from '@weft/config'
import type { FilterChain, Listener, RouteTable, SessionPersistence } from '@weft/model'

const DEFAULT_NAME = 'weft-session'

export function sessionOf(
  settings: GatewaySessionPersistence | undefined,
): SessionPersistence | undefined {
  if (settings === undefined) return undefined
  const { type, sessionName, cookie, cookieConfig, header, absoluteTimeout } = settings
  if (type === 'Header') {
    return { kind: 'header', name: (header?.name ?? sessionName ?? DEFAULT_NAME).toLowerCase() }
  }
  const lifetime = cookie?.lifetimeType ?? cookieConfig?.lifetimeType
  const isPermanent = lifetime === 'Permanent' && absoluteTimeout !== undefined
  return {
    kind: 'cookie',
    name: cookie?.name ?? sessionName ?? DEFAULT_NAME,
    path: cookie?.path ?? '/',
    ttlMs: isPermanent ? (parseDurationMs(absoluteTimeout) ?? 0) : 0,
  }
}

/** Listeners whose routes keep sessions get the filter; the others stay the same objects. */
export function withSessionFilter(
  listeners: readonly Listener[],
  tables: readonly RouteTable[],
): readonly Listener[] {
  const keeping = new Set(tables.filter(keepsSessions).map(({ name }) => name))
  if (keeping.size === 0) return listeners
  return listeners.map((listener) => {
    const { filterChains, defaultFilterChain } = listener
    const chains = filterChains.map((chain) => withFilter(chain, keeping))
    const fallback =
      defaultFilterChain === undefined ? undefined : withFilter(defaultFilterChain, keeping)
    const isSame =
      fallback === defaultFilterChain && chains.every((chain, i) => chain === filterChains[i])
    if (isSame) return listener
    return {
      ...listener,
      filterChains: chains,
      ...(fallback === undefined ? {} : { defaultFilterChain: fallback }),
    }
  })
}

function keepsSessions({ virtualHosts }: RouteTable): boolean {
  return virtualHosts.some(({ routes }) => routes.some((one) => one.filters?.session !== undefined))
}

function withFilter(chain: FilterChain, keeping: ReadonlySet<string>): FilterChain {
  const { filter } = chain
  if (filter.kind !== 'http' || filter.routes.kind !== 'rds') return chain
  if (!keeping.has(filter.routes.name)) return chain
  if (filter.filters.some(({ kind }) => kind === 'statefulSession')) return chain
  return {
    ...chain,
    filter: { ...filter, filters: [...filter.filters, { kind: 'statefulSession' }] },
  }
}
