/**
 * The hash of balancers with affinity and of their requests. FNV-1a alone leaves
 * the high bits of similar texts alike (`10.0.0.1:80_1`, `…_2`), so it is mixed
 * by MurmurHash3's finaliser.
 */
import { fnv1a } from '@weft/base'

/** Unsigned 32-bit, evenly spread. */
export function mixedHash(text: string): number {
  let hash = fnv1a(text)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
