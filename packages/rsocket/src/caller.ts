/**
 * The side that asks: a call goes to one of the links, and to another one only when that does no
 * harm. REJECTED says that nobody has processed it; a frame that was not handed to the network has
 * not been seen by anybody; everything else may have run, and is repeated only when the caller
 * said that this does not matter (`idempotent`). Where no other link is left it is the same one
 * again, after a pause; and when all leases of a service are used up its calls wait in a queue.
 */
import { backoffMs, type Clock, sleep } from '@weft/base'
import { ABOVE_LEASE, NO_RESPONDER } from '@weft/wire'
import { AttemptError } from './attempt.ts'
import { BusyServices } from './busy-services.ts'
import { CallScope, within } from './call-scope.ts'
import { ERROR_CODE, ofCall, RSocketError } from './errors.ts'
import { askOnce, openChannel, payloadOf, subscribe, type Target, tellOnce } from './exchanges.ts'
import type { RetryTokens } from './link/retry-tokens.ts'
import type { LinkSet, ManagedLink } from './link-set.ts'
import type { Message, Outgoing } from './message.ts'
import { iteratorOf } from './produce.ts'
import type { CallOptions, StreamOptions } from './types.ts'

export interface CallerOptions {
  /** Items that wait to be consumed. */
  readonly prefetch: number
  readonly waitForLinkMs: number
  readonly waitingCalls: number
}

export interface CallerDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly links: LinkSet
  readonly retries: RetryTokens
}

/** Attempts after the first one; those of calls that waited for a lease are not counted. */
const MAX_RETRIES = 2
/** Before the same link is asked again. */
const REJECTED_BACKOFF = { baseMs: 25, maxMs: 250 }
const RESUBSCRIBE_BACKOFF = { baseMs: 50, maxMs: 5_000 }

/** What one call has behind it. */
interface Course {
  readonly service: string
  readonly scope: CallScope
  readonly options: CallOptions
  /** Links whose responders rejected it. */
  tried: ManagedLink[]
  retries: number
  last: RSocketError | undefined
  /** Until when it may wait for a lease; undefined: it did not have to. */
  leaseUntilMs: number | undefined
  /** A link was lost with it, or it has had items. */
  mayHaveRun: boolean
  /** Its attempt has not been refused, as far as is known. */
  isServed: boolean
  /** The link of the newest attempt. */
  link: ManagedLink | undefined
}

export class Caller {
  readonly #options: CallerOptions
  readonly #deps: CallerDeps
  readonly #busy: BusyServices
  #calling = 0
  #waiting = 0
  #stopped = false
  /** Nothing new is asked: the client closes. */
  closed = false

  constructor(options: CallerOptions, deps: CallerDeps) {
    this.#options = options
    this.#deps = deps
    this.#busy = new BusyServices(deps)
  }

  /** Ends what waits: there will be no link any more. */
  stop(): void {
    this.closed = true
    this.#stopped = true
    this.#busy.close()
  }

  /** Calls under way. */
  get calling(): number {
    return this.#calling
  }

  async response(target: Target, data: Outgoing, options: CallOptions): Promise<Message> {
    const payload = payloadOf(target, data, options)
    return this.#repeat(target, options, (managed, { scope }) => askOnce(managed, payload, scope))
  }

  async tell(target: Target, data: Outgoing, options: CallOptions): Promise<void> {
    const payload = payloadOf(target, data, options)
    return this.#repeat(target, options, (managed, { scope }) => tellOnce(managed, payload, scope))
  }

