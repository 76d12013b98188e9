/**
 * Which brokers an instance dials: the same ones whenever it asks, spread evenly over all
 * instances, and as far apart as zones allow. Rendezvous hashing (Thaler and Ravishankar, 1998):
 * a broker that comes or goes moves only the links that are its own.
 */
import { mixedHash } from './hash.ts'

export interface BrokerPlace {
  /** As it is dialled, for example `tcps://b1.example:7878`; what the hash is made of. */
  readonly uri: string
  /** Empty: not known. Brokers of unknown zones count as one zone. */
  readonly zone: string
}

/**
 * The brokers for `links` connections (1 or more) of one instance, best first: each zone gives one
 * before any gives a second. Fewer when there are fewer brokers; a URI that is listed twice counts
 * once. The order of the list does not matter.
 */
export function pickBrokers<T extends BrokerPlace>(
  instance: string,
  brokers: readonly T[],
  links: number,
): readonly T[] {
  const ranked = [...new Map(brokers.map((each) => [each.uri, each])).values()]
    .map((broker) => ({ broker, score: mixedHash(`${instance} ${broker.uri}`) }))
    .sort((a, b) => b.score - a.score || (a.broker.uri < b.broker.uri ? -1 : 1))
  const rounds: T[][] = []
  const taken = new Map<string, number>()
  for (const { broker } of ranked) {
    const round = taken.get(broker.zone) ?? 0
    taken.set(broker.zone, round + 1)
    const others = rounds[round]
    if (others === undefined) rounds[round] = [broker]
    else others.push(broker)
  }
  return rounds.flat().slice(0, Math.max(0, links))
}

/**
 * Gives each link slot a broker after a change of the list. A slot keeps the broker that it has
 * while that one is picked: the newest connection of (instance, slot) wins in the whole cluster, so
 * slots that change places for nothing would close each other. Undefined: the slot has none.
 */
export function placeLinks(
  held: readonly (string | undefined)[],
  picked: readonly BrokerPlace[],
): readonly (string | undefined)[] {
  const free = new Set(picked.map(({ uri }) => uri))
  const kept = held.map((uri) => (uri !== undefined && free.delete(uri) ? uri : undefined))
  const rest = [...free]
  const slots = kept.map((uri) => uri ?? rest.shift())
  return [...slots, ...rest].slice(0, Math.max(held.length, picked.length))
}
