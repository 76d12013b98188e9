/**
 * The side that asks: a call goes to one of the links, and to another one only when that does no
 * harm. REJECTED says that nobody has processed it; a frame that was not handed to the network has
 * not been seen by anybody; everything else may have run, and is repeated only when the caller
 * said that this does not matter (`idempotent`).
 */
import { backoffMs, type Clock, sleep } from '@weft/base'
import type { RSocketStream, RSocketStreamHandler } from '@weft/wire'
import { type Attempt, AttemptError, begin, unsent } from './attempt.ts'
import { CallScope } from './call-scope.ts'
import { ERROR_CODE, RSocketError } from './errors.ts'
import { ItemQueue } from './item-queue.ts'
import type { RetryTokens } from './link/retry-tokens.ts'
import type { LinkSet, ManagedLink } from './link-set.ts'
import { encode, Message, type Outgoing } from './message.ts'
import { type Items, iteratorOf, Producer } from './produce.ts'
import { renderCall } from './route.ts'
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

/** Whom a call is for. */
export interface Target {
  readonly service: string
  readonly method: string
}

/** Attempts after the first one. */
const MAX_RETRIES = 2
const RESUBSCRIBE_BACKOFF = { baseMs: 50, maxMs: 5_000 }

/** What one call has behind it. */
interface Course {
  readonly scope: CallScope
  readonly options: CallOptions
  /** Links whose responders rejected it. */
  tried: ManagedLink[]
  retries: number
  last: RSocketError | undefined
  /** The link of the newest attempt. */
  link: ManagedLink | undefined
}

export class Caller {
  readonly #options: CallerOptions
  readonly #deps: CallerDeps
  #calling = 0
  /** Nothing new is asked: the client closes. */
  closed = false

  constructor(options: CallerOptions, deps: CallerDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** Calls under way. */
  get calling(): number {
    return this.#calling
  }

  async response(target: Target, data: Outgoing, options: CallOptions): Promise<Message> {
    const payload = payloadOf(target, data, options)
    return this.#repeat(options, (managed, { scope }) => askOnce(managed, payload, scope))
  }

  async tell(target: Target, data: Outgoing, options: CallOptions): Promise<void> {
    const payload = payloadOf(target, data, options)
    return this.#repeat(options, (managed, { scope }) => tellOnce(managed, payload, scope))
  }

  async *stream(
    target: Target,
    data: Outgoing,
    options: StreamOptions,
  ): AsyncGenerator<Message, void, undefined> {
    let payload = payloadOf(target, data, options)
    const course = this.#begin(options)
    let last: Message | undefined
    let fruitless = 0
    try {
      for (;;) {
        let isFirst = true
        try {
          const managed = await this.#link(course)
          for await (const item of this.#subscribe(managed, payload, course.scope)) {
            last = item
            isFirst = false
            fruitless = 0
            yield item
          }
          return
        } catch (error) {
          if (isFirst && this.#mayRepeat(error, course)) continue
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
    const course = this.#begin(options)
    const source = iteratorOf(items)
    let isSourceOurs = true
    try {
      const { done = false, value } = await source.next()
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
            yield item
          }
          return
        } catch (error) {
          // The first item is still there; one that was taken behind it would be missing.
          if (exchange.hasTakenMore || !isFirst || !this.#mayRepeat(error, course)) {
            throw reasonOf(error)
          }
        } finally {
          if (exchange.hasTakenMore) isSourceOurs = false
          exchange.close()
        }
      }
    } finally {
      if (isSourceOurs) await source.return?.(undefined)
      this.#end(course)
    }
  }

  #begin(options: CallOptions): Course {
    if (this.closed) throw new RSocketError('REJECTED', 'WEFT-503 the client is closed')
    const scope = new CallScope(options, this.#deps.clock)
    this.#calling++
    this.#deps.retries.onRequest()
    return { scope, options, tried: [], retries: 0, last: undefined, link: undefined }
  }

  #end({ scope }: Course): void {
    scope.close()
    this.#calling--
  }

  async #repeat<T>(
    options: CallOptions,
    once: (managed: ManagedLink, course: Course) => Promise<T>,
  ): Promise<T> {
    const course = this.#begin(options)
    try {
      for (;;) {
        const managed = this.#ready(course) ?? (await this.#link(course))
        try {
          return await once(managed, course)
        } catch (error) {
          if (!this.#mayRepeat(error, course)) throw reasonOf(error)
        }
      }
    } finally {
      this.#end(course)
    }
  }

  /** Whether another attempt does no harm, and is not one too many. */
  #mayRepeat(error: unknown, course: Course): boolean {
    if (!(error instanceof AttemptError) || course.scope.isOver) return false
    course.last = error.error
    if (error.kind === 'answered') return false
    if (error.kind === 'rejected' && course.link !== undefined) course.tried.push(course.link)
    if (error.kind === 'lost' && course.options.idempotent !== true) return false
    if (++course.retries > MAX_RETRIES) return false
    // What has not left has cost nobody anything.
    return error.kind === 'unsent' || this.#deps.retries.admit()
  }

