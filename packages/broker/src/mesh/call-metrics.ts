/**
 * Calls through the broker under Istio's names. The broker is both ends' proxy: the caller's end
 * is reported for callers that dialled in, the other one for whoever answers.
 */
import type { ServiceRef } from '@weft/model'
import {
  IstioMetrics,
  MetricsRegistry,
  type Peer,
  parsePeerHeader,
  peerOf,
  UNKNOWN,
  UNKNOWN_PEER,
} from '@weft/telemetry'
import { type FrameView, RSOCKET_ERROR } from '@weft/wire'
import type { CallObserver } from '../router.ts'
import type { StreamEntry } from '../stream-entry.ts'
import { responseHeadOf } from './http-head.ts'
import type { WorkloadFeeds, WorkloadKind } from './workload-feeds.ts'

export interface CallMetricsOptions {
  /** For `istio_build`. */
  readonly version: string
}

export interface ObservedCall {
  /** Who asks, if it dialled in: then its end is reported, too. */
  readonly caller: WorkloadKind | undefined
  /** Whom its proxy says it is, where it did not. */
  readonly peerHeader: string | undefined
  /** Its SPIFFE ID, as its certificate says; absent: it is not known, or `caller` says it. */
  readonly principal?: string | undefined
}

const NO_SERVICE: ServiceRef = { host: UNKNOWN, name: UNKNOWN, namespace: UNKNOWN }
const SERIES = { maxSeries: 5_000, expiryMs: 0 }

export class CallMetrics {
  readonly registry = new MetricsRegistry()
  readonly #istio: IstioMetrics
  readonly #feeds: WorkloadFeeds
  /** Of a caller that dialled in, whatever it asks. */
  readonly #observers = new WeakMap<WorkloadKind, CallObserver>()
  /** The same for calls to who has not dialled in, by host. */
  readonly #outside = new WeakMap<WorkloadKind, Map<string, CallObserver>>()

  constructor(options: CallMetricsOptions, feeds: WorkloadFeeds) {
    this.#istio = new IstioMetrics(this.registry, { ...SERIES, ...options })
    this.#feeds = feeds
  }

  observerOf({ caller, peerHeader, principal = UNKNOWN }: ObservedCall): CallObserver {
    if (caller === undefined) {
      const named = peerHeader === undefined ? undefined : parsePeerHeader(peerHeader)
      const peer = named === undefined ? UNKNOWN_PEER : peerOf(named)
      return this.#observer(undefined, { ...peer, principal })
    }
    let observer = this.#observers.get(caller)
    if (observer === undefined) {
      observer = this.#observer(caller, peerOfKind(caller))
      this.#observers.set(caller, observer)
    }
    return observer
  }

  /** Of calls to a service that has not dialled in, as far as the caller's end knows of it. */
  outsideObserver(caller: WorkloadKind, service: ServiceRef): CallObserver {
    const byHost = this.#outside.get(caller) ?? new Map<string, CallObserver>()
    this.#outside.set(caller, byHost)
    let observer = byHost.get(service.host)
    if (observer === undefined) {
      observer = this.#observer(caller, peerOfKind(caller), service)
      byHost.set(service.host, observer)
    }
    return observer
  }

  /** Of a copy: only who gets it is counted. */
  copyObserver(caller: WorkloadKind | undefined): CallObserver {
    return this.#observer(undefined, caller === undefined ? UNKNOWN_PEER : peerOfKind(caller))
  }

  #observer(caller: WorkloadKind | undefined, source: Peer, outside?: ServiceRef): CallObserver {
    const slots = new Slots(this.#istio, source, outside)
    return {
      onItem(entry, fromRequester, view) {
        if (fromRequester) return
        entry.answerBytes += view.to - view.from
        if (entry.status === 0) entry.status = statusOf(view)
      },
      onEnd: (entry, code) => {
        const answering = answeringKind(entry, this.#feeds)
        if (caller !== undefined) slots.record('source', answering, entry, code)
        if (answering !== undefined) slots.record('destination', answering, entry, code)
      },
    }
  }
}

/** Label sets of one caller: they are few, and looked up for each call. */
class Slots {
  readonly #istio: IstioMetrics
  readonly #source: Peer
  /** Who is asked when nobody here answers. */
  readonly #outside: ServiceRef | undefined
  #epoch = -1
  #known = new Map<WorkloadKind | undefined, Map<string, number>>()

