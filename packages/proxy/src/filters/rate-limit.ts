/** The global rate limit: asks a service that counts for all proxies (Envoy's ratelimit filter). */
import type { HeaderValue, RateLimitService } from '@weft/model'
import { FIRST_PICK } from '@weft/traffic'
import { loadRateLimitMessages, type RateLimitAnswer, type RateLimitMessages } from '@weft/xds'
import type { EngineDeps } from '../exchange/contract.ts'
import { encodeStamps } from '../exchange/encoded-headers.ts'
import type { BindFilter, FilterScope, FilterVerdict } from './http-filter.ts'
import { type Descriptor, descriptorsOf } from './rate-limit/descriptors.ts'
import { type LeaseSource, Leases, type LeaseVerdict } from './rate-limit/leases.ts'
import { GIVE_BACK, type Question, ServiceClient } from './rate-limit/service-client.ts'

const client = new ServiceClient()
/** There when the first limit was bound a moment ago. */
let loaded: RateLimitMessages | undefined

/** The control plane's own cluster: it need not be in the configuration. */
const CONTROL_CLUSTER = 'weft-control'
/** Limits that the control plane counts; of those it grants shares. */
const LEASED = 'weft.io/'
const leases = new WeakMap<EngineDeps, Leases>()

export const rateLimit: BindFilter<'rateLimit'> = ({ service }, scope) => {
  const ofRoute = () =>
    (scope.overrides.rateLimits ?? []).filter(({ stage }) => stage === service.stage)
  const actions = service.actions ?? ofRoute()
  if (actions.length === 0) return undefined
  if (loaded === undefined) void load()
  const { action } = scope.route
  const destinationCluster = action.kind === 'forward' ? action.targets[0].cluster : ''
  const asking: Asking = { service, scope, stats: statsOf(scope, destinationCluster) }
  const isLeased = service.domain.startsWith(LEASED)
  return {
    onRequest({ request, remoteHost, principal }): FilterVerdict {
      const { serviceCluster: sourceCluster = '' } = scope.deps
      const facts = { request, remoteHost, principal, sourceCluster, destinationCluster }
      const descriptors = descriptorsOf(actions, facts)
      if (descriptors.length === 0) return undefined
      return isLeased ? lease(asking, descriptors) : ask(asking, descriptors)
    },
  }
}

interface Asking {
  readonly service: RateLimitService
  readonly scope: FilterScope
  readonly stats: Stats
}

interface Stats {
  ok(): void
  over(): void
  error(): void
  allowed(): void
}

const UNCOUNTED: Stats = { ok() {}, over() {}, error() {}, allowed() {} }

function statsOf({ deps: { filterStats } }: FilterScope, cluster: string): Stats {
  if (filterStats === undefined || cluster === '') return UNCOUNTED
  const counter = (leaf: string) =>
    filterStats.counter({ kind: 'cluster', name: cluster }, `ratelimit.${leaf}`)
  return {
    ok: counter('ok'),
    over: counter('over_limit'),
    error: counter('error'),
    allowed: counter('failure_mode_allowed'),
  }
}

async function load(): Promise<RateLimitMessages> {
  loaded ??= await loadRateLimitMessages()
  return loaded
}

/** From a share of the limit; somebody is asked only when it is used up. */
function lease(asking: Asking, descriptors: readonly Descriptor[]): FilterVerdict {
  const { service, scope } = asking
  const { deps } = scope
  let all = leases.get(deps)
  if (all === undefined) {
    all = new Leases(deps.clock)
    leases.set(deps, all)
  }
  const known = all
  let tell: ((verdict: LeaseVerdict) => void) | undefined
  const key = JSON.stringify([service.domain, descriptors])
  const source = () => leaseSource(service, scope, descriptors)
  const took = known.take(key, source, (verdict) => tell?.(verdict))
  if (typeof took !== 'function') return leaseVerdict(asking, took, known.headersOf(key))
  return {
    kind: 'wait',
    start(done) {
      tell = (verdict) => done(leaseVerdict(asking, verdict, known.headersOf(key)))
      return took
    },
  }
}

function leaseVerdict(
  asking: Asking,
  verdict: LeaseVerdict,
  headers: readonly HeaderValue[],
): FilterVerdict {
  if (verdict === 'unanswered') return unanswered(asking)
  if (verdict === 'refused') return refusal(asking, headers)
  asking.stats.ok()
  return headers.length === 0 ? undefined : { kind: 'stamp', headers: encodeStamps(headers) }
}

