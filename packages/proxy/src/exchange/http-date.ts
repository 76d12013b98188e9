/** The `date` header of answers that the proxy makes itself, rendered once a second. */
import type { Clock } from '@weft/base'

let renderedSecond = -1
let rendered = ''

export function httpDate(clock: Clock): string {
  const second = Math.floor(clock.nowMs() / 1_000)
  if (second !== renderedSecond) {
    renderedSecond = second
    rendered = new Date(second * 1_000).toUTCString()
  }
  return rendered
}