  async *stream(
    target: Target,
    data: Outgoing,
    options: StreamOptions,
  ): AsyncGenerator<Message, void, undefined> {
    let payload = payloadOf(target, data, options)
    const course = this.#begin(target, options)
    let last: Message | undefined
    let fruitless = 0
    try {
      for (;;) {
        let isFirst = true
        try {
          const managed = await this.#link(course)
          for await (const item of subscribe(
            managed,
            payload,
            course.scope,
            this.#options.prefetch,
          )) {
            last = item
            isFirst = false
            fruitless = 0
            this.#onServed(course)
            yield item
          }
          return
        } catch (error) {
          if (isFirst && (await this.#again(error, course))) continue
          const next = await this.#resubscribed(error, last, options, course, fruitless++)
          payload = payloadOf(target, next, options)
          course.tried = []
          course.retries = 0
        }
      }
    } finally {
      this.#end(course)
    }
  }

  async *channel(
    target: Target,
    items: AsyncIterable<Outgoing> | Iterable<Outgoing>,
    options: CallOptions,
  ): AsyncGenerator<Message, void, undefined> {
    const course = this.#begin(target, options)
    const source = iteratorOf(items)
    let isSourceOurs = true
    try {
      const { done = false, value } = await within(course.scope, source.next())
      if (done) isSourceOurs = false
      const payload = payloadOf(target, done ? undefined : value, options)
      for (;;) {
        const managed = await this.#link(course)
        const exchange = openChannel(managed, payload, done, course.scope, this.#options.prefetch)
        let isFirst = true
        try {
          if (!done) exchange.send(source)
          for await (const item of exchange.items) {
            isFirst = false
            this.#onServed(course)
            yield item
          }
          return
        } catch (error) {
          // The first item is still there; one that was taken behind it would be missing.
          if (exchange.hasTakenMore || !isFirst || !(await this.#again(error, course))) {
            throw reasonOf(error)
          }
        } finally {
          if (exchange.hasTakenMore) isSourceOurs = false
          exchange.close()
        }
      }
    } finally {
      // A source that hangs is told, and not waited for.
      const closed = isSourceOurs ? source.return?.(undefined) : undefined
      const { isOver } = course.scope
      this.#end(course)
      if (isOver) Promise.resolve(closed).catch(() => {})
      else await closed
    }
  }

  #begin({ service }: Target, options: CallOptions): Course {
    if (this.closed) throw isClosed()
    const scope = new CallScope(options, this.#deps.clock)
    this.#calling++
    this.#deps.retries.onRequest()
    return {
      ...{ service, scope, options, tried: [], retries: 0, last: undefined },
      ...{ leaseUntilMs: undefined, isServed: false, mayHaveRun: false, link: undefined },
    }
  }

  #end(course: Course): void {
    course.scope.close()
    this.#calling--
    this.#onServed(course)
  }

  /** It got an answer, or is over: whoever answered has room for another one. */
  #onServed(course: Course): void {
    if (!course.isServed) return
    course.isServed = false
    this.#busy.onAnswer(course.service)
  }

  async #repeat<T>(
    target: Target,
    options: CallOptions,
    once: (managed: ManagedLink, course: Course) => Promise<T>,
  ): Promise<T> {
    const course = this.#begin(target, options)
    try {
      for (;;) {
        const managed = this.#ready(course) ?? (await this.#link(course))
        try {
          return await once(managed, course)
        } catch (error) {
          if (!(await this.#again(error, course))) throw reasonOf(error)
        }
      }
    } finally {
      this.#end(course)
    }
  }

  /** Whether there is another attempt; resolves when it is time for it. */
  async #again(error: unknown, course: Course): Promise<boolean> {
    if (!(error instanceof AttemptError) || course.scope.isOver || this.#stopped) return false
    course.last = error.error
    course.mayHaveRun ||= error.kind === 'lost'
    if (error.kind !== 'rejected') return this.#mayRepeat(error, course)
    course.isServed = false
    if (course.link !== undefined) course.tried.push(course.link)
    const { links, clock, random } = this.#deps
    const isLeaseOver = isBusy(error.error)
    if (links.pick(course.tried) !== undefined) {
      if (this.#mayRepeat(error, course)) return true
      if (!isLeaseOver) return false
    } else if (!isLeaseOver) {
      const delayMs = backoffMs(REJECTED_BACKOFF, course.retries, random)
      if (!this.#mayRepeat(error, course)) return false
      await this.#pause(delayMs, course)
      course.tried = []
      return true
    }
    course.tried = []
    const hasWaited = course.leaseUntilMs !== undefined
    course.leaseUntilMs ??= clock.monotonicMs() + this.#options.waitForLinkMs
    await this.#turn(course, course.leaseUntilMs, hasWaited)
    return true
  }

  /** Whether another attempt does no harm, and is not one too many. */
  #mayRepeat(error: AttemptError, course: Course): boolean {
    if (error.kind === 'answered') return false
    if (error.kind === 'lost' && course.options.idempotent !== true) return false
    if (course.retries >= MAX_RETRIES) return false
    // What has not left has cost nobody anything.
    if (error.kind !== 'unsent' && !this.#deps.retries.admit()) return false
    course.retries++
    return true
  }

  /** Waits behind other calls of a service whose leases are used up. */
  #turn(course: Course, untilMs: number, hasWaited: boolean): Promise<void> {
    return this.#wait(
      course,
      untilMs - this.#deps.clock.monotonicMs(),
      (go) => this.#busy.join(course.service, hasWaited, go),
      () => course.last ?? rejected(NO_RESPONDER),
    )
  }

  async #pause(delayMs: number, course: Course): Promise<void> {
    const { scope } = course
    const wait = new AbortController()
    scope.watch((why) => wait.abort(whyWaited(course, why)))
    await sleep(this.#deps.clock, delayMs, wait.signal)
    scope.watch(undefined)
  }

  /** The data with which a stream goes on. @throws What the stream ends with. */
  async #resubscribed(
    error: unknown,
    last: Message | undefined,
    { resubscribe }: StreamOptions,
    course: Course,
    fruitless: number,
  ): Promise<Outgoing> {
    const reason = reasonOf(error)
    const isCut = error instanceof AttemptError && reason.code === ERROR_CODE.CANCELED
    const isUnanswered = error instanceof AttemptError && error.kind !== 'answered'
    if (resubscribe === undefined || course.scope.isOver || !(isCut || isUnanswered)) throw reason
    course.mayHaveRun = true
    const delayMs = backoffMs(RESUBSCRIBE_BACKOFF, Math.min(fruitless, 20), this.#deps.random)
    await this.#pause(delayMs, course)
    const next = await resubscribe(last, reason)
    if (next === undefined) throw reason
    return next
  }

  /** A link that takes a request now, without a wait; undefined: one has to wait, or give up. */
  #ready(course: Course): ManagedLink | undefined {
    if (this.#isBehind(course)) return undefined
    const managed = this.#deps.links.pick(course.tried)
    if (managed?.link.carrier?.outgoing.hasRoom !== true) return undefined
    return this.#taken(managed, course)
  }

  /** Others wait for this service, and it has not waited with them yet. */
  #isBehind({ service, leaseUntilMs }: Course): boolean {
    return leaseUntilMs === undefined && this.#busy.has(service)
  }

  #taken(managed: ManagedLink, course: Course): ManagedLink {
    course.link = managed
    course.isServed = true
    return managed
  }

  /** A link that takes a request now; waits for one when none is up. */
  async #link(course: Course): Promise<ManagedLink> {
    const { links, clock } = this.#deps
    const untilMs = clock.monotonicMs() + this.#options.waitForLinkMs
    if (this.#isBehind(course)) {
      course.leaseUntilMs = untilMs
      await this.#turn(course, untilMs, false)
    }
    for (;;) {
      course.scope.throwIfOver()
      if (this.#stopped) throw isClosed()
      const managed = links.pick(course.tried)
      const room = managed?.link.carrier?.outgoing.whenRoom()
      if (managed !== undefined && room === undefined) return this.#taken(managed, course)
      if (managed === undefined && course.tried.length > 0) {
        course.tried = []
        continue
      }
      await this.#wait(
        course,
        untilMs - clock.monotonicMs(),
        (go) => {
          room?.then(go)
          return links.whenBetter(go)
        },
        () => noLink(links),
      )
    }
  }

