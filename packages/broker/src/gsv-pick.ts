/** What a GSV key says about who is to answer: an endpoint selector, stickiness. */
import type { GsvRoute } from '@weft/wire'
import type { Leg } from './leg.ts'
import { type PickDeps, pickLeg } from './pick-leg.ts'

/** Services that one peer may stick to; the oldest is forgotten first. */
const MAX_STICKY = 1_024

/** Those that the selector names (`id:`, `uuid:`, `ip:`, `<label>:`); all without one. */
export function selectLegs(legs: readonly Leg[], { endpoint }: GsvRoute): readonly Leg[] {
  return endpoint === '' ? legs : legs.filter((leg) => isSelected(leg, endpoint))
}

function isSelected(leg: Leg, selector: string): boolean {
  const colon = selector.indexOf(':')
  const key = selector.slice(0, colon)
  const value = selector.slice(colon + 1)
  const { instance } = leg.facts
  if (colon <= 0 || instance === undefined) return false
  if (key === 'id' || key === 'uuid') return instance.id === value
  if (key === 'ip') return leg.socket.remoteAddress.host === value
  return instance.labels[key] === value
}

/** The one that answered this caller before, as long as it can; then another, which is kept. */
export function pickSticky(
  caller: Leg,
  serviceKey: string,
  legs: readonly Leg[],
  tried: readonly Leg[],
  deps: PickDeps,
): Leg | undefined {
  caller.sticky ??= new Map()
  const before = caller.sticky.get(serviceKey)
  const kept =
    before !== undefined && legs.includes(before) ? pickLeg([before], tried, deps) : undefined
  if (kept !== undefined) return kept
  const found = pickLeg(legs, tried, deps)
  caller.sticky.delete(serviceKey)
  if (found === undefined) return undefined
  caller.sticky.set(serviceKey, found)
  const [oldest] = caller.sticky.keys()
  if (caller.sticky.size > MAX_STICKY && oldest !== undefined) caller.sticky.delete(oldest)
  return found
}