  /** The data with which a stream goes on. @throws What the stream ends with. */
  async #resubscribed(
    error: unknown,
    last: Message | undefined,
    { resubscribe }: StreamOptions,
    { scope }: Course,
    fruitless: number,
  ): Promise<Outgoing> {
    const reason = reasonOf(error)
    const isCut = error instanceof AttemptError && reason.code === ERROR_CODE.CANCELED
    const isUnanswered = error instanceof AttemptError && error.kind !== 'answered'
    if (resubscribe === undefined || scope.isOver || !(isCut || isUnanswered)) throw reason
    const { clock, random } = this.#deps
    const wait = new AbortController()
    scope.watch((why) => wait.abort(why))
    await sleep(clock, backoffMs(RESUBSCRIBE_BACKOFF, Math.min(fruitless, 20), random), wait.signal)
    scope.watch(undefined)
    const next = await resubscribe(last, reason)
    if (next === undefined) throw reason
    return next
  }

  /** A link that takes a request now, without a wait; undefined: one has to wait, or give up. */
  #ready(course: Course): ManagedLink | undefined {
    const managed = this.#deps.links.pick(course.tried)
    if (managed?.link.carrier?.outgoing.hasRoom !== true) return undefined
    course.link = managed
    return managed
  }

  /** A link that takes a request now; waits for one when none is up. */
  async #link(course: Course): Promise<ManagedLink> {
    const { links, clock } = this.#deps
    const untilMs = clock.monotonicMs() + this.#options.waitForLinkMs
    for (;;) {
      course.scope.throwIfOver()
      const managed = links.pick(course.tried)
      const room = managed?.link.carrier?.outgoing.whenRoom()
      if (managed !== undefined && room === undefined) {
        course.link = managed
        return managed
      }
      if (managed === undefined && course.tried.length > 0) throw course.last
      await this.#wait(course.scope, untilMs - clock.monotonicMs(), room)
    }
  }

  #wait(scope: CallScope, leftMs: number, room: Promise<void> | undefined): Promise<void> {
    const { links, clock } = this.#deps
    if (links.waiting >= this.#options.waitingCalls) {
      throw new RSocketError('REJECTED', 'WEFT-429 too many calls wait for a link')
    }
    return new Promise((resolve, reject) => {
      let isSettled = false
      const settle = (act: () => void) => () => {
        if (isSettled) return
        isSettled = true
        cancelTimer()
        cancelLinks()
        scope.watch(undefined)
        act()
      }
      const cancelTimer = clock.after(
        Math.max(0, leftMs),
        settle(() => reject(noLink(links))),
      )
      const cancelLinks = links.whenBetter(settle(resolve))
      room?.then(settle(resolve))
      scope.watch((reason) => settle(() => reject(reason))())
    })
  }

  #subscribe(managed: ManagedLink, payload: Payload, scope: CallScope): ItemQueue {
    const items = new ItemQueue(this.#options.prefetch)
    const initialN = this.#options.prefetch
    const attempt = begin(
      managed,
      'stream',
      payload,
      intoQueue(items, () => attempt),
      { initialN },
    )
    connectQueue(items, attempt.stream, scope)
    return items
  }
}

/** Most calls say nothing but whom they are for, and that again and again. */
const PLAIN_CALLS = 1_024
const plainCalls = new Map<string, Uint8Array>()