function leaseSource(
  service: RateLimitService,
  scope: FilterScope,
  descriptors: readonly Descriptor[],
): LeaseSource {
  return {
    ask(hits, done) {
      void load().then((messages) => {
        const question = questionOf(service, scope, descriptors, messages, hits)
        if (question === undefined) {
          done(undefined)
          return
        }
        client.ask(question, (bytes) => {
          const answer = bytes === undefined ? undefined : read(messages, bytes)
          const { remaining = 0, resetMs = 0 } = answer?.nearest ?? {}
          const headers = service.headers && answer !== undefined ? limitHeaders(answer) : []
          done(answer && { granted: !answer.overLimit, remaining, resetMs, headers })
        })
      })
    },
    giveBack(hits) {
      if (loaded === undefined) return
      const question = questionOf(service, scope, descriptors, loaded, hits)
      if (question !== undefined) client.ask({ ...question, path: GIVE_BACK }, () => {})
    },
  }
}

/** `undefined`: there is nobody to ask. */
function questionOf(
  { cluster, authority, timeoutMs, domain }: RateLimitService,
  { runtime, deps }: FilterScope,
  descriptors: readonly Descriptor[],
  messages: RateLimitMessages,
  hits: number,
): Question | undefined {
  const address =
    runtime.clusters.get(cluster)?.pick(FIRST_PICK)?.endpoint.address ??
    (cluster === CONTROL_CLUSTER ? deps.control : undefined)
  if (address === undefined) return undefined
  const message = messages.encodeRateLimitRequest(domain, descriptors, hits)
  return { address, authority: authority ?? cluster, timeoutMs, clock: deps.clock, message }
}

function read(messages: RateLimitMessages, bytes: Uint8Array): RateLimitAnswer | undefined {
  try {
    return messages.decodeRateLimitResponse(bytes)
  } catch {
    return undefined
  }
}

function ask(asking: Asking, descriptors: readonly Descriptor[]): FilterVerdict {
  const { service, scope } = asking
  const askWith = (messages: RateLimitMessages, done: (verdict: FilterVerdict) => void) => {
    const question = questionOf(service, scope, descriptors, messages, 1)
    if (question === undefined) {
      done(unanswered(asking))
      return () => {}
    }
    return client.ask(question, (bytes) => {
      const answer = bytes === undefined ? undefined : read(messages, bytes)
      done(answer === undefined ? unanswered(asking) : verdictOf(asking, answer))
    })
  }
  return {
    kind: 'wait',
    start(done) {
      if (loaded !== undefined) return askWith(loaded, done)
      let cancelled = false
      let cancel = (): void => {
        cancelled = true
      }
      void load().then((messages) => {
        if (!cancelled) cancel = askWith(messages, done)
      })
      return () => cancel()
    },
  }
}

function unanswered({ service, stats }: Asking): FilterVerdict {
  stats.error()
  if (service.failureModeDeny) {
    return { kind: 'reply', reply: { status: 500 }, failure: 'rateLimitService' }
  }
  stats.allowed()
  return undefined
}

function verdictOf(asking: Asking, answer: RateLimitAnswer): FilterVerdict {
  const { service, stats } = asking
  const headers = [...answer.responseHeaders, ...(service.headers ? limitHeaders(answer) : [])]
  if (answer.overLimit) return refusal(asking, headers)
  stats.ok()
  return headers.length === 0 ? undefined : { kind: 'stamp', headers: encodeStamps(headers) }
}

function refusal({ service, stats }: Asking, headers: readonly HeaderValue[]): FilterVerdict {
  stats.over()
  const all = [{ name: 'x-envoy-ratelimited', value: 'true' }, ...headers]
  const reply = {
    status: service.status,
    headers: all.map(({ name, value }) => [name, value] as const),
  }
  return { kind: 'reply', reply, failure: 'rateLimited' }
}

/** Draft version 3 of the RateLimit header fields. */
function limitHeaders({ nearest }: RateLimitAnswer) {
  if (nearest === undefined) return []
  const { requestsPerUnit, unitSeconds, remaining, resetSeconds } = nearest
  const limit = `${requestsPerUnit}, ${requestsPerUnit};w=${unitSeconds}`
  return [
    { name: 'x-ratelimit-limit', value: limit },
    { name: 'x-ratelimit-remaining', value: String(remaining) },
    { name: 'x-ratelimit-reset', value: String(resetSeconds) },
  ]
}
