/** What a listener asks of every request before it is routed. */
import type { HttpConnectionManager } from '@weft/model'
import { SPAN } from '@weft/wire'
import type { Exchange } from './exchange.ts'
import { hasUnderscore } from './underscores.ts'

/** No name has this hash and these bytes: lookups pass it by. */
const NO_HASH = -1

/** Nearly every listener, and nearly always the same one as last. */
let lastWithoutRules: HttpConnectionManager | undefined

/** Arms the listener's limits and holds the head against its rules. False: the request was refused. */
export function keepsRules(x: Exchange): boolean {
  const { manager } = x.runtime
  if (manager === lastWithoutRules) return true
  const { maxRequestFields, underscores, requestTimeoutMs = 0, maxStreamDurationMs = 0 } = manager
  if (requestTimeoutMs > 0 || maxStreamDurationMs > 0) {
    x.timers.armRequest(x.startedMs, x.request.done ? 0 : requestTimeoutMs, maxStreamDurationMs)
  }
  if (maxRequestFields !== undefined && x.head.count > maxRequestFields) {
    return refuse(x, 431, `more than ${maxRequestFields} header fields`)
  }
  if (underscores === undefined || underscores === 'allow') {
    const asksNothing =
      maxRequestFields === undefined && requestTimeoutMs === 0 && maxStreamDurationMs === 0
    if (asksNothing) lastWithoutRules = manager
    return true
  }
  return underscores === 'drop' ? dropUnderscores(x) : refusesNone(x)
}

function refuse(x: Exchange, status: number, detail: string): false {
  x.failure = 'badRequest'
  x.detail = detail
  x.mustClose = true
  x.reply({ status, body: `${detail}\n` })
  return false
}

function refusesNone(x: Exchange): boolean {
  const { head, headBytes } = x
  for (let i = 0; i < head.count; i++) {
    if (hasUnderscore(headBytes, head.spans, i)) {
      return refuse(x, 400, 'a header name with an underscore')
    }
  }
  return true
}

/** Whoever looks for them finds nothing; the writer leaves them out. */
function dropUnderscores(x: Exchange): true {
  const { head, headBytes } = x
  for (let i = 0; i < head.count; i++) {
    if (hasUnderscore(headBytes, head.spans, i)) head.spans[i * SPAN + 4] = NO_HASH
  }
  return true
}
