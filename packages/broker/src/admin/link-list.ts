/** Who is connected to a broker, and what they allow: for its admin port and for `weft get`. */
import type { Broker } from '../broker.ts'
import type { Leg } from '../leg.ts'

/** A connection that was let in. */
export interface LinkRow {
  /** Empty: a pure requester. */
  readonly instance: string
  readonly app: string
  readonly namespace: string
  /** SPIFFE ID; empty: anonymous. */
  readonly principal: string
  readonly from: string
  readonly tls: boolean
  readonly link: number
  readonly services: readonly string[]
  readonly streams: number
  /** Requests under way towards it. */
  readonly requests: number
  readonly outboxBytes: number
  /** Recent answers, milliseconds. */
  readonly latencyMs: number
  readonly draining: boolean
}

/** What a responder that uses leases allows. */
export interface LeaseRow {
  readonly instance: string
  readonly app: string
  readonly namespace: string
  readonly permits: number
  /** Until when, in milliseconds from now; 0: it is over. */
  readonly leftMs: number
}

export function linksOf(broker: Broker): readonly LinkRow[] {
  return openLegs(broker)
    .filter(({ facts }) => facts.broker === undefined)
    .map((leg) => {
      const { instance, identity } = leg.facts
      const { host, port } = leg.socket.remoteAddress
      return {
        ...nameOf(leg),
        principal: identity.principal ?? '',
        from: `${host}:${port}`,
        tls: leg.socket.tls !== undefined,
        link: instance?.link ?? 0,
        services: instance?.services.map(({ service }) => service) ?? [],
        streams: leg.streams.size,
        requests: leg.activeRequests,
        outboxBytes: leg.outbox.bytes,
        latencyMs: Math.round(leg.latencyMs * 10) / 10,
        draining: leg.draining,
      }
    })
}

export function leasesOf(broker: Broker): readonly LeaseRow[] {
  const nowMs = broker.clock.monotonicMs()
  return openLegs(broker).flatMap((leg) => {
    const { lease } = leg
    if (lease === undefined) return []
    const leftMs = Math.max(0, Math.round(lease.untilMs - nowMs))
    return [{ ...nameOf(leg), permits: leftMs === 0 ? 0 : Math.max(0, lease.requests), leftMs }]
  })
}

/** Those that came by a socket. */
function openLegs({ legs }: Broker): readonly Leg[] {
  return [...legs].filter((leg) => leg.isOpen && leg.socket.remoteAddress.port !== 0)
}

function nameOf({ facts }: Leg) {
  const { instance } = facts
  const { id = '', app = '', namespace = '' } = instance ?? {}
  return { instance: id, app, namespace }
}
