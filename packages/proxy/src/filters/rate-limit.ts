/** The global rate limit: asks a service that counts for all proxies (Envoy's ratelimit filter). */
import type { HeaderValue, RateLimitService } from '@weft/model'
import { countedDescriptorsOf, type LeaseSource, Leases, type LeaseVerdict } from '@weft/traffic'
import {
  type CountedDescriptor,
  loadRateLimitMessages,
  type RateLimitAnswer,
  type RateLimitMessages,
} from '@weft/xds'
import type { EngineDeps } from '../exchange/contract.ts'
import { encodeStamps } from '../exchange/encoded-headers.ts'
import { callGrpc } from '../upstream/grpc-call.ts'
import type { BindFilter, FilterScope, FilterVerdict } from './http-filter.ts'
import { ServiceClient } from './rate-limit/service-client.ts'

const control = new ServiceClient()
const ASK = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit'
/** Only Weft's own service has it. */
const GIVE_BACK = '/weft.ratelimit.v1.Leases/Return'
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
  // A share is counted in requests.
  const isLeased =
    service.domain.startsWith(LEASED) &&
    actions.every((one) => one.hits === undefined && one.limit === undefined)
  return {
    onRequest({ request, remoteHost, principal, facts: metadata }): FilterVerdict {
      const { serviceCluster: sourceCluster = '' } = scope.deps
      const peer = { remoteHost, principal, sourceCluster, destinationCluster }
      const descriptors = countedDescriptorsOf(actions, { request, ...peer, metadata })
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
function lease(asking: Asking, descriptors: readonly CountedDescriptor[]): FilterVerdict {
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
  const source = () => leaseSource(asking, descriptors)
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

function leaseSource(asking: Asking, descriptors: readonly CountedDescriptor[]): LeaseSource {
  const { service } = asking
  return {
    ask(hits, done) {
      void load().then((messages) => {
        send(asking, descriptors, messages, ASK, hits, (bytes) => {
          const answer = bytes === undefined ? undefined : read(messages, bytes)
          const { remaining = 0, resetMs = 0 } = answer?.nearest ?? {}
          const headers = service.headers && answer !== undefined ? limitHeaders(answer) : []
          done(answer && { granted: !answer.overLimit, remaining, resetMs, headers })
        })
      })
    },
    giveBack(hits) {
      if (loaded !== undefined) send(asking, descriptors, loaded, GIVE_BACK, hits, () => {})
    },
  }
}

/** @returns Cancels. `done` gets `undefined` when nobody answered. */
function send(
  { service, scope }: Asking,
  descriptors: readonly CountedDescriptor[],
  messages: RateLimitMessages,
  path: string,
  hits: number,
  done: (bytes: Uint8Array | undefined) => void,
): () => void {
  const { cluster: name, timeoutMs, domain } = service
  const authority = service.authority ?? name.replaceAll(/[^\w.:-]/g, '_')
  const { runtime, deps } = scope
  const message = messages.encodeRateLimitRequest(domain, descriptors, hits)
  const question = { path, authority, timeoutMs, message }
  const cluster = runtime.clusters.get(name)
  if (cluster !== undefined) return callGrpc(cluster, question, deps.clock, done)
  if (name === CONTROL_CLUSTER && deps.control !== undefined) {
    return control.ask(deps.control, question, deps.clock, done)
  }
  done(undefined)
  return () => {}
}

function read(messages: RateLimitMessages, bytes: Uint8Array): RateLimitAnswer | undefined {
  try {
    return messages.decodeRateLimitResponse(bytes)
  } catch {
    return undefined
  }
}

function ask(asking: Asking, descriptors: readonly CountedDescriptor[]): FilterVerdict {
  const askWith = (messages: RateLimitMessages, done: (verdict: FilterVerdict) => void) =>
    send(asking, descriptors, messages, ASK, 1, (bytes) => {
      const answer = bytes === undefined ? undefined : read(messages, bytes)
      done(answer === undefined ? unanswered(asking) : verdictOf(asking, answer))
    })
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