function metadataOf(service: string, method: string, options: CallOptions): Uint8Array {
  const { metadata, timeoutMs, idempotent, userToken } = options
  const isPlain = metadata === undefined && timeoutMs === undefined && userToken === undefined
  if (!isPlain || idempotent === true) return renderCall(service, method, options)
  const key = `${service}.${method}`
  const known = plainCalls.get(key)
  if (known !== undefined) return known
  const rendered = renderCall(service, method, options)
  if (plainCalls.size >= PLAIN_CALLS) plainCalls.clear()
  plainCalls.set(key, rendered)
  return rendered
}

interface Payload {
  readonly data: Uint8Array
  readonly metadata: Uint8Array
}

function payloadOf({ service, method }: Target, data: Outgoing, options: CallOptions): Payload {
  return { data: encode(data), metadata: metadataOf(service, method, options) }
}

function noLink(links: LinkSet): RSocketError {
  const problems = [...links.all].flatMap(({ link }) =>
    link.problem === undefined ? [] : [`${link.broker}: ${link.problem}`],
  )
  const why = problems.length === 0 ? '' : ` (${problems.join('; ')})`
  return new RSocketError('REJECTED', `WEFT-503 no link to a broker${why}`)
}

function reasonOf(error: unknown): RSocketError {
  return error instanceof AttemptError ? error.error : (error as RSocketError)
}

function askOnce(managed: ManagedLink, payload: Payload, scope: CallScope): Promise<Message> {
  return new Promise((resolve, reject) => {
    const attempt = begin(managed, 'rr', payload, {
      onItem: ({ data, metadata }) => resolve(new Message(data, metadata)),
      onComplete: () => resolve(new Message(new Uint8Array(0))),
      onError: (code, message) => reject(attempt.failure(code, message)),
      onRequestN() {},
      onCancel() {},
    })
    scope.watch((reason) => {
      attempt.stream.cancel()
      reject(reason)
    })
  })
}

function tellOnce(managed: ManagedLink, payload: Payload, scope: CallScope): Promise<void> {
  return new Promise((resolve, reject) => {
    const attempt = begin(managed, 'fnf', payload, SILENT)
    attempt.carrier.outgoing.afterSend(() => {
      if (attempt.hasLeft) resolve()
      else reject(new AttemptError('unsent', unsent()))
    })
    scope.watch(reject)
  })
}

const SILENT: RSocketStreamHandler = {
  onItem() {},
  onComplete() {},
  onError() {},
  onRequestN() {},
  onCancel() {},
}

function intoQueue(items: ItemQueue, attempt: () => Attempt): RSocketStreamHandler {
  return {
    onItem({ data, metadata }, complete) {
      items.push(new Message(data, metadata))
      if (complete) items.end()
    },
    onComplete: () => items.end(),
    onError: (code, message) => items.fail(attempt().failure(code, message)),
    onRequestN() {},
    onCancel() {},
  }
}

function connectQueue(items: ItemQueue, stream: RSocketStream, scope: CallScope): void {
  items.onDemand = (n) => stream.requestN(n)
  items.onReturn = () => stream.cancel()
  scope.watch((reason) => {
    stream.cancel()
    items.fail(reason)
  })
}

interface ChannelExchange {
  readonly items: ItemQueue
  /** Items behind the first one were taken from the source. */
  readonly hasTakenMore: boolean
  send(source: Items): void
  close(): void
}

function openChannel(
  managed: ManagedLink,
  payload: Payload,
  complete: boolean,
  scope: CallScope,
  prefetch: number,
): ChannelExchange {
  const items = new ItemQueue(prefetch)
  let producer: Producer | undefined
  const attempt = begin(
    managed,
    'channel',
    payload,
    {
      ...intoQueue(items, () => attempt),
      onError(code, message) {
        items.fail(attempt.failure(code, message))
        producer?.stop()
      },
      onRequestN: () => producer?.onRequestN(),
      onCancel: () => producer?.stop(),
    },
    { initialN: prefetch, complete },
  )
  producer = new Producer(attempt.stream, attempt.carrier.outgoing, true)
  connectQueue(items, attempt.stream, scope)
  const sending = producer
  return {
    items,
    get hasTakenMore() {
      return sending.taken > 0
    },
    send(source) {
      sending.run(source).catch((error: unknown) => {
        attempt.stream.fail(ERROR_CODE.APPLICATION_ERROR, 'the items of the caller failed')
        items.fail(error)
      })
    },
    close() {
      void items.return()
      sending.stop()
    },
  }
}
