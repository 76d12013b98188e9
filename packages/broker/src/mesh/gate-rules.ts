/** What a listener of the sidecar asks before a request passes, read from its HTTP filters. */
import type {
  FilterOverrides,
  HttpConnectionManager,
  JwtAuthentication,
  LocalRateLimit,
  RateLimitActions,
  RateLimitService,
  Route,
} from '@weft/model'
import { type CompiledRbac, compileRbac, isLeasedLimit } from '@weft/traffic'

interface TokenRule {
  readonly authentication: JwtAuthentication
  /** What the route asks for by name, in place of the listener's requirement. */
  readonly requirement?: string
}

export interface LocalRule {
  readonly limit: LocalRateLimit
  /** What its descriptors are read by. */
  readonly actions: readonly RateLimitActions[]
  /** Whose buckets they are; empty: the listener's. */
  readonly ofRoute: string
}

export interface GlobalRule {
  readonly service: RateLimitService
  /** At least one. */
  readonly actions: readonly RateLimitActions[]
  readonly isLeased: boolean
}

/** In the order in which they are asked. */
export interface GateRules {
  readonly tokens: readonly TokenRule[]
  readonly rbac: readonly CompiledRbac[]
  readonly limits: readonly LocalRule[]
  readonly globals: readonly GlobalRule[]
  /** Where the route leads, as limits name it; empty: to none. */
  readonly destinationCluster: string
}

const OPEN: GateRules = { tokens: [], rbac: [], limits: [], globals: [], destinationCluster: '' }

/** The route that a request takes through a listener; absent: it has none. */
export interface GateRoute {
  readonly source: Pick<Route, 'name' | 'action'>
  /** The virtual host's settings, where the route says nothing else. */
  readonly overrides: FilterOverrides
}

/** @throws {ConfigError} For rules that cannot be understood: nothing is let in by them. */
export function readGateRules(
  manager: HttpConnectionManager | undefined,
  { source, overrides }: GateRoute,
): GateRules {
  if (manager === undefined) return OPEN
  const { jwtRequirement: requirement, rateLimits = [], disabled = [] } = overrides
  const { action, name } = source
  const filters = manager.filters.filter(({ kind }) => !disabled.includes(kind))
  return {
    tokens: filters.flatMap((one) =>
      one.kind === 'jwtAuthn'
        ? [
            {
              authentication: one.authentication,
              ...(requirement === undefined ? {} : { requirement }),
            },
          ]
        : [],
    ),
    rbac: filters.flatMap((one) =>
      one.kind === 'rbac' && one.rules !== undefined ? [compileRbac(one.rules)] : [],
    ),
    limits: filters.flatMap((one) => {
      if (one.kind !== 'localRateLimit') return []
      const own = overrides.localRateLimit
      const limit = own ?? one.limit
      if (limit === undefined || limit.enabledPercent <= 0) return []
      const actions = limit.actions.length > 0 ? limit.actions : rateLimits
      return [{ limit, actions, ofRoute: own === undefined ? '' : name }]
    }),
    globals: filters.flatMap((one) => {
      if (one.kind !== 'rateLimit') return []
      const { service } = one
      const actions = service.actions ?? rateLimits.filter(({ stage }) => stage === service.stage)
      return actions.length === 0
        ? []
        : [{ service, actions, isLeased: isLeasedLimit(service, actions) }]
    }),
    destinationCluster: action.kind === 'forward' ? action.targets[0].cluster : '',
  }
}
