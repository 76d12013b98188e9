/**
 * Operators for bytes on the wire and for times between two points of an exchange. What is not
 * known, such as the bytes of one HTTP/2 stream, is logged as everything that is not.
 */
import type { LogFacts, LogWire } from './facts.ts'

type Read = (facts: LogFacts) => number | undefined

type Side = 'downstreamWire' | 'upstreamWire'

function wire(side: Side, part: keyof LogWire): Read {
  return (facts) => facts[side]?.[part]
}

export const SIZES: Readonly<Record<string, Read>> = {
  DOWNSTREAM_WIRE_BYTES_RECEIVED: wire('downstreamWire', 'received'),
  DOWNSTREAM_WIRE_BYTES_SENT: wire('downstreamWire', 'sent'),
  DOWNSTREAM_HEADER_BYTES_RECEIVED: wire('downstreamWire', 'headerReceived'),
  DOWNSTREAM_HEADER_BYTES_SENT: wire('downstreamWire', 'headerSent'),
  UPSTREAM_WIRE_BYTES_RECEIVED: wire('upstreamWire', 'received'),
  UPSTREAM_WIRE_BYTES_SENT: wire('upstreamWire', 'sent'),
  UPSTREAM_HEADER_BYTES_RECEIVED: wire('upstreamWire', 'headerReceived'),
  UPSTREAM_HEADER_BYTES_SENT: wire('upstreamWire', 'headerSent'),
  REQUEST_HEADERS_BYTES: (facts) => facts.requestFieldBytes,
  RESPONSE_HEADERS_BYTES: (facts) => facts.responseFieldBytes,
  RESPONSE_TRAILERS_BYTES: (facts) => facts.responseTrailerBytes,
  REQUEST_TX_DURATION: ({ requestSentMs: ms }) => (ms === undefined ? undefined : Math.round(ms)),
  CONNECTION_ID: (facts) => facts.connectionId,
  UPSTREAM_CONNECTION_ID: (facts) => facts.upstreamConnectionId,
}

/** Milliseconds from the start to a point, by Envoy's name of it. */
const POINTS: Readonly<Record<string, Read>> = {
  DS_RX_BEG: () => 0,
  DS_RX_END: (facts) => facts.requestMs,
  US_TX_END: (facts) => facts.requestSentMs,
  US_RX_BEG: (facts) => facts.firstByteMs,
  DS_TX_BEG: (facts) => facts.firstByteMs,
  DS_TX_END: (facts) => facts.durationMs,
}

const PRECISIONS: Readonly<Record<string, number>> = { ms: 1, us: 1_000, ns: 1_000_000 }

/** `START:END:PRECISION`; points that this proxy does not note are never known. */
export function commonDuration(argument = ''): Read {
  const [from = '', to = '', precision = ''] = argument.split(':')
  const scale = PRECISIONS[precision] ?? 1
  return (facts) => {
    const begun = POINTS[from]?.(facts)
    const ended = POINTS[to]?.(facts)
    return begun === undefined || ended === undefined || ended < begun
      ? undefined
      : Math.round((ended - begun) * scale)
  }
}

/** `KEY`, `KEY:PLAIN`, `KEY:TYPED` or `KEY:FIELD:NAME`, as Envoy serializes what is in the state. */
export function filterState(argument = ''): (facts: LogFacts) => string | undefined {
  const [key = '', type = 'TYPED', field = ''] = argument.split(':')
  return (facts) => {
    const value = facts.filterState?.(key)
    if (value === undefined) return undefined
    if (typeof value === 'string') {
      if (type === 'FIELD') return undefined
      return type === 'PLAIN' ? value : JSON.stringify(value)
    }
    if (type === 'FIELD') return Object.hasOwn(value, field) ? value[field] : undefined
    if (type === 'TYPED') return JSON.stringify(value)
    const parts = Object.entries(value).map(([name, text]) => `${name}=${text}`)
    return parts.join(',')
  }
}
