/** Which rate limits a request meets on its route, as sentences: a simulation counts nothing. */
import type { FilterOverrides, HttpConnectionManager, LocalRateLimit } from '@weft/model'

/** Limits that the control plane counts. */
const OWN_DOMAIN = 'weft.io/'

/** @param overrides What the virtual host and the route say, the route first. */
export function limitFacts(
  manager: HttpConnectionManager,
  ...overrides: readonly (FilterOverrides | undefined)[]
): readonly string[] {
  return manager.filters.flatMap((filter) => {
    if (overrides.some((one) => one?.disabled?.includes(filter.kind) === true)) return []
    if (filter.kind === 'localRateLimit') {
      const limit = overrides.find((one) => one?.localRateLimit !== undefined)?.localRateLimit
      const own = limit ?? filter.limit
      return own === undefined || own.enabledPercent === 0 ? [] : [localFact(own)]
    }
    if (filter.kind !== 'rateLimit') return []
    const { domain, actions, stage, failureModeDeny, cluster } = filter.service
    const ofRoute = overrides.flatMap((one) => one?.rateLimits ?? [])
    const fitting = actions ?? ofRoute.filter((one) => one.stage === stage)
    if (fitting.length === 0) return []
    const otherwise = failureModeDeny ? 'refused with 500' : 'let pass'
    const counter = domain.startsWith(OWN_DOMAIN)
      ? `the control plane counts RateLimit ${domain.slice(OWN_DOMAIN.length)} for all proxies together`
      : `the service behind cluster "${cluster}" counts domain "${domain}"`
    return [`global rate limit: ${counter}; without an answer the request is ${otherwise}`]
  })
}

function localFact({ statPrefix, bucket, descriptors, status }: LocalRateLimit): string {
  const buckets = [...descriptors.map((one) => one.bucket), bucket]
  const rates = buckets
    .filter(({ maxTokens }) => maxTokens < UNLIMITED)
    .map(({ tokensPerFill, fillIntervalMs }) => `${tokensPerFill} per ${fillIntervalMs} ms`)
  return `rate limit "${statPrefix}" of each proxy: ${rates.join(', ')}; beyond it ${status}`
}

/** What has no limit is written as the largest number. */
const UNLIMITED = 4_294_967_295
