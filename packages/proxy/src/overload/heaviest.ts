/** Picks the streams to end when memory is nearly gone: those that hold most of it. */

/** Something that holds memory for one client, and can be told to let go. */
export interface Holding {
  readonly bytes: number
  cut(): void
}

/** Less is not worth a client's anger (Envoy's smallest bucket is larger still). */
const MIN_BYTES = 65_536
/** At a time, as in Envoy. */
const MAX_CUTS = 50
/** Of what all of them hold: what is cut frees its memory only a little later. */
const SHARE = 1 / 4

/** Heaviest first, until a share of what they hold together is gone. Returns how many were cut. */
export function cutHeaviest(holdings: readonly Holding[]): number {
  const heavy = holdings.filter(({ bytes }) => bytes >= MIN_BYTES)
  heavy.sort((a, b) => b.bytes - a.bytes)
  const wanted = heavy.reduce((sum, { bytes }) => sum + bytes, 0) * SHARE
  let freed = 0
  let cuts = 0
  for (const { bytes, cut } of heavy) {
    if (freed >= wanted || cuts === MAX_CUTS) break
    cut()
    freed += bytes
    cuts++
  }
  return cuts
}
