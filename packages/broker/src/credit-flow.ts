/**
 * Credit of one stream in both directions: whatever a consumer asks for, its producer is granted
 * a small window at a time, and none while the consumer does not take its bytes.
 */
import type { CreditWindow } from '@weft/traffic'
import { type FrameView, renderRequestN, STEP_ITEM, UNBOUNDED_REQUEST_N } from '@weft/wire'
import type { Leg } from './leg.ts'
import type { StreamEntry } from './stream-entry.ts'

export function onRequestN(entry: StreamEntry, fromRequester: boolean, n: number): void {
  const credit = fromRequester ? entry.toRequester : entry.toResponder
  if (credit === undefined || n === 0 || n > UNBOUNDED_REQUEST_N) return
  credit.ask(n)
  grant(entry, credit, fromRequester)
}

/** False: an item that nobody asked for. */
export function countItem(
  entry: StreamEntry,
  fromRequester: boolean,
  view: FrameView,
  step: number,
): boolean {
  const credit = fromRequester ? entry.toResponder : entry.toRequester
  if (credit === undefined) return true
  const bytes = view.to - view.from
  if (fromRequester) entry.requesterItemBytes += bytes
  else entry.responderItemBytes += bytes
  if ((step & STEP_ITEM) === 0) return true
  entry.shortFragments = 0
  const whole = fromRequester ? entry.requesterItemBytes : entry.responderItemBytes
  if (fromRequester) entry.requesterItemBytes = 0
  else entry.responderItemBytes = 0
  entry.requester.owner.counters.itemsForwarded++
  entry.observer?.onItem(entry, fromRequester, view)
  return credit.used(whole)
}

/** The item of so many bytes goes nowhere: its consumer wants another one in its place. */
export function giveBack(entry: StreamEntry, fromRequester: boolean, bytes: number): void {
  const credit = fromRequester ? entry.toResponder : entry.toRequester
  if (credit?.used(bytes) !== true) return
  credit.ask(1)
  grantWhenUsed(entry, fromRequester)
}

export function grantWhenUsed(entry: StreamEntry, fromRequester: boolean): void {
  const credit = fromRequester ? entry.toResponder : entry.toRequester
  if (credit?.isHalfUsed === true) grant(entry, credit, !fromRequester)
}

/** @param toRequester Whose items are granted: the requester consumes. */
function grant(entry: StreamEntry, credit: CreditWindow, toRequester: boolean): void {
  const { requester, responder } = entry
  if (responder === undefined) return
  const consumer = toRequester ? requester : responder
  if (consumer.isFull) {
    consumer.waiting.add(entry)
    return
  }
  const n = credit.grant()
  if (n === 0) return
  if (toRequester) responder.sendFrame(renderRequestN(entry.responderId, n))
  else requester.sendFrame(renderRequestN(entry.requesterId, n))
}

/** A leg takes bytes again: those who produce for it get the credit that was held back. */
export function grantWaiting(leg: Leg): void {
  if (leg.waiting.size === 0) return
  const waiting = [...leg.waiting]
  leg.waiting.clear()
  for (const entry of waiting) {
    const { toRequester, toResponder } = entry
    if (entry.requester === leg && toRequester !== undefined) grant(entry, toRequester, true)
    if (entry.responder === leg && toResponder !== undefined) grant(entry, toResponder, false)
  }
}
