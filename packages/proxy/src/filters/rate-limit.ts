/** The global rate limit: asks a service that counts for all proxies (Envoy's ratelimit filter). */
import type { RateLimitService } from '@weft/model'
import { FIRST_PICK } from '@weft/traffic'
import { loadRateLimitMessages, type RateLimitAnswer, type RateLimitMessages } from '@weft/xds'
import { encodeStamps } from '../exchange/encoded-headers.ts'
import type { BindFilter, FilterScope, FilterVerdict } from './http-filter.ts'
import { type Descriptor, descriptorsOf } from './rate-limit/descriptors.ts'
import { ServiceClient } from './rate-limit/service-client.ts'

const client = new ServiceClient()
/** There when the first limit was bound a moment ago. */
let loaded: RateLimitMessages | undefined

export const rateLimit: BindFilter<'rateLimit'> = ({ service }, scope) => {
  const actions = (scope.overrides.rateLimits ?? []).filter(({ stage }) => stage === service.stage)
  if (actions.length === 0) return undefined
  if (loaded === undefined) void load()
  const { action } = scope.route
  const destinationCluster = action.kind === 'forward' ? action.targets[0].cluster : ''
  return {
    onRequest({ request, remoteHost, principal }): FilterVerdict {
      const facts = { request, remoteHost, principal, sourceCluster: '', destinationCluster }
      const descriptors = descriptorsOf(actions, facts)
      if (descriptors.length === 0) return undefined
      return ask(service, scope, descriptors)
    },
  }
}

async function load(): Promise<RateLimitMessages> {
  loaded ??= await loadRateLimitMessages()
  return loaded
}

function ask(
  service: RateLimitService,
  scope: FilterScope,
  descriptors: readonly Descriptor[],
): FilterVerdict {
  const { cluster, authority, timeoutMs, domain } = service
  const address = scope.runtime.clusters.get(cluster)?.pick(FIRST_PICK)?.endpoint.address
  if (address === undefined) return unanswered(service)
  const askWith = (messages: RateLimitMessages, done: (verdict: FilterVerdict) => void) => {
    const message = messages.encodeRateLimitRequest(domain, descriptors)
    const question = {
      address,
      authority: authority ?? cluster,
      timeoutMs,
      clock: scope.deps.clock,
      message,
    }
    return client.ask(question, (bytes) =>
      done(bytes === undefined ? unanswered(service) : verdictOf(service, messages, bytes)),
    )
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

function unanswered({ failureModeDeny }: RateLimitService): FilterVerdict {
  if (!failureModeDeny) return undefined
  return { kind: 'reply', reply: { status: 500 }, failure: 'rateLimitService' }
}

function verdictOf(
  service: RateLimitService,
  messages: RateLimitMessages,
  bytes: Uint8Array,
): FilterVerdict {
  let answer: RateLimitAnswer
  try {
    answer = messages.decodeRateLimitResponse(bytes)
  } catch {
    return unanswered(service)
  }
  const headers = [...answer.responseHeaders, ...(service.headers ? limitHeaders(answer) : [])]
  if (!answer.overLimit) {
    return headers.length === 0 ? undefined : { kind: 'stamp', headers: encodeStamps(headers) }
  }
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
