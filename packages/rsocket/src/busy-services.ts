/**
 * Calls that wait because nobody who offers their service takes one now: what it leased is used
 * up. Each call that ends lets others go, one or two at a time, so that a service that keeps up is
 * soon used fully again and one that does not is asked no more than it answers. While none ends,
 * one call at a time looks whether there is room.
 */
import type { Clock } from '@weft/base'

export interface BusyServicesDeps {
  readonly clock: Clock
}

interface Queue {
  /** In the order in which they came. */
  readonly waiting: Set<() => void>
  /** Answers for which one call goes instead of two, since a call that was let go was refused. */
  calm: number
  probeMs: number
  cancelProbe: () => void
}

/** One call looks whether there is room after so long, twice as long when there is none… */
const PROBE_MS = 10
/** …and so often at least. */
const MAX_PROBE_MS = 500
const CALM = 32

export class BusyServices {
  readonly #clock: Clock
  readonly #queues = new Map<string, Queue>()

  constructor({ clock }: BusyServicesDeps) {
    this.#clock = clock
  }

  /** Calls wait for this service. */
  has(service: string): boolean {
    return this.#queues.has(service)
  }

  /**
   * Waits behind the others. The returned function leaves.
   *
   * @param wasLetGo It was refused once more.
   */
  join(service: string, wasLetGo: boolean, go: () => void): () => void {
    const queue = this.#queues.get(service) ?? this.#open(service)
    queue.waiting.add(go)
    if (wasLetGo) queue.calm = CALM
    return () => {
      if (queue.waiting.delete(go)) this.#prune(service, queue)
    }
  }

  /** A call of this service was answered: it takes more. */
  onAnswer(service: string): void {
    const queue = this.#queues.get(service)
    if (queue === undefined) return
    queue.probeMs = PROBE_MS
    const isCalm = queue.calm > 0
    if (isCalm) queue.calm--
    this.#letGo(service, queue, isCalm ? 1 : 2)
  }

  /** Lets all go: there is nothing to wait for. */
  close(): void {
    for (const [service, queue] of [...this.#queues]) {
      this.#letGo(service, queue, queue.waiting.size)
    }
  }

  #open(service: string): Queue {
    const queue: Queue = {
      waiting: new Set(),
      calm: 0,
      probeMs: PROBE_MS,
      cancelProbe: () => {},
    }
    this.#queues.set(service, queue)
    this.#probe(service, queue)
    return queue
  }

  #probe(service: string, queue: Queue): void {
    queue.cancelProbe = this.#clock.after(queue.probeMs, () => {
      queue.probeMs = Math.min(MAX_PROBE_MS, queue.probeMs * 2)
      this.#probe(service, queue)
      this.#letGo(service, queue, 1)
    })
  }

  #letGo(service: string, queue: Queue, count: number): void {
    let left = count
    for (const go of queue.waiting) {
      if (left-- === 0) break
      queue.waiting.delete(go)
      go()
    }
    this.#prune(service, queue)
  }

  #prune(service: string, queue: Queue): void {
    if (queue.waiting.size > 0 || this.#queues.get(service) !== queue) return
    queue.cancelProbe()
    this.#queues.delete(service)
  }
}
