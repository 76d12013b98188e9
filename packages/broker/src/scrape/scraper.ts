/**
 * Metrics of what dialled in: Prometheus asks the broker, the broker asks the instance over the
 * connection that is there. The instance needs no port that Prometheus reaches.
 *
 *     Prometheus ──GET /sd/prometheus──► who is here
 *                ──GET /scrape/<instance>──► request/response on its link ──► text
 */
import type { Clock } from '@weft/base'
import { RSOCKET_ERROR } from '@weft/wire'
import type { Broker } from '../broker.ts'
import type { Leg } from '../leg.ts'
import { attachLocalPeer, type LocalPeer, OWN_FACTS } from '../local-peer.ts'
import type { InstanceFacts, PeerFacts } from '../peer-facts.ts'
import type { ForwardVerdict, Refusal } from '../router.ts'
import { contentTypeOf, METRICS_SERVICE, metricsRequest } from './metrics-call.ts'

export interface ScrapeLimits {
  /** From the question to the whole answer, in milliseconds. */
  readonly timeoutMs: number
  readonly maxBytes: number
  /** Under way at a time, of all instances and of one. */
  readonly maxRunning: number
  readonly maxRunningOfOne: number
}

const DEFAULTS: ScrapeLimits = {
  timeoutMs: 5_000,
  maxBytes: 8_388_608,
  maxRunning: 64,
  maxRunningOfOne: 2,
}

/** One of Prometheus' `http_sd` target groups. */
export interface TargetGroup {
  readonly targets: readonly [string]
  readonly labels: Readonly<Record<string, string>>
}

export type Scraped =
  | { readonly status: 200; readonly type: string; readonly body: Buffer }
  | { readonly status: 404 | 502 | 503 | 504; readonly problem: string }

export interface ScrapeWish {
  /** The scraper takes OpenMetrics. */
  readonly openMetrics: boolean
  /** The scraper waits so long, in milliseconds; absent: it does not say. */
  readonly timeoutMs?: number
}

const OPEN_METRICS = 'application/openmetrics-text'
const TEXT = 'text/plain'

export class Scraper {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #limits: ScrapeLimits
  readonly #running = new Map<string, number>()
  #total = 0
  #local: LocalPeer | undefined
  /** Who is being asked: what is sent is routed before `request` returns. */
  #next: Leg | undefined
  /** Answers, by status. */
  readonly counts = new Map<number, number>()

  constructor(broker: Broker, clock: Clock, limits: Partial<ScrapeLimits> = {}) {
    this.#broker = broker
    this.#clock = clock
    this.#limits = { ...DEFAULTS, ...limits }
  }

  /** @param authority Where the scraper reaches this broker: as it just did. */
  targets(authority: string): readonly TargetGroup[] {
    const lowest = this.#lowestLinks()
    const groups = [...this.#instances()]
      .filter(([, leg]) => linkOf(leg) <= (lowest.get(ownerOf(leg)) ?? 0))
      .map(([, leg]) => groupOf(leg, authority))
    return groups.sort((a, b) => ((a.labels.instance ?? '') < (b.labels.instance ?? '') ? -1 : 1))
  }

  /**
   * One leg of each instance that has metrics: of its links that are here the first. Its id is its
   * own word: with another identity nobody takes the place of who has it already.
   */
  #instances(): ReadonlyMap<string, Leg> {
    const found = new Map<string, Leg>()
    for (const leg of this.#broker.legs) {
      const id = scrapableId(leg)
      const known = id === undefined ? undefined : found.get(id)
      if (id === undefined) continue
      const isEarlier =
        known === undefined || (ownerOf(leg) === ownerOf(known) && linkOf(leg) < linkOf(known))
      if (isEarlier) found.set(id, leg)
    }
    return found
  }

