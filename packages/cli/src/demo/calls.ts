/**
 * Who calls whom, from the proxies' own metrics: `istio_requests_total` and
 * `istio_request_duration_milliseconds` as every sidecar serves them. Pure;
 * rates are differences of two scrapes.
 */
import { parsePrometheusText, type Sample } from './prometheus-text.ts'

/** Calls of one workload to another since the process began. */
export interface CallTotals {
  readonly source: string
  readonly destination: string
  readonly version: string
  /** Told by the caller's proxy, or by the called one's. */
  readonly reporter: string
  readonly requests: number
  /** Answered with a status below 500 by the mesh and the application. */
  readonly succeeded: number
  /** Cumulative counts by upper bound in milliseconds, as Prometheus has them. */
  readonly buckets: ReadonlyMap<number, number>
}

const REQUESTS = 'istio_requests_total'
const BUCKETS = 'istio_request_duration_milliseconds_bucket'
const NAMES = new Set([REQUESTS, BUCKETS])

/** Totals by caller, called service, version and reporter, from one or more expositions. */
export function readCalls(expositions: readonly string[]): ReadonlyMap<string, CallTotals> {
  const totals = new Map<string, Mutable>()
  for (const sample of expositions.flatMap((text) => parsePrometheusText(text, NAMES))) {
    add(entryFor(totals, sample.labels), sample)
  }
  return totals
}

type Mutable = { -readonly [K in keyof Omit<CallTotals, 'buckets'>]: CallTotals[K] } & {
  readonly buckets: Map<number, number>
}

function entryFor(totals: Map<string, Mutable>, labels: Sample['labels']): Mutable {
  const source = labels.source_app ?? labels.source_workload ?? 'unknown'
  const destination = labels.destination_app ?? labels.destination_service_name ?? 'unknown'
  const version = labels.destination_version ?? 'unknown'
  const reporter = labels.reporter ?? 'source'
  const key = [reporter, source, destination, version].join('|')
  const known = totals.get(key)
  if (known !== undefined) return known
  const entry = { source, destination, version, reporter, requests: 0, succeeded: 0 }
  const created = { ...entry, buckets: new Map<number, number>() }
  totals.set(key, created)
  return created
}

function add(entry: Mutable, { name, labels, value }: Sample): void {
  if (name === REQUESTS) {
    const status = Number(labels.response_code)
    entry.requests += value
    if (status > 0 && status < 500) entry.succeeded += value
    return
  }
  const bound = labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le)
  entry.buckets.set(bound, (entry.buckets.get(bound) ?? 0) + value)
}

/** What happened between two readings. */
export interface CallRate {
  readonly source: string
  readonly destination: string
  readonly version: string
  readonly requestsPerSecond: number
  /** 0 to 1, among the versions that this caller got answers of; 0 for mirrored copies. */
  readonly share: number
  /** 0 to 1. */
  readonly success: number
  /** In milliseconds; `undefined` without requests. */
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
  /** Copies that only the called side saw: the caller does not wait for them. */
  readonly isMirrored: boolean
}

/** Rows in the order of the request's way: by caller's depth, then name. */
export function rateCalls(
  before: ReadonlyMap<string, CallTotals>,
  now: ReadonlyMap<string, CallTotals>,
  elapsedMs: number,
): readonly CallRate[] {
  const changes = [...now].map(([key, totals]) => subtract(totals, before.get(key)))
  const told = changes.filter(({ reporter }) => reporter === 'source')
  const answered = told.map((call) => {
    const all = told.filter((other) => isSameHop(call, other))
    const requests = all.reduce((sum, other) => sum + other.requests, 0)
    return rateOf(call, elapsedMs, requests === 0 ? 0 : call.requests / requests, false)
  })
  const copies = changes
    .filter(({ reporter }) => reporter === 'destination')
    .flatMap((call) => {
      const seen = told.find((other) => isSameHop(call, other) && other.version === call.version)
      const requests = call.requests - (seen?.requests ?? 0)
      // A scrape is not one instant: a request or two at its edges are not copies.
      const isCopy = call.source !== 'unknown' && requests > Math.max(2, call.requests * 0.5)
      return isCopy ? [rateOf({ ...call, requests }, elapsedMs, 0, true)] : []
    })
  return [...answered.filter((row) => row.requestsPerSecond > 0), ...copies].sort(byWay)
}

type Change = Mutable

function subtract(now: CallTotals, before: CallTotals | undefined): Change {
  const buckets = new Map<number, number>()
  for (const [bound, count] of now.buckets) {
    buckets.set(bound, count - (before?.buckets.get(bound) ?? 0))
  }
  return {
    ...now,
    requests: now.requests - (before?.requests ?? 0),
    succeeded: now.succeeded - (before?.succeeded ?? 0),
    buckets,
  }
}

function isSameHop(a: CallTotals, b: CallTotals): boolean {
  return a.source === b.source && a.destination === b.destination
}

function rateOf(call: Change, elapsedMs: number, share: number, isMirrored: boolean): CallRate {
  const { source, destination, version, requests, succeeded, buckets } = call
  return {
    source,
    destination,
    version,
    requestsPerSecond: (requests * 1_000) / Math.max(1, elapsedMs),
    share,
    success: requests === 0 ? 1 : Math.min(1, succeeded / requests),
    p50Ms: quantile(buckets, 0.5),
    p99Ms: quantile(buckets, 0.99),
    isMirrored,
  }
}

/** As PromQL's `histogram_quantile`: linear within the bucket that holds the rank. */
export function quantile(buckets: ReadonlyMap<number, number>, q: number): number | undefined {
  const sorted = [...buckets].sort(([a], [b]) => a - b)
  const total = sorted.at(-1)?.[1] ?? 0
  if (total <= 0) return undefined
  const rank = q * total
  let lower = 0
  let below = 0
  for (const [bound, count] of sorted) {
    if (count >= rank) {
      if (bound === Number.POSITIVE_INFINITY) return lower
      return count === below ? bound : lower + ((bound - lower) * (rank - below)) / (count - below)
    }
    lower = bound
    below = count
  }
  return lower
}

const WAY = ['istio-ingressgateway', 'ingress', 'productpage', 'reviews']

function byWay(a: CallRate, b: CallRate): number {
  const depth = (row: CallRate) => (WAY.includes(row.source) ? WAY.indexOf(row.source) : WAY.length)
  return (
    depth(a) - depth(b) ||
    a.destination.localeCompare(b.destination) ||
    a.version.localeCompare(b.version)
  )
}
