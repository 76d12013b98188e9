/**
 * One side of an exchange is slower than the other: the faster one waits. What was read already
 * waits in memory, and while little of that is left it counts: thousands of connections may be
 * read in one turn of the event loop, long before anybody could look at the memory again.
 */
import type { UpstreamSide } from '../upstream/upstream-user.ts'
import type { Exchange } from './exchange.ts'

/**
 * Whether `bytes` more of an answer may be kept for a client that takes nothing now. Asked before
 * they are copied: what waits on a connection of many streams cannot be taken back by ending one.
 */
export function mayKeepAnswer(x: Exchange, bytes: number): boolean {
  const { overload } = x.deps
  if (overload === undefined || !x.downstream.keeps || overload.holds(bytes)) return true
  endLater(x)
  return false
}

/** The client does not take the answer as fast as it comes; `bytes` of it wait. */
export function pauseAnswer(x: Exchange, connection: UpstreamSide, bytes: number): void {
  connection.pauseBody()
  if (!x.downstream.multiplexed && x.deps.overload?.holds(bytes) === false) endLater(x)
}

/** The upstream does not take the request as fast as it comes. */
export function pauseRequest(x: Exchange, bytes: number): void {
  x.downstream.pauseBody()
  if (x.deps.overload?.holds(bytes) === false) endLater(x)
}

/** When whoever reads now is done. An exchange in the middle of a body serves nobody else. */
function endLater(x: Exchange): void {
  const { downstream, startedMs } = x
  queueMicrotask(() => {
    if (x.finished || x.downstream !== downstream || x.startedMs !== startedMs) return
    x.mustClose = true
    x.fail('overload', 'memory is nearly gone, and one side takes nothing')
  })
}