  constructor(istio: IstioMetrics, source: Peer, outside: ServiceRef | undefined) {
    this.#istio = istio
    this.#source = source
    this.#outside = outside
  }

  record(
    reporter: 'source' | 'destination',
    answering: WorkloadKind | undefined,
    entry: StreamEntry,
    code: number,
  ): void {
    const istio = this.#istio
    if (istio.httpEpoch !== this.#epoch) {
      this.#known = new Map()
      this.#epoch = istio.httpEpoch
    }
    const [status, flags] = resultOf(reporter, entry, code)
    const protocol = protocolOf(entry)
    const key = `${reporter}${protocol}${status}${flags}`
    let ofKind = this.#known.get(answering)
    if (ofKind === undefined) {
      ofKind = new Map()
      this.#known.set(answering, ofKind)
    }
    let slot = ofKind.get(key)
    if (slot === undefined) {
      slot = this.#slot(reporter, answering, protocol, status, flags)
      ofKind.set(key, slot)
    }
    const tookMs = entry.requester.owner.nowMs - entry.openedAtMs
    istio.recordHttp(slot, Math.max(0, tookMs), entry.requestBytes, entry.answerBytes)
  }

  #slot(
    reporter: 'source' | 'destination',
    answering: WorkloadKind | undefined,
    protocol: 'http' | 'rsocket',
    responseCode: number,
    responseFlags: string,
  ): number {
    const [service] = answering?.services ?? []
    const namespace = answering?.workload.namespace ?? 'unknown'
    const name = service?.name ?? 'unknown'
    const host = service === undefined ? 'unknown' : `${name}.${namespace}.svc.cluster.local`
    return this.#istio.httpSlot({
      reporter,
      source: this.#source,
      destination: answering === undefined ? UNKNOWN_PEER : peerOfKind(answering),
      service: answering === undefined ? (this.#outside ?? NO_SERVICE) : { host, name, namespace },
      ...{ responseCode, responseFlags },
      securityPolicy: reporter === 'source' ? 'unknown' : 'none',
      protocol,
      grpcStatus: '',
    })
  }
}

/** Who answered, or would have. */
export function answeringKind(
  { refusal, responder }: StreamEntry,
  feeds: WorkloadFeeds,
): WorkloadKind | undefined {
  const leg = refusal === undefined ? responder : refusal.by
  return leg && feeds.kindOf(leg)
}

/** By who answers, or would have: HTTP goes to HTTP applications behind an agent. */
function protocolOf({ responder, requester }: StreamEntry): 'http' | 'rsocket' {
  return (responder ?? requester).facts.features.has('http') ? 'http' : 'rsocket'
}

/** Status and flags as the access log of a sidecar would have them. */
export function resultOf(
  reporter: 'source' | 'destination',
  entry: StreamEntry,
  code: number,
): [status: number, flags: string] {
  const [status, flags] = plainResultOf(entry, code)
  const { refusal, flag } = entry
  // To the caller's end, what the other one refuses is an answer.
  if (refusal?.by !== undefined && reporter === 'source') return [refusal.status ?? status, '-']
  if (refusal !== undefined) return [refusal.status ?? status, refusal.flag ?? flags]
  if (flag === '') return [status, flags]
  return [status, flags === '-' ? flag : `${flags},${flag}`]
}

function plainResultOf(
  { status, timedOut, responder }: StreamEntry,
  code: number,
): [number, string] {
  if (code === 0) return [status === 0 ? 200 : status, '-']
  if (timedOut) return [504, 'UT']
  if (code === RSOCKET_ERROR.canceled) return [0, 'DC']
  if (code === RSOCKET_ERROR.denied) return [403, '-']
  if (code === RSOCKET_ERROR.rejected) return [503, responder === undefined ? 'UH' : 'UF']
  return [code === RSOCKET_ERROR.invalid ? 400 : 500, '-']
}

/** 200 for what is none of HTTP. */
function statusOf(view: FrameView): number {
  return responseHeadOf(view)?.status ?? 200
}

function peerOfKind({ workload, principal = UNKNOWN }: WorkloadKind): Peer {
  const { name, namespace, labels, cluster } = workload
  const app = labels.app ?? name
  const peer = peerOf({ name, namespace, app, version: labels.version ?? 'latest', cluster })
  return { ...peer, principal }
}
