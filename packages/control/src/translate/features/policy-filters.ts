/** Fields of a TrafficPolicy → settings of the HTTP filters of their names. */
import { parseDurationMs } from '@weft/base'
import type { TrafficPolicySpec } from '@weft/config'
import type {
  AdaptiveConcurrency,
  Compression,
  CsrfPolicy,
  HedgePolicy,
  SessionPersistence,
} from '@weft/model'

type Field<K extends keyof TrafficPolicySpec> = NonNullable<TrafficPolicySpec[K]>

/** Envoy's and nginx's usual texts; what is compressed already gains nothing. */
const TEXT_TYPES = [
  'application/javascript',
  'application/json',
  'application/xhtml+xml',
  'application/xml',
  'image/svg+xml',
  'text/css',
  'text/html',
  'text/javascript',
  'text/plain',
  'text/xml',
]

/** Where only routes compress; they say how. */
export const DEFAULT_COMPRESSION: Compression = {
  encodings: ['gzip'],
  minBytes: 1024,
  contentTypes: TEXT_TYPES,
  disableOnEtag: true,
  removeAcceptEncoding: false,
}

export function compression(settings: Field<'compression'>): Compression {
  const { encodings, minBytes, contentTypes, disableOnEtag, removeAcceptEncoding, level } = settings
  return {
    encodings,
    minBytes,
    contentTypes: contentTypes?.map((type) => type.toLowerCase()) ?? TEXT_TYPES,
    disableOnEtag,
    removeAcceptEncoding,
    ...(level === undefined ? {} : { level }),
  }
}

export function adaptiveConcurrency(settings: Field<'adaptiveConcurrency'>): AdaptiveConcurrency {
  const { updateInterval, minRttInterval, ...rest } = settings
  return {
    enabled: true,
    ...rest,
    updateIntervalMs: parseDurationMs(updateInterval) ?? 100,
    minRttIntervalMs: parseDurationMs(minRttInterval) ?? 60_000,
  }
}

export function csrf(settings: Field<'csrf'>): CsrfPolicy {
  const { enabledPercent, shadowPercent, additionalOrigins = [] } = settings
  return {
    enabledPercent,
    shadowPercent,
    additionalOrigins: additionalOrigins.map(({ exact, prefix, regex }) => {
      if (exact !== undefined) return { kind: 'exact', value: exact, ignoreCase: false }
      if (regex !== undefined) return { kind: 'regex', value: regex }
      return { kind: 'prefix', value: prefix ?? '', ignoreCase: false }
    }),
  }
}

export function sessionPersistence({
  cookie,
  header,
}: Field<'sessionPersistence'>): SessionPersistence | undefined {
  if (header !== undefined) return { kind: 'header', name: header.name.toLowerCase() }
  if (cookie === undefined) return undefined
  const ttlMs = cookie.ttl === undefined ? 0 : (parseDurationMs(cookie.ttl) ?? 0)
  return { kind: 'cookie', name: cookie.name, path: cookie.path, ttlMs }
}

export function hedging({ after, afterPercentile, maxAttempts }: Field<'hedging'>): HedgePolicy {
  const afterMs = after === undefined ? undefined : parseDurationMs(after)
  return {
    maxAttempts,
    ...(afterMs === undefined ? {} : { afterMs }),
    ...(afterPercentile === undefined ? {} : { afterPercentile }),
  }
}