  /** @param watch Says when to go on; what it returns ends that. */
  #wait(
    course: Course,
    leftMs: number,
    watch: (go: () => void) => () => void,
    tooLate: () => RSocketError,
  ): Promise<void> {
    if (this.#waiting >= this.#options.waitingCalls) {
      throw rejected('WEFT-429 too many calls wait')
    }
    const { scope } = course
    this.#waiting++
    return new Promise((resolve, reject) => {
      let isSettled = false
      const settle = (act: () => void) => () => {
        if (isSettled) return
        isSettled = true
        this.#waiting--
        cancelTimer()
        cancelWatch()
        scope.watch(undefined)
        act()
      }
      const cancelTimer = this.#deps.clock.after(
        Math.max(0, leftMs),
        settle(() => reject(tooLate())),
      )
      const cancelWatch = watch(settle(resolve))
      scope.watch((reason) => settle(() => reject(whyWaited(course, reason)))())
    })
  }
}

function noLink(links: LinkSet): RSocketError {
  if ([...links.all].some(({ link }) => link.peer !== undefined)) {
    return rejected(
      'WEFT-503 no broker takes a request: it leases none, or does not read what waits for it',
    )
  }
  const problems = [...links.all].flatMap(({ link }) =>
    link.problem === undefined ? [] : [`${link.broker}: ${link.problem}`],
  )
  const why = problems.length === 0 ? '' : ` (${problems.join('; ')})`
  return rejected(`WEFT-503 no link to a broker${why}`)
}

/** Time that was over while it waited has been spent here: nobody has processed anything. */
function whyWaited({ mayHaveRun }: Course, reason: unknown): unknown {
  if (mayHaveRun || !(reason instanceof RSocketError)) return reason
  return new RSocketError(reason.code, `${reason.message}: it was not sent`, { retrySafe: true })
}

function isClosed(): RSocketError {
  return rejected('WEFT-503 the client is closed')
}

function rejected(message: string): RSocketError {
  return ofCall(new RSocketError('REJECTED', message))
}

/** Whoever was asked has no lease left: it may have one soon, and has processed nothing. */
function isBusy({ message }: RSocketError): boolean {
  return message === NO_RESPONDER || message === ABOVE_LEASE
}

function reasonOf(error: unknown): RSocketError {
  return error instanceof AttemptError ? error.error : (error as RSocketError)
}
