/**
 * Which brokers there are links to: K of them, by rendezvous over the brokers that are known and
 * not avoided. Whatever changes – the list, a broker that goes, one that cannot be reached – only
 * changes what is wanted; a link that is not wanted any more goes after those that are wanted are
 * up, and takes its streams to their end first.
 */
import type { Clock } from '@weft/base'
import { type BrokerPlace, pickBrokers } from '@weft/traffic'
import type { Link } from './link/link.ts'
import { MAX_PLACES } from './options.ts'

export interface LinkSetOptions {
  readonly instance: string
  readonly brokers: readonly BrokerPlace[]
  readonly links: number
}

export interface LinkSetDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** A link that is not opened yet. `slot`: no other link has it. */
  make(uri: string, slot: number): ManagedLink
}

export interface ManagedLink {
  readonly link: Link
  readonly uri: string
  readonly slot: number
  retiring: boolean
}

/** So many attempts in a row, and another broker is tried in its place. */
const PATIENCE = 3
/** As long a broker that could not be reached is avoided, at least; up to twice as long. */
const AVOID_MS = 30_000
/** A new list is acted on within this time: thousands of peers hear it at once. */
const LIST_JITTER_MS = 2_000
/** How often a link that goes looks whether its last stream is over. */
const RETIRE_LOOK_MS = 50
/** A link that goes does not wait longer for its streams. */
const RETIRE_MS = 30_000

export class LinkSet {
  readonly #options: LinkSetOptions
  readonly #deps: LinkSetDeps
  #places: readonly BrokerPlace[]
  /** Until when a broker is not wanted, while there are others. */
  readonly #avoided = new Map<string, number>()
  readonly #links = new Set<ManagedLink>()
  readonly #waiting = new Set<() => void>()
  #cancelList = () => {}
  #cancelAvoided = () => {}
  #closed = false

  constructor(options: LinkSetOptions, deps: LinkSetDeps) {
    this.#options = options
    this.#deps = deps
    this.#places = options.brokers
  }

  get all(): Iterable<ManagedLink> {
    return this.#links
  }

  /** Calls that wait for a link. */
  get waiting(): number {
    return this.#waiting.size
  }

  open(): void {
    this.#arrange()
  }

