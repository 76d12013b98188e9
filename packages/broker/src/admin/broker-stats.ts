/** What a broker counts of itself, as metrics: `weft_rsocket_…` (§ 17.2 of its design). */
import type { MetricsRegistry, ScalarMetric } from '@weft/telemetry'
import { UNBOUNDED_REQUEST_N } from '@weft/wire'
import type { Broker } from '../broker.ts'
import type { BrokerCounters } from '../counters.ts'
import type { Leg } from '../leg.ts'

type Counter = {
  [K in keyof BrokerCounters]: BrokerCounters[K] extends number ? K : never
}[keyof BrokerCounters]

/** Counters with a metric of their own. */
const TOTALS: Readonly<Record<string, readonly [counter: Counter, help: string]>> = {
  connections_accepted_total: ['connectionsAccepted', 'Connections that came, of all kinds.'],
  requests_total: ['requests', 'Requests of all interactions.'],
  retried_requests_total: ['retriedRequests', 'Requests that went to another responder.'],
  timed_out_requests_total: ['timedOutRequests', 'Requests whose time limit was over.'],
  dropped_requests_total: ['droppedRequests', 'Fire-and-forget requests that nobody took.'],
  items_total: ['itemsForwarded', 'Items of streams and channels that were passed on.'],
  carriers_lost_total: ['carriersLost', 'Times that a resumable connection broke.'],
  carriers_resumed_total: ['carriersResumed', 'Times that one came back.'],
  pauses_total: ['pauses', 'Times that a peer was not read from because its bytes waited.'],
}

/** Reasons why something ended or was refused, in one metric. */
const REJECTS: Readonly<Record<string, Counter>> = {
  capacity: 'connectionsRefused',
  tls: 'tlsFailures',
  setup: 'rejectedSetups',
  setup_timeout: 'setupTimeouts',
  identity_over: 'identitiesOver',
  keepalive_timeout: 'lifetimesOver',
  keepalive_flood: 'keepaliveFloods',
  push_flood: 'pushFloods',
  malformed_frame: 'malformedFrames',
  short_fragments: 'shortFragments',
  slow_peer: 'slowPeers',
  request: 'refusedRequests',
  overrun: 'overruns',
}

/** Registers them; they are read when somebody scrapes. */
export function registerBrokerStats(registry: MetricsRegistry, broker: Broker): void {
  const one = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
  const slot = one.slot([])
  const reasons = registry.table({ labels: ['reason'], maxSeries: 32, expiryMs: 0 })
  const states = registry.table({ labels: ['state'], maxSeries: 4, expiryMs: 0 })
  const ways = registry.table({ labels: ['direction'], maxSeries: 2, expiryMs: 0 })
  const bytes = registry.counter('weft_rsocket_bytes_total', 'Bytes of connections.', ways)
  const gauge = (name: string, help: string) => registry.gauge(`weft_rsocket_${name}`, help, one)
  const connections = registry.gauge(
    'weft_rsocket_connections',
    'Connections that are there now.',
    states,
  )
  const streams = gauge('streams_open', 'Streams that are open now.')
  const outbox = gauge('outbox_bytes', 'Bytes that wait for peers to take them.')
  const permits = gauge('lease_permits', 'Requests that responders with leases allow now.')
  const debt = gauge(
    'credit_debt',
    'Items that consumers asked for and producers were not told of; those without bound left out.',
  )
  const services = gauge('services', 'Names under which somebody can be called now.')
  const totals = Object.entries(TOTALS).map(
    ([name, [counter, help]]): readonly [Counter, ScalarMetric] => [
      counter,
      registry.counter(`weft_rsocket_${name}`, help, one),
    ],
  )
  const rejects = registry.counter(
    'weft_rsocket_rejects_total',
    'What was refused or cut, by reason.',
    reasons,
  )
  registry.onCollect(() => {
    const sums = sumUp(broker)
    connections.set(states.slot(['open']), sums.open)
    connections.set(states.slot(['new']), sums.fresh)
    streams.set(slot, broker.openStreams)
    outbox.set(slot, sums.outboxBytes)
    permits.set(slot, sums.permits)
    debt.set(slot, sums.creditDebt)
    bytes.set(ways.slot(['received']), broker.counters.bytesReceived)
    bytes.set(ways.slot(['sent']), broker.counters.bytesSent + sums.sentBytes)
    services.set(slot, broker.registry.services.size)
    for (const [counter, metric] of totals) metric.set(slot, broker.counters[counter])
    for (const [reason, counter] of Object.entries(REJECTS)) {
      rejects.set(reasons.slot([reason]), broker.counters[counter])
    }
  })
}

function sumUp({ legs, clock }: Broker) {
  const sums = { open: 0, fresh: 0, outboxBytes: 0, permits: 0, sentBytes: 0, creditDebt: 0 }
  const nowMs = clock.monotonicMs()
  for (const leg of legs) {
    // Instances of other brokers are no connections of ours.
    if (leg.isOpen && leg.facts.via !== undefined) continue
    if (leg.isOpen) sums.open++
    else sums.fresh++
    sums.outboxBytes += leg.outbox.bytes
    sums.sentBytes += leg.outbox.handedBytes
    sums.creditDebt += debtOf(leg)
    const { lease } = leg
    if (lease !== undefined && lease.untilMs > nowMs) sums.permits += Math.max(0, lease.requests)
  }
  return sums
}

/** Of the streams that it asked for. */
function debtOf(leg: Leg): number {
  let debt = 0
  for (const [id, { requester, requesterId, toRequester, toResponder }] of leg.streams) {
    if (requester !== leg || requesterId !== id) continue
    for (const credit of [toRequester, toResponder]) {
      if (credit !== undefined && credit.debt < UNBOUNDED_REQUEST_N) debt += credit.debt
    }
  }
  return debt
}
