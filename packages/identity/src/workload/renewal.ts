/** When a certificate is renewed: half-way through its life, not everybody at once. */

/** Of the whole life, either side of one half (as SPIRE and Istio do). */
const JITTER = 0.1

export interface Lifetime {
  /** Wall clock, milliseconds. */
  readonly issuedAtMs: number
  readonly notAfterMs: number
}

/**
 * @param random Uniform in [0, 1).
 * @returns Wall clock, milliseconds; in the past when the certificate is older than that already.
 */
export function renewAtMs({ issuedAtMs, notAfterMs }: Lifetime, random: () => number): number {
  const lifeMs = notAfterMs - issuedAtMs
  return issuedAtMs + lifeMs * (0.5 + JITTER * (2 * random() - 1))
}
