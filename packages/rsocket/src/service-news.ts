/**
 * Tells brokers what this side offers from now on, again and again until each has said that it
 * knows: the event is level-triggered, so that saying it twice does no harm.
 */
import type { Clock } from '@weft/base'
import type { Link } from './link/link.ts'

export interface ServiceChange {
  readonly add?: readonly { readonly name: string }[]
  readonly remove?: readonly { readonly name: string }[]
}

const REPEAT_MS = 2_000

export class ServiceNews {
  readonly #clock: Clock
  readonly #waiting = new Map<Link, Map<number, () => void>>()
  #seq = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves when each of these links has heard it or is gone: the next hello says it anyway. */
  async tell(links: readonly Link[], change: ServiceChange): Promise<void> {
    await Promise.all(links.map((link) => this.#tellOne(link, change)))
  }

  onAck(link: Link, seq: unknown): void {
    if (typeof seq === 'number') this.#waiting.get(link)?.get(seq)?.()
  }

  #tellOne(link: Link, { add = [], remove = [] }: ServiceChange): Promise<void> {
    const seq = ++this.#seq
    const { peer } = link
    return new Promise((resolve) => {
      const acks = this.#waiting.get(link) ?? new Map<number, () => void>()
      this.#waiting.set(link, acks)
      let cancel = () => {}
      const done = () => {
        cancel()
        acks.delete(seq)
        if (acks.size === 0) this.#waiting.delete(link)
        resolve()
      }
      acks.set(seq, done)
      const say = () => {
        if (link.peer !== peer || peer === undefined) {
          done()
          return
        }
        link.tell({ services: { add, remove, seq } })
        cancel = this.#clock.after(REPEAT_MS, say)
      }
      say()
    })
  }
}
