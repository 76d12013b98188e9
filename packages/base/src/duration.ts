/**
 * Durations as people write them, in milliseconds; below one with a fraction.
 *
 * Accepted is what Kubernetes accepts for `metav1.Duration` and Gateway API for
 * `Duration` (GEP-2257): one or more `<number><unit>` in any order, units h, m,
 * s, ms, us, ns; Istio's protobuf JSON form `1.5s` is one of them. No sign, no
 * blanks, no bare number (`"5"` is the commonest typo and means nothing).
 */

const UNIT_MS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 } as const
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/gy

/** The duration in milliseconds, or `undefined` when the text is not one. */
export function parseDurationMs(text: string): number | undefined {
  if (text === '0') return 0
  let totalMs = 0
  PART.lastIndex = 0
  do {
    const part = PART.exec(text)
    if (part === null) return undefined
    totalMs += Number(part[1]) * UNIT_MS[part[2] as keyof typeof UNIT_MS]
  } while (PART.lastIndex < text.length)
  return totalMs
}

/** The shortest usual form: `250ms`, `1.5s`, `2m`, `1h`. */
export function renderDuration(ms: number): string {
  if (ms !== 0 && ms % 3_600_000 === 0) return `${ms / 3_600_000}h`
  if (ms !== 0 && ms % 60_000 === 0) return `${ms / 60_000}m`
  return ms >= 1_000 ? `${ms / 1_000}s` : `${ms}ms`
}
