/** What brokers say of brokers: where they are, and that one goes. */
import type { BrokerPlace } from '@weft/traffic'
import type { LinkSet, ManagedLink } from './link-set.ts'

/**
 * Acts on `welcome`, `brokers` and `goaway` (§ 8.2 of the design).
 *
 * @param places Those of a list that may be dialled.
 */
export function hearOfBrokers(
  links: LinkSet,
  from: ManagedLink,
  { welcome, brokers, goaway }: Readonly<Record<string, unknown>>,
  places: (uris: unknown, zones?: unknown) => readonly BrokerPlace[],
): void {
  if (isRecord(welcome)) links.learn(places(welcome.brokers, welcome.zones))
  if (isRecord(brokers)) links.learn(places(brokers.uris, brokers.zones))
  if (!isRecord(goaway)) return
  const deadlineMs = typeof goaway.deadlineMs === 'number' ? goaway.deadlineMs : 0
  links.leave(from, inHour(deadlineMs), places(goaway.replaceWith))
}

/** What a broker says in milliseconds, as timers take it. */
function inHour(ms: number): number {
  return Math.min(3_600_000, Math.max(0, ms))
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
