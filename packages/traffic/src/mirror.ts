/** Which clusters get a copy of a request. The answers to copies are thrown away. */
import type { Mirror } from '@weft/model'

const NONE: readonly Mirror[] = []

/** Each mirror's share is independent of the others'. Allocates only when some but not all are hit. */
export function mirrorsOf(
  action: { readonly mirrors: readonly Mirror[] },
  random: () => number,
): readonly Mirror[] {
  const { mirrors } = action
  if (mirrors.length === 0) return NONE
  const hit = mirrors.filter(({ percent }) => percent >= 100 || random() * 100 < percent)
  return hit.length === mirrors.length ? mirrors : hit
}
