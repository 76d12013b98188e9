/** "Did you mean": the nearest name to a typo. */

/**
 * The candidate that differs least from `name`, if it is near enough that the
 * one was plausibly meant by the other: a third of its letters, at least one; or by all
 * but its last letter.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = name.toLowerCase().replaceAll(/[-_]/g, '')
  const names = [...candidates]
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(Math.min(name.length, 24) / 3)) + 1
  for (const candidate of names) {
    const distance = editDistance(wanted, candidate.toLowerCase(), bestDistance)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best ?? names.find((candidate) => sharesBeginning(wanted, candidate.toLowerCase()))
}

/** `retry` for `retries`: all but the last letter of a name of five or more. */
function sharesBeginning(wanted: string, candidate: string): boolean {
  return wanted.length > 4 && candidate.startsWith(wanted.slice(0, -1))
}

/** Insertions, deletions, replacements and swaps of neighbours; stops counting at `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let value = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        value = Math.min(value, (before[j - 2] ?? 0) + 1)
      }
      row.push(value)
    }
    before = above
    above = row
  }
  return above[b.length] ?? limit
}
