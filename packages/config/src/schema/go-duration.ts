/**
 * Durations as Go's `time.ParseDuration` reads them, because Istio and
 * Kubernetes do: a sign, then numbers with units, `0` without one. Wider than
 * `parseDurationMs` of @weft/base, which refuses signs.
 */

import { parseDurationMs } from '@weft/base'

/** Milliseconds, negative for `-1s`, or `undefined` for what is no duration. */
export function goDurationMs(text: string): number | undefined {
  const sign = text.startsWith('-') ? -1 : 1
  const unsigned = /^[-+]/.test(text) ? text.slice(1) : text
  const ms = parseDurationMs(unsigned)
  return ms === undefined || !Number.isFinite(ms) ? undefined : sign * ms
}
