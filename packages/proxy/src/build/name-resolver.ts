/**
 * Host names to addresses, for clusters that name hosts and for requests that go
 * wherever they say. Answers are asked for again every `refreshMs`; when that
 * fails the last good answer stays, because an address that worked is a better
 * guess than none.
 *
 * Bounded twice: lookups under way (each holds a thread of Node's pool, which
 * files need too), and names remembered for requests.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Clock, Logger } from '@weft/base'

export interface NameResolverOptions {
  readonly refreshMs: number
  readonly maxConcurrent: number
  /** Names that requests asked for; watched names come on top. */
  readonly maxNames: number
}

export interface NameResolverDeps {
  readonly clock: Clock
  readonly log: Logger
  /** All addresses of a name; rejects when there is none. Default: the system's resolver. */
  readonly lookup?: (name: string) => Promise<readonly string[]>
}

/** A name that has no address is not asked for again before this. */
const FAILURE_MS = 1_000

interface Answer {
  readonly addresses: readonly string[]
  readonly atMs: number
}

export class NameResolver {
  readonly #options: NameResolverOptions
  readonly #clock: Clock
  readonly #log: Logger
  readonly #lookup: (name: string) => Promise<readonly string[]>
  /** In order of last use, so that the first is the one to forget. */
  readonly #answers = new Map<string, Answer>()
  readonly #failedAtMs = new Map<string, number>()
  readonly #underWay = new Map<string, Promise<readonly string[]>>()
  readonly #queue: (() => void)[] = []
  #running = 0

  constructor(options: NameResolverOptions, deps: NameResolverDeps) {
    this.#options = options
    this.#clock = deps.clock
    this.#log = deps.log
    this.#lookup = deps.lookup ?? systemLookup
  }

  /**
   * The addresses of a name; the name itself when it is one.
   *
   * @throws {Error} When the name has no address and never had one here.
   */
  async resolve(name: string): Promise<readonly string[]> {
    if (isIP(name) !== 0) return [name]
    const key = name.toLowerCase()
    const known = this.#answers.get(key)
    const nowMs = this.#clock.monotonicMs()
    if (known !== undefined) {
      this.#answers.delete(key)
      this.#answers.set(key, known)
      if (nowMs - known.atMs < this.#options.refreshMs) return known.addresses
      // A request does not wait for what is known: the next one gets the newer answer.
      this.#ask(key).catch(() => undefined)
      return known.addresses
    }
    const failedAtMs = this.#failedAtMs.get(key)
    if (failedAtMs !== undefined && nowMs - failedAtMs < FAILURE_MS) {
      throw new Error(`Cannot resolve ${name}: it had no address a moment ago`)
    }
    return this.#ask(key)
  }

  /**
   * Calls `onAnswer` with the addresses of a name as soon as they are known and
   * whenever they change. The returned function stops it.
   */
  watch(name: string, onAnswer: (addresses: readonly string[]) => void): () => void {
    if (isIP(name) !== 0) {
      onAnswer([name])
      return () => undefined
    }
    let stopped = false
    let last = ''
    let cancel: (() => void) | undefined
    const round = async () => {
      try {
        const addresses = await this.#ask(name.toLowerCase())
        const text = addresses.join()
        if (!stopped && text !== last) {
          last = text
          onAnswer(addresses)
        }
      } catch (error) {
        this.#log.warn('name does not resolve', { name, kept: last, error })
      }
      if (!stopped) cancel = this.#clock.after(this.#options.refreshMs, () => void round())
    }
    void round()
    return () => {
      stopped = true
      cancel?.()
    }
  }

  /** One lookup per name at a time, however many ask. */
  #ask(name: string): Promise<readonly string[]> {
    const underWay = this.#underWay.get(name)
    if (underWay !== undefined) return underWay
    const asked = this.#admit()
      .then(() => this.#lookup(name))
      .then((addresses) => {
        if (addresses.length === 0) throw new Error(`Cannot resolve ${name}: it has no address`)
        // Sorted, so that a server that rotates its answers changes nothing.
        const sorted = [...new Set(addresses)].sort()
        this.#failedAtMs.delete(name)
        remember(
          this.#answers,
          name,
          { addresses: sorted, atMs: this.#clock.monotonicMs() },
          this.#options.maxNames,
        )
        return sorted
      })
      .catch((error: unknown) => {
        remember(this.#failedAtMs, name, this.#clock.monotonicMs(), this.#options.maxNames)
        throw error
      })
      .finally(() => {
        this.#underWay.delete(name)
        this.#running--
        this.#queue.shift()?.()
      })
    this.#underWay.set(name, asked)
    return asked
  }

  #admit(): Promise<void> {
    return new Promise((resolve) => {
      const start = () => {
        this.#running++
        resolve()
      }
      if (this.#running < this.#options.maxConcurrent) start()
      else this.#queue.push(start)
    })
  }
}

function remember<V>(map: Map<string, V>, name: string, value: V, max: number): void {
  map.delete(name)
  map.set(name, value)
  if (map.size <= max) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}

/** IPv4 where there is some, as Envoy's `V4_PREFERRED`. */
async function systemLookup(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true, verbatim: true })
  const v4 = found.filter(({ family }) => family === 4)
  return (v4.length > 0 ? v4 : found).map(({ address }) => address)
}
