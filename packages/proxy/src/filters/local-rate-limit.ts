/** Token buckets in this proxy (Envoy's local_ratelimit filter). */
import type { LocalRateLimit } from '@weft/model'
import { encodeStamps } from '../exchange/encoded-headers.ts'
import { shareOfRateLimit } from '../workers/worker-share.ts'
import { FilterMemory } from './filter-memory.ts'
import type {
  BindFilter,
  BoundFilter,
  FilterCall,
  FilterScope,
  FilterVerdict,
} from './http-filter.ts'
import { descriptorsOf } from './rate-limit/descriptors.ts'
import { LocalLimiter } from './rate-limit/local-limiter.ts'
import type { TokenBucket } from './rate-limit/token-bucket.ts'

export const localRateLimit: BindFilter<'localRateLimit'> = (config, scope) => {
  const own = scope.overrides.localRateLimit
  const limit = own ?? config.limit
  if (limit === undefined || limit.enabledPercent <= 0) return undefined
  return new LocalRateLimitFilter(limit, scope, own !== undefined)
}

class LocalRateLimitFilter implements BoundFilter {
  readonly #limit: LocalRateLimit
  readonly #scope: FilterScope
  readonly #stats: ReturnType<typeof statsOf>
  readonly #shared: LocalLimiter
  readonly #perConnection = new WeakMap<object, LocalLimiter>()

  constructor(limit: LocalRateLimit, scope: FilterScope, ofRoute: boolean) {
    this.#limit = limit
    this.#scope = scope
    this.#stats = statsOf(limit, scope)
    this.#shared = sharedLimiter(limit, scope, ofRoute)
  }

  onRequest(call: FilterCall): FilterVerdict {
    const limit = this.#limit
    const { clock, random } = this.#scope.deps
    if (!hits(limit.enabledPercent, random)) return undefined
    this.#stats?.enabled()
    const nowMs = clock.monotonicMs()
    const limiter = this.#limiterOf(call.connection, nowMs)
    const { allowed, bucket } = limiter.check(this.#descriptors(call), nowMs)
    if (allowed) this.#stats?.ok()
    else this.#stats?.limited()
    const headers = limit.headers ? limitHeaders(bucket, nowMs) : []
    if (allowed || !hits(limit.enforcedPercent, random)) {
      return headers.length === 0 ? undefined : { kind: 'stamp', headers: encodeStamps(headers) }
    }
    this.#stats?.enforced()
    const added = [...headers, ...limit.responseHeaders]
    const reply = {
      status: limit.status,
      body: 'local_rate_limited',
      headers: added.map(({ name, value }) => [name, value] as const),
    }
    return { kind: 'reply', reply, failure: 'localRateLimited' }
  }

  #limiterOf(connection: object, nowMs: number): LocalLimiter {
    if (!this.#limit.perConnection) return this.#shared
    const known = this.#perConnection.get(connection)
    if (known !== undefined) return known
    const limiter = new LocalLimiter(this.#limit, nowMs)
    this.#perConnection.set(connection, limiter)
    return limiter
  }

  #descriptors({ request, remoteHost, principal }: FilterCall) {
    const { descriptors, actions } = this.#limit
    const { overrides, route } = this.#scope
    if (descriptors.length === 0) return []
    // Without actions of its own it counts by those that the route has for the global limit.
    return descriptorsOf(actions.length > 0 ? actions : (overrides.rateLimits ?? []), {
      request,
      remoteHost,
      principal,
      sourceCluster: '',
      destinationCluster: route.action.kind === 'forward' ? route.action.targets[0].cluster : '',
    })
  }
}

function statsOf({ statPrefix }: LocalRateLimit, { deps: { filterStats } }: FilterScope) {
  if (filterStats === undefined) return undefined
  const counter = (leaf: string) =>
    filterStats.counter({ kind: 'localRateLimit', name: statPrefix }, leaf)
  return {
    enabled: counter('enabled'),
    ok: counter('ok'),
    limited: counter('rate_limited'),
    enforced: counter('enforced'),
  }
}

/** Draft version 3 of the RateLimit header fields. */
function limitHeaders(bucket: TokenBucket, nowMs: number) {
  return [
    { name: 'x-ratelimit-limit', value: String(bucket.maxTokens) },
    { name: 'x-ratelimit-remaining', value: String(bucket.remaining(nowMs)) },
    { name: 'x-ratelimit-reset', value: String(bucket.resetSeconds(nowMs)) },
  ]
}

function hits(percent: number, random: () => number): boolean {
  return percent >= 100 || random() * 100 < percent
}

const limiters = new FilterMemory<LocalLimiter>()

function sharedLimiter(
  limit: LocalRateLimit,
  { deps, runtime, route }: FilterScope,
  ofRoute: boolean,
): LocalLimiter {
  const key = [runtime.listener, ofRoute ? route.name : '', limit]
  const { clock, place } = deps
  const own = place === undefined ? limit : shareOfRateLimit(limit, place)
  return limiters.get(deps, key, () => new LocalLimiter(own, clock.monotonicMs()))
}
