/**
 * `Expect: 100-continue` (RFC 9110, section 10.1.1). Once a request may go on, the proxy itself asks
 * for the body, as Envoy does: an upstream that never says 100 makes no client wait. What is
 * refused before that is refused without a body.
 */
import { ascii } from '@weft/wire'
import type { Exchange } from './exchange.ts'
import { out } from './shared-out.ts'

const CONTINUE = ascii('HTTP/1.1 100 Continue\r\n\r\n')

export function askForBody(x: Exchange): void {
  const { head, runtime, request, downstream } = x
  const asks = head.expectsContinue && runtime.manager.proxy100Continue !== true
  x.plan.expectationMet = asks
  if (!asks) return
  // From here on the body comes: an answer of our own drains it, and upstreams are told nothing.
  head.expectsContinue = false
  // HTTP/1.0 knows no interim answers, and who sends already needs none.
  if (head.minor === 0 || request.done || request.bytes > 0) return
  out.clear()
  out.append(CONTINUE)
  downstream.sendInterim(0)
  if (!downstream.multiplexed) downstream.send(0, false, undefined)
}
