/**
 * The largest request body that a route takes (Envoy's buffer filter). A length that is declared
 * is checked before the upstream sees a byte; without one the bytes are counted as they come.
 */
import type { BindFilter, FilterVerdict } from './http-filter.ts'

export const buffer: BindFilter<'buffer'> = (config, { overrides }) => {
  const limit = overrides.maxRequestBytes ?? config.maxRequestBytes ?? 0
  if (limit <= 0) return undefined
  const counted = { kind: 'limitBody', maxBytes: limit } as const
  return {
    onRequest({ contentLength }): FilterVerdict {
      if (contentLength < 0) return counted
      if (contentLength <= limit) return undefined
      const reply = { status: 413, body: 'Payload Too Large' }
      return { kind: 'reply', reply, details: 'request_payload_too_large' }
    },
  }
}
