/**
 * Which legs offer which service, now. A leg is found under its service's full GSV key and,
 * because callers may leave group and version out, under the bare name.
 */
import { gsvServiceKey } from '@weft/wire'
import type { Leg } from './leg.ts'

export class Registry {
  readonly #legs = new Map<string, Leg[]>()
  /** By instance and link: the newest connection of one link wins. */
  readonly #links = new Map<string, Leg>()
  #version = 0

  /** Grows with every change; what was looked up before may be stale then. */
  get version(): number {
    return this.#version
  }

  /** Adds an instance's leg. Returns the older leg of the same link, which is to be closed. */
  add(leg: Leg): Leg | undefined {
    const { instance } = leg.facts
    if (instance === undefined) return undefined
    const link = `${instance.id}/${instance.link}`
    const older = this.#links.get(link)
    if (older !== undefined) this.remove(older)
    this.#links.set(link, leg)
    for (const key of keysOf(leg)) {
      const legs = this.#legs.get(key)
      if (legs === undefined) this.#legs.set(key, [leg])
      else legs.push(leg)
    }
    this.#version++
    return older
  }

  remove(leg: Leg): void {
    const { instance } = leg.facts
    if (instance === undefined) return
    const link = `${instance.id}/${instance.link}`
    if (this.#links.get(link) !== leg) return
    this.#links.delete(link)
    for (const key of keysOf(leg)) {
      const rest = (this.#legs.get(key) ?? []).filter((each) => each !== leg)
      if (rest.length === 0) this.#legs.delete(key)
      else this.#legs.set(key, rest)
    }
    this.#version++
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
