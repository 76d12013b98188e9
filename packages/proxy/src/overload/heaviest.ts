/** Picks the streams to end when memory is nearly gone: those that hold most of it. */

/** Something that holds memory for one client, and can be told to let go. */
export interface Holding {
  readonly bytes: number
  cut(): void
}

/** Less is not worth a client's anger. */
const MIN_BYTES = 16_384
/** At a time, as in Envoy: what is cut frees its memory only a little later. */
const CALM = { maxCuts: 50, share: 1 / 4 }
/** What was kept free is in use: the next one that ends this is the kernel. */
const URGENT = { maxCuts: 1_000, share: 1 / 2 }

/**
 * Heaviest first, until a share of what they hold together is gone.
 *
 * @returns How many were cut.
 */
export function cutHeaviest(holdings: readonly Holding[], isUrgent: boolean): number {
  const { maxCuts, share } = isUrgent ? URGENT : CALM
  const heavy = holdings.filter(({ bytes }) => bytes >= MIN_BYTES)
  heavy.sort((a, b) => b.bytes - a.bytes)
  const wanted = heavy.reduce((sum, { bytes }) => sum + bytes, 0) * share
  let freed = 0
  let cuts = 0
  for (const { bytes, cut } of heavy) {
    if (freed >= wanted || cuts === maxCuts) break
    cut()
    freed += bytes
    cuts++
  }
  return cuts
}