  /** Where brokers are from now on. Acted on a little later, at random. */
  learn(places: readonly BrokerPlace[]): void {
    if (places.length === 0 || this.#closed) return
    this.#cancelList()
    const delayMs = this.#deps.random() * LIST_JITTER_MS
    this.#cancelList = this.#deps.clock.after(delayMs, () => {
      this.#places = places
      this.#arrange()
    })
  }

  /** The broker goes: another one first, then this link drains. */
  leave(managed: ManagedLink, deadlineMs: number, replaceWith: readonly BrokerPlace[]): void {
    const known = new Set(this.#places.map(({ uri }) => uri))
    const fresh = replaceWith.filter(({ uri }) => !known.has(uri))
    this.#places = [...this.#places, ...fresh].slice(-MAX_PLACES)
    this.#avoid(managed.uri, deadlineMs)
    this.#arrange()
  }

  /** A link came up or went down, or could not be opened. */
  onState(managed: ManagedLink): void {
    if (this.#closed) return
    if (managed.link.peer === undefined && managed.link.failures >= PATIENCE) {
      if (!this.#isAvoided(managed.uri)) this.#avoid(managed.uri, AVOID_MS)
    }
    this.#arrange()
    if (managed.link.peer !== undefined) this.#wake()
  }

  /** The broker leased more requests: who waits may go on. */
  onLease(): void {
    this.#wake()
  }

  /**
   * The better of two at random among the links that may be asked, without those that were tried;
   * links that go come last.
   */
  pick(tried: readonly ManagedLink[]): ManagedLink | undefined {
    // Two of n uniformly, in one pass that allocates nothing: this is on the way of every call.
    let first: ManagedLink | undefined
    let second: ManagedLink | undefined
    let seen = 0
    let isStaying = false
    const { random } = this.#deps
    for (const each of this.#links) {
      if (!each.link.mayAsk || tried.includes(each)) continue
      const stays = !each.link.leaving && !each.retiring
      if (isStaying && !stays) continue
      if (stays && !isStaying) {
        isStaying = true
        seen = 0
      }
      seen++
      if (seen === 1 || random() * seen < 1) first = each
      if (seen === 1 || random() * seen < 1) second = each
    }
    if (first === undefined || second === undefined) return first
    return openStreams(second) < openStreams(first) ? second : first
  }

  /** Calls back once when something may have become better. The returned function cancels. */
  whenBetter(fire: () => void): () => void {
    this.#waiting.add(fire)
    return () => this.#waiting.delete(fire)
  }

  /** Nothing is opened any more; what there is stays until `close`. */
  settle(): void {
    this.#closed = true
    this.#cancelList()
    this.#cancelAvoided()
  }

  close(): void {
    this.settle()
    for (const { link } of this.#links) link.close()
    this.#wake()
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resume of waiting) resume()
  }

  #avoid(uri: string, forMs: number): void {
    const { clock, random } = this.#deps
    this.#avoided.set(uri, clock.monotonicMs() + forMs * (1 + random()))
    this.#watchAvoided()
  }

  #isAvoided(uri: string): boolean {
    const untilMs = this.#avoided.get(uri)
    return untilMs !== undefined && this.#deps.clock.monotonicMs() < untilMs
  }

  #watchAvoided(): void {
    this.#cancelAvoided()
    const next = Math.min(...this.#avoided.values())
    if (this.#closed || next === Number.POSITIVE_INFINITY) return
    const { clock } = this.#deps
    this.#cancelAvoided = clock.after(Math.max(0, next - clock.monotonicMs()), () => {
      const nowMs = clock.monotonicMs()
      for (const [uri, untilMs] of this.#avoided) if (untilMs <= nowMs) this.#avoided.delete(uri)
      this.#watchAvoided()
      this.#arrange()
    })
  }

  #wanted(): ReadonlySet<string> {
    const { instance, links } = this.#options
    const good = this.#places.filter(({ uri }) => !this.#isAvoided(uri))
    const poor = this.#places.filter(({ uri }) => this.#isAvoided(uri))
    const picked = pickBrokers(instance, good, links)
    // Whoever told of brokers that nobody reaches from here does not cut us off from the first ones.
    const first = picked.length > 0 ? [] : this.#firstOnes()
    const fallback = pickBrokers(instance, first, links)
    const rest = pickBrokers(instance, poor, links - picked.length - fallback.length)
    return new Set([...picked, ...fallback, ...rest].map(({ uri }) => uri))
  }

  #firstOnes(): readonly BrokerPlace[] {
    const known = new Set(this.#places.map(({ uri }) => uri))
    const { brokers } = this.#options
    return brokers.filter(({ uri }) => !known.has(uri) && !this.#isAvoided(uri))
  }

  #arrange(): void {
    if (this.#closed) return
    const wanted = this.#wanted()
    const staying = [...this.#links].filter(({ retiring }) => !retiring)
    const have = new Set(staying.map(({ uri }) => uri))
    for (const uri of wanted) if (!have.has(uri)) this.#open(uri)
    const missing = [...this.#links].some(
      ({ uri, link, retiring }) => wanted.has(uri) && !retiring && link.peer === undefined,
    )
    for (const each of staying) {
      if (wanted.has(each.uri)) continue
      if (each.link.peer === undefined) this.#drop(each)
      else if (!missing) this.#retire(each)
    }
  }

  #open(uri: string): void {
    const taken = new Set([...this.#links].map(({ slot }) => slot))
    let slot = 0
    while (taken.has(slot)) slot++
    const managed = this.#deps.make(uri, slot)
    this.#links.add(managed)
    managed.link.open()
  }

  #drop(managed: ManagedLink): void {
    this.#links.delete(managed)
    managed.link.close()
  }

  /** Its broker is told first, so that nothing new comes on it. */
  #retire(managed: ManagedLink): void {
    managed.retiring = true
    const { clock } = this.#deps
    const endMs = clock.monotonicMs() + RETIRE_MS
    const look = () => {
      const { peer } = managed.link
      if (peer !== undefined && peer.openStreams > 0 && clock.monotonicMs() < endMs) {
        clock.after(RETIRE_LOOK_MS, look)
      } else this.#drop(managed)
    }
    void managed.link.say('draining').then(look)
  }
}

function openStreams({ link }: ManagedLink): number {
  return link.peer?.openStreams ?? 0
}
