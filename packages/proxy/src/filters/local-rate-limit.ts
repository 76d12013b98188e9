/** Token buckets in this proxy (Envoy's local_ratelimit filter). */
import type { LocalRateLimit } from '@weft/model'
import { type CountedDescriptor, countedDescriptorsOf, LocalLimiter } from '@weft/traffic'
import { encodeStamps } from '../exchange/encoded-headers.ts'
import { FilterMemory } from './filter-memory.ts'
import type {
  BindFilter,
  BoundFilter,
  FilterCall,
  FilterScope,
  FilterVerdict,
} from './http-filter.ts'
import {
  hitsOf,
  limitHeaders,
  SharedLimiter,
  type SharedVerdict,
} from './rate-limit/shared-limiter.ts'

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
  readonly #limiter: LocalLimiter | SharedLimiter
  readonly #perConnection = new WeakMap<object, LocalLimiter>()

  constructor(limit: LocalRateLimit, scope: FilterScope, ofRoute: boolean) {
    this.#limit = limit
    this.#scope = scope
    this.#stats = statsOf(limit, scope)
    this.#limiter = limiterOf(limit, scope, ofRoute)
  }

  onRequest(call: FilterCall): FilterVerdict {
    const { clock, random } = this.#scope.deps
    if (!hits(this.#limit.enabledPercent, random)) return undefined
    this.#stats?.enabled()
    const descriptors = this.#descriptors(call)
    const limiter = this.#limiterFor(call.connection)
    if (limiter instanceof SharedLimiter) return this.#askShared(limiter, descriptors)
    const nowMs = clock.monotonicMs()
    const entries = descriptors.map((one) => one.entries)
    const { allowed, bucket } = limiter.check(entries, nowMs, hitsOf(descriptors))
    const headers = this.#limit.headers
      ? limitHeaders({
          maxTokens: bucket.maxTokens,
          remaining: bucket.remaining(nowMs),
          resetMs: bucket.resetMs(nowMs),
        })
      : []
    return this.#verdict({ allowed, headers })
  }

  /** It rarely has to ask: most requests find a token. */
  #askShared(limiter: SharedLimiter, descriptors: readonly CountedDescriptor[]): FilterVerdict {
    let tell: (verdict: FilterVerdict) => void = () => undefined
    const took = limiter.take(descriptors, (verdict) => tell(this.#verdict(verdict)))
    if (typeof took !== 'function') return this.#verdict(took)
    return {
      kind: 'wait',
      start(done) {
        tell = done
        return took
      },
    }
  }

  #verdict({ allowed, headers }: SharedVerdict): FilterVerdict {
    const limit = this.#limit
    if (allowed) this.#stats?.ok()
    else this.#stats?.limited()
    if (allowed || !hits(limit.enforcedPercent, this.#scope.deps.random)) {
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

  #limiterFor(connection: object): LocalLimiter | SharedLimiter {
    if (!this.#limit.perConnection) return this.#limiter
    const known = this.#perConnection.get(connection)
    if (known !== undefined) return known
    const limiter = new LocalLimiter(this.#limit, this.#scope.deps.clock.monotonicMs())
    this.#perConnection.set(connection, limiter)
    return limiter
  }

  #descriptors({
    request,
    remoteHost,
    principal,
    facts,
  }: FilterCall): readonly CountedDescriptor[] {
    const { descriptors, actions } = this.#limit
    const { overrides, route, deps } = this.#scope
    if (descriptors.length === 0) return []
    // Without actions of its own it counts by those that the route has for the global limit.
    return countedDescriptorsOf(actions.length > 0 ? actions : (overrides.rateLimits ?? []), {
      request,
      remoteHost,
      principal,
      metadata: facts,
      sourceCluster: deps.serviceCluster ?? '',
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

function hits(percent: number, random: () => number): boolean {
  return percent >= 100 || random() * 100 < percent
}

const limiters = new FilterMemory<LocalLimiter | SharedLimiter>()

function limiterOf(
  limit: LocalRateLimit,
  { deps, runtime, route }: FilterScope,
  ofRoute: boolean,
): LocalLimiter | SharedLimiter {
  const key = [runtime.listener, ofRoute ? route.name : '', limit]
  const { clock, limits } = deps
  return limiters.get(deps, key, () =>
    limits === undefined
      ? new LocalLimiter(limit, clock.monotonicMs())
      : new SharedLimiter(JSON.stringify(key), limit, limits, clock),
  )
}
