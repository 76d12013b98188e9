/** Header names with an underscore: CGI and its heirs take `_` and `-` for the same. */
import { SPAN } from '@weft/wire'

const UNDERSCORE = 0x5f

export function hasUnderscore(bytes: Buffer, spans: Int32Array, index: number): boolean {
  const end = spans[index * SPAN + 1] as number
  for (let i = spans[index * SPAN] as number; i < end; i++) {
    if (bytes[i] === UNDERSCORE) return true
  }
  return false
}
