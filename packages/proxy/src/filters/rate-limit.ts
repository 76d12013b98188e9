/** The global rate limit: asks a service that counts for all proxies (Envoy's ratelimit filter). */
import type { HeaderValue, RateLimitService } from '@weft/model'
import {
  checkGlobalLimit,
  countedDescriptorsOf,
  type GlobalLimitCheck,
  type GlobalVerdict,
  isLeasedLimit,
  Leases,
} from '@weft/traffic'
import { RateLimitAsker, type ServiceQuestion } from '@weft/xds'
import type { EngineDeps } from '../exchange/contract.ts'
import { encodeStamps } from '../exchange/encoded-headers.ts'
import { CONTROL_CLUSTER } from '../upstream/control-questions.ts'
import { callGrpc } from '../upstream/grpc-call.ts'
import type { BindFilter, FilterScope, FilterVerdict } from './http-filter.ts'

const leases = new WeakMap<EngineDeps, Leases>()

export const rateLimit: BindFilter<'rateLimit'> = ({ service }, scope) => {
  const ofRoute = () =>
    (scope.overrides.rateLimits ?? []).filter(({ stage }) => stage === service.stage)
  const actions = service.actions ?? ofRoute()
  if (actions.length === 0) return undefined
  const { action } = scope.route
  const destinationCluster = action.kind === 'forward' ? action.targets[0].cluster : ''
  const isLeased = isLeasedLimit(service, actions)
  const stats = statsOf(scope, destinationCluster)
  const asker = new RateLimitAsker(service, (question, done) =>
    send(service, scope, question, done),
  )
  return {
    onRequest({ request, remoteHost, principal, facts: metadata }): FilterVerdict {
      const { serviceCluster: sourceCluster = '' } = scope.deps
      const peer = { remoteHost, principal, sourceCluster, destinationCluster }
      const descriptors = countedDescriptorsOf(actions, { request, ...peer, metadata })
      if (descriptors.length === 0) return undefined
      return check({ service, isLeased, descriptors, asker }, scope, stats)
    },
  }
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

function check(limit: GlobalLimitCheck, { deps }: FilterScope, stats: Stats): FilterVerdict {
  const all = leases.get(deps) ?? new Leases(deps.clock)
  leases.set(deps, all)
  const { service } = limit
  if (!limit.isLeased) {
    return {
      kind: 'wait',
      start(done) {
        const took = checkGlobalLimit(all, limit, (said) => done(verdictOf(service, stats, said)))
        return typeof took === 'function' ? took : () => {}
      },
    }
  }
  let tell: ((verdict: GlobalVerdict) => void) | undefined
  const took = checkGlobalLimit(all, limit, (said) => tell?.(said))
  if (typeof took !== 'function') return verdictOf(service, stats, took)
  return {
    kind: 'wait',
    start(done) {
      tell = (said) => done(verdictOf(service, stats, said))
      return took
    },
  }
}

/** @returns Cancels. `done` gets `undefined` when nobody answered. */
function send(
  { cluster: name }: RateLimitService,
  { runtime, deps }: FilterScope,
  question: ServiceQuestion,
  done: (bytes: Uint8Array | undefined) => void,
): () => void {
  const cluster = runtime.clusters.get(name)
  if (cluster !== undefined) return callGrpc(cluster, question, deps.clock, done)
  if (name === CONTROL_CLUSTER && deps.control !== undefined) {
    return deps.control.ask(question, done)
  }
  done(undefined)
  return () => {}
}

function verdictOf(service: RateLimitService, stats: Stats, said: GlobalVerdict): FilterVerdict {
  if (said.kind === 'unanswered') return unanswered(service, stats)
  if (said.kind === 'refused') return refusal(service, stats, said.headers)
  stats.ok()
  return said.headers.length === 0
    ? undefined
    : { kind: 'stamp', headers: encodeStamps(said.headers) }
}

function unanswered({ failureModeDeny }: RateLimitService, stats: Stats): FilterVerdict {
  stats.error()
  if (failureModeDeny) {
    return { kind: 'reply', reply: { status: 500 }, failure: 'rateLimitService' }
  }
  stats.allowed()
  return undefined
}

function refusal(
  { status }: RateLimitService,
  stats: Stats,
  headers: readonly HeaderValue[],
): FilterVerdict {
  stats.over()
  const all = [{ name: 'x-envoy-ratelimited', value: 'true' }, ...headers]
  const reply = { status, headers: all.map(({ name, value }) => [name, value] as const) }
  return { kind: 'reply', reply, failure: 'rateLimited' }
}
