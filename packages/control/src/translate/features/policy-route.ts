/** What policies change of one route: how it is steered, and what filters do for it. */
import { parseDurationMs } from '@weft/base'
import type { TrafficPolicySpec } from '@weft/config'
import type { FilterOverrides, ForwardAction, LocalRateLimit, Route } from '@weft/model'
import {
  adaptiveConcurrency,
  compression,
  csrf,
  hedging,
  sessionPersistence,
} from './policy-filters.ts'
import type { GlobalLimit } from './rate-limit.ts'

export interface RoutePolicy {
  /** Hedging, persistence and timeouts: matters of who calls. */
  readonly steering: TrafficPolicySpec
  /** Matters of who serves. */
  readonly filters: TrafficPolicySpec
  readonly limit: LocalRateLimit | undefined
  readonly global: GlobalLimit | undefined
}

/** What the route's own object says stays. The same route when nothing changes. */
export function routeUnderPolicy(route: Route, policy: RoutePolicy): Route {
  const added = overrides(policy)
  const action =
    route.action.kind === 'forward' ? steered(route.action, policy.steering) : undefined
  if (Object.keys(added).length === 0 && (action === undefined || action === route.action)) {
    return route
  }
  return {
    ...route,
    ...(action === undefined ? {} : { action }),
    ...(Object.keys(added).length === 0 ? {} : { filters: { ...added, ...route.filters } }),
  }
}

function overrides({ filters, limit, global, steering }: RoutePolicy): FilterOverrides {
  const { buffer } = filters
  const session =
    steering.sessionPersistence === undefined
      ? undefined
      : sessionPersistence(steering.sessionPersistence)
  return {
    ...(limit === undefined ? {} : { localRateLimit: limit }),
    ...(global === undefined ? {} : { rateLimits: global.actions }),
    ...(filters.csrf === undefined ? {} : { csrf: csrf(filters.csrf) }),
    ...(filters.adaptiveConcurrency === undefined
      ? {}
      : { adaptiveConcurrency: adaptiveConcurrency(filters.adaptiveConcurrency) }),
    ...(filters.compression === undefined
      ? {}
      : { compressor: { ...compression(filters.compression), disabled: false } }),
    ...(buffer === undefined ? {} : { maxRequestBytes: buffer.maxRequestBytes }),
    ...(session === undefined ? {} : { session }),
  }
}

function steered(action: ForwardAction, spec: TrafficPolicySpec): ForwardAction {
  const hedge = spec.hedging === undefined ? undefined : hedging(spec.hedging)
  const idleTimeoutMs = readMs(spec.timeouts?.streamIdle)
  const maxStreamDurationMs = readMs(spec.timeouts?.maxStreamDuration)
  if (hedge === undefined && idleTimeoutMs === undefined && maxStreamDurationMs === undefined) {
    return action
  }
  return {
    ...(hedge === undefined ? {} : { hedge }),
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...(maxStreamDurationMs === undefined ? {} : { maxStreamDurationMs }),
    ...action,
  }
}

function readMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDurationMs(text)
}
