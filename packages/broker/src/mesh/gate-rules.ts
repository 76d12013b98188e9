/** What a listener of the sidecar asks before a request passes, read from its HTTP filters. */
import type {
  FilterOverrides,
  HttpConnectionManager,
  JwtAuthentication,
  LocalRateLimit,
} from '@weft/model'
import { type CompiledRbac, compileRbac } from '@weft/traffic'

/** In the order in which they are asked. */
export interface GateRules {
  readonly tokens: readonly JwtAuthentication[]
  readonly rbac: readonly CompiledRbac[]
  readonly limits: readonly LocalRateLimit[]
}

const OPEN: GateRules = { tokens: [], rbac: [], limits: [] }

/** @throws {ConfigError} For rules that cannot be understood: nothing is let in by them. */
export function readGateRules(
  manager: HttpConnectionManager | undefined,
  overrides: FilterOverrides,
): GateRules {
  if (manager === undefined) return OPEN
  const { filters } = manager
  return {
    tokens: filters.flatMap((one) => (one.kind === 'jwtAuthn' ? [one.authentication] : [])),
    rbac: filters.flatMap((one) =>
      one.kind === 'rbac' && one.rules !== undefined ? [compileRbac(one.rules)] : [],
    ),
    limits: filters.flatMap((one) => {
      const limit =
        one.kind === 'localRateLimit' ? (overrides.localRateLimit ?? one.limit) : undefined
      return limit === undefined || limit.enabledPercent <= 0 ? [] : [limit]
    }),
  }
}
