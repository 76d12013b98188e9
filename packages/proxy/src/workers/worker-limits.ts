/** The worker's side of local rate limits: asks its supervisor, who has the buckets. */
import type { Clock } from '@weft/base'
import type { LimitGrant } from '@weft/traffic'
import type { LimitQuestion, SharedLimits } from '../filters/rate-limit/shared-limiter.ts'
import type { FromWorker } from './messages.ts'
import type { WorkerPlace } from './worker-place.ts'

/** Its loop carries no traffic; whoever waits for longer would notice. */
const ANSWER_MS = 100

export class WorkerLimits implements SharedLimits {
  readonly place: WorkerPlace
  readonly #clock: Clock
  readonly #send: (message: FromWorker) => void
  readonly #open = new Map<number, (grant: LimitGrant) => void>()
  #lastId = 0

  constructor(place: WorkerPlace, clock: Clock, send: (message: FromWorker) => void) {
    this.place = place
    this.#clock = clock
    this.#send = send
  }

  ask(
    question: LimitQuestion,
    needed: number,
    done: (grant: LimitGrant | undefined) => void,
  ): void {
    const id = ++this.#lastId
    const cancel = this.#clock.after(ANSWER_MS, () => {
      // What comes after all is nobody's any more.
      this.#open.set(id, ({ tokens }) => this.giveBack({ ...question, tokens }))
      done(undefined)
    })
    const answered = (grant: LimitGrant): void => {
      cancel()
      done(grant)
    }
    this.#open.set(id, answered)
    this.#send({ kind: 'take tokens', id, question, needed })
  }

  giveBack(question: LimitQuestion): void {
    if (question.tokens > 0) this.#send({ kind: 'give back tokens', question })
  }

  /** The supervisor's answer. */
  granted(id: number, grant: LimitGrant): void {
    const answered = this.#open.get(id)
    this.#open.delete(id)
    answered?.(grant)
  }
}