  /**
   * By `ownerOf`, with the links to other brokers that are known here: of an instance that is
   * connected to several, the broker of its first link lists it, so that it is scraped once.
   */
  #lowestLinks(): ReadonlyMap<string, number> {
    const lowest = new Map<string, number>()
    for (const leg of this.#broker.registry.legs) {
      const owner = ownerOf(leg)
      lowest.set(owner, Math.min(linkOf(leg), lowest.get(owner) ?? linkOf(leg)))
    }
    return lowest
  }

  async scrape(instance: string, wish: ScrapeWish): Promise<Scraped> {
    const scraped = await this.#scrape(instance, wish)
    this.counts.set(scraped.status, (this.counts.get(scraped.status) ?? 0) + 1)
    return scraped
  }

  #scrape(instance: string, wish: ScrapeWish): Scraped | Promise<Scraped> {
    const leg = this.#instances().get(instance)
    if (leg === undefined) {
      return { status: 404, problem: `nobody with metrics is connected as ${instance}` }
    }
    const { maxRunning, maxRunningOfOne } = this.#limits
    const ofOne = this.#running.get(instance) ?? 0
    if (this.#total >= maxRunning || ofOne >= maxRunningOfOne) {
      return { status: 503, problem: 'too many scrapes are under way' }
    }
    this.#total++
    this.#running.set(instance, ofOne + 1)
    return this.#ask(leg, wish).finally(() => {
      this.#total--
      const rest = (this.#running.get(instance) ?? 1) - 1
      if (rest === 0) this.#running.delete(instance)
      else this.#running.set(instance, rest)
    })
  }

  #ask(leg: Leg, { openMetrics, timeoutMs }: ScrapeWish): Promise<Scraped> {
    const limitMs = Math.min(this.#limits.timeoutMs, timeoutMs ?? Number.POSITIVE_INFINITY)
    const { maxBytes } = this.#limits
    const { peer } = this.#peer()
    const mimes = openMetrics ? [OPEN_METRICS, TEXT] : [TEXT]
    return new Promise((resolve) => {
      const end = (scraped: Scraped) => {
        cancelTimer()
        resolve(scraped)
      }
      const cancelTimer = this.#clock.after(limitMs, () => {
        stream?.cancel()
        resolve({ status: 504, problem: `the instance did not answer within ${limitMs} ms` })
      })
      this.#next = leg
      const stream = peer.request('rr', metricsRequest(leg.facts.isAlibaba, mimes), {
        onItem({ data, metadata }) {
          if (data.length > maxBytes) {
            end({ status: 502, problem: `the metrics are longer than ${maxBytes} bytes` })
          } else end({ status: 200, type: contentTypeOf(metadata), body: Buffer.from(data) })
        },
        onComplete: () => end({ status: 502, problem: 'the instance answered with nothing' }),
        onError: (code, message) => end(failureOf(code, message)),
        onRequestN() {},
        onCancel() {},
      })
      this.#next = undefined
    })
  }

  #peer(): LocalPeer {
    if (this.#local === undefined || this.#local.leg.closed) {
      this.#local = attachLocalPeer(this.#broker, this.#facts())
    }
    return this.#local
  }

  #facts(): PeerFacts {
    return {
      ...OWN_FACTS,
      features: new Set(),
      skipsFilters: true,
      router: { route: () => this.#verdict() },
    }
  }

  #verdict(): ForwardVerdict {
    const leg = this.#next
    const nowMs = this.#clock.monotonicMs()
    return {
      kind: 'forward',
      isLasting: false,
      retries: 0,
      pick: () => (leg === undefined ? undefined : (refusalOf(leg, nowMs) ?? leg)),
    }
  }

  close(): void {
    this.#local?.leg.close()
  }
}

/** An instance that rests or drains is asked all the same; one whose leases are used up is not. */
function refusalOf(leg: Leg, nowMs: number): Refusal | undefined {
  const { lease } = leg
  if (!leg.facts.setup.lease) return undefined
  if (lease !== undefined && lease.requests > 0 && nowMs < lease.untilMs) return undefined
  return { code: RSOCKET_ERROR.rejected, message: 'WEFT-503 the instance has no lease left' }
}

function scrapableId(leg: Leg): string | undefined {
  if (!leg.isOpen || leg.socket.remoteAddress.port === 0) return undefined
  const { instance, isAlibaba, features } = leg.facts
  const hasMetrics =
    features.has('metrics') || instance?.services.some(({ service }) => service === METRICS_SERVICE)
  return isAlibaba || hasMetrics === true ? instance?.id : undefined
}

/** Which instance of whom. */
function ownerOf({ facts: { instance, identity } }: Pick<Leg, 'facts'>): string {
  return JSON.stringify([identity.principal, instance?.id])
}

function linkOf({ facts }: Leg): number {
  return facts.instance?.link ?? 0
}

function groupOf({ facts }: Leg, authority: string): TargetGroup {
  const { id, app, namespace, labels, services: all } = facts.instance as InstanceFacts
  const services = all.filter(({ service }) => service !== METRICS_SERVICE)
  return {
    targets: [authority],
    labels: {
      __metrics_path__: `/scrape/${encodeURIComponent(id)}`,
      instance: id,
      app,
      namespace,
      service: services[0]?.service ?? app,
      version: labels.version ?? services[0]?.version ?? '',
    },
  }
}

function failureOf(code: number, message: string): Scraped {
  const status = code === RSOCKET_ERROR.rejected ? 503 : 502
  return { status, problem: `the instance answered 0x${code.toString(16)} ${message}` }
}
