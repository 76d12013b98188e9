/**
 * Which legs offer which service, now. A leg is found under its service's full GSV key and,
 * because callers may leave group and version out, under the bare name.
 */
import { gsvHash, gsvServiceKey } from '@weft/wire'
import type { Leg } from './leg.ts'
import type { OfferedService, PeerFacts } from './peer-facts.ts'

export class Registry {
  readonly #legs = new Map<string, Leg[]>()
  /** By identity, instance and link: the newest connection of one link wins. */
  readonly #links = new Map<string, Leg>()
  #version = 0
  readonly #hashed = new Map<number, OfferedService | 'several'>()
  #hashedAt = -1

  /** Grows with every change; what was looked up before may be stale then. */
  get version(): number {
    return this.#version
  }

  /** Adds an instance's leg. Returns the older leg of the same link, which is to be closed. */
  add(leg: Leg): Leg | undefined {
    const { instance } = leg.facts
    if (instance === undefined) return undefined
    const link = linkOf(leg.facts)
    const older = this.#links.get(link)
    if (older !== undefined) this.remove(older)
    this.#links.set(link, leg)
    this.#insert(leg)
    return older
  }

  #insert(leg: Leg): void {
    for (const key of keysOf(leg)) this.#legs.set(key, [...(this.#legs.get(key) ?? []), leg])
    this.#version++
  }

  remove(leg: Leg): void {
    const { instance } = leg.facts
    if (instance === undefined) return
    const link = linkOf(leg.facts)
    if (this.#links.get(link) !== leg) return
    this.#links.delete(link)
    this.#withdraw(leg)
  }

  #withdraw(leg: Leg): void {
    for (const key of keysOf(leg)) {
      const rest = (this.#legs.get(key) ?? []).filter((each) => each !== leg)
      if (rest.length === 0) this.#legs.delete(key)
      else this.#legs.set(key, rest)
    }
    this.#version++
  }

  /** Its instance offers these from now on. */
  change(leg: Leg, services: readonly OfferedService[]): void {
    const { instance } = leg.facts
    if (instance === undefined) return
    const isListed = this.#links.get(linkOf(leg.facts)) === leg
    if (isListed) this.#withdraw(leg)
    leg.facts = { ...leg.facts, instance: { ...instance, services } }
    if (isListed) this.#insert(leg)
  }

  /**
   * The key of a service by Alibaba's hash of it, with the hash of the method in the method's
   * place. Undefined: nobody offers it, or two services share the hash and neither may be guessed.
   */
  keyOfHash(serviceId: number, handlerId: number): string | undefined {
    if (this.#hashedAt !== this.#version) {
      this.#hashed.clear()
      this.#hashedAt = this.#version
      for (const leg of this.#links.values()) {
        for (const offered of leg.facts.instance?.services ?? []) this.#hash(offered)
      }
    }
    const offered = this.#hashed.get(serviceId)
    if (offered === undefined || offered === 'several') return undefined
    return gsvServiceKey({ ...offered, service: `${offered.service}.${handlerId}` })
  }

  #hash(offered: OfferedService): void {
    const key = gsvServiceKey(offered)
    const id = gsvHash(key)
    const known = this.#hashed.get(id)
    const isSame = known !== undefined && known !== 'several' && gsvServiceKey(known) === key
    this.#hashed.set(id, known === undefined || isSame ? offered : 'several')
  }

  /** Legs that offer `[group!]service[:version]`; group and version may be left out. */
  find(serviceKey: string): readonly Leg[] {
    return this.#legs.get(serviceKey) ?? []
  }

  /** Every instance's leg, for the admin port. */
  get legs(): readonly Leg[] {
    return [...this.#links.values()]
  }

  /** Names that callers may use, with how many legs answer to each. */
  get services(): ReadonlyMap<string, number> {
    return new Map([...this.#legs].map(([key, legs]) => [key, legs.length]))
  }
}

/**
 * One instance may have a link of the same number to each broker for a moment. Its id is its own
 * word: whoever knows somebody else's must not end that connection by it.
 */
function linkOf({ instance, identity, via }: PeerFacts): string {
  return JSON.stringify([identity.principal, instance?.id, instance?.link, via])
}

function keysOf(leg: Leg): ReadonlySet<string> {
  const keys = new Set<string>()
  for (const offered of leg.facts.instance?.services ?? []) {
    keys.add(gsvServiceKey(offered))
    keys.add(gsvServiceKey({ ...offered, group: '' }))
    keys.add(gsvServiceKey({ ...offered, version: '' }))
    keys.add(offered.service)
  }
  return keys
}
