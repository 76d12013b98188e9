/**
 * Listeners of Gateways and ListenerSets whose port a gateway proxy cannot bind, as Gateway API
 * wants it told: `Accepted=False` with `PortUnavailable` on the listener, and the object accepted
 * while one of its listeners is.
 */
import type { ObjectParts } from './gateway-api-status.ts'
import type { AppliedSummary, Condition } from './object-status.ts'

type ListenerParts = Extract<ObjectParts, { readonly kind: 'listeners' }>

interface Judged {
  readonly parts: ObjectParts | undefined
  /** Of the object, and of its listeners. */
  readonly conditions: readonly Condition[]
}

export function withUnbound(judged: Judged, applied: AppliedSummary | undefined): Judged {
  const { parts, conditions } = judged
  if (applied?.unbound === undefined || parts?.kind !== 'listeners') return judged
  const unavailable = unavailableOf(parts, applied)
  if (unavailable.size === 0) return judged
  const listeners = parts.listeners.map((listener) => {
    const condition = unavailable.get(listener.name)
    if (condition === undefined) return listener
    const others = listener.conditions.filter(({ type }) => type !== 'Accepted')
    return { ...listener, isServed: false, conditions: [condition, ...others] }
  })
  const bad = listeners.filter(({ isServed }) => !isServed).length
  const accepted: Condition = {
    type: 'Accepted',
    status: bad < listeners.length,
    reason: 'ListenersNotValid',
    message: `${bad} of ${listeners.length} listeners are not served`,
  }
  return {
    parts: { ...parts, listeners },
    conditions: conditions.map((one) => {
      if (one.type !== 'Accepted') return one
      if (one.where === undefined) return one.status ? accepted : one
      return [...unavailable.values()].find(({ where }) => where === one.where) ?? one
    }),
  }
}

/** By the listener's name; those that are not served anyway have said why. */
function unavailableOf(
  { listeners }: ListenerParts,
  { unbound = [], proxies }: AppliedSummary,
): ReadonlyMap<string, Condition> {
  const byPath = Map.groupBy(unbound, ({ path }) => path)
  return new Map(
    listeners.flatMap((listener, index) => {
      const [first, ...more] = byPath.get(`spec.listeners[${index}]`) ?? []
      if (first === undefined || !listener.isServed) return []
      const many = `${more.length + 1} of ${proxies} gateway proxies cannot serve it`
      const condition: Condition = {
        type: 'Accepted',
        status: false,
        reason: 'PortUnavailable',
        message: `${many}; ${first.proxy}: ${first.message}`,
        where: `listener ${listener.name}`,
      }
      return [[listener.name, condition] as const]
    }),
  )
}
