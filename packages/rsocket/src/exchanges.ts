/** One attempt of each interaction, from its payload to what came of it. */
import type { RSocketStream, RSocketStreamHandler } from '@weft/wire'
import { type Attempt, AttemptError, begin, unsent } from './attempt.ts'
import type { CallScope } from './call-scope.ts'
import { ERROR_CODE } from './errors.ts'
import { ItemQueue } from './item-queue.ts'
import type { ManagedLink } from './link-set.ts'
import { encode, Message, type Outgoing } from './message.ts'
import { type Items, Producer } from './produce.ts'
import { renderCall } from './route.ts'
import type { CallOptions } from './types.ts'

/** Whom a call is for. */
export interface Target {
  readonly service: string
  readonly method: string
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

export interface Payload {
  readonly data: Uint8Array
  readonly metadata: Uint8Array
}

export function payloadOf(
  { service, method }: Target,
  data: Outgoing,
  options: CallOptions,
): Payload {
  return { data: encode(data), metadata: metadataOf(service, method, options) }
}

export function askOnce(
  managed: ManagedLink,
  payload: Payload,
  scope: CallScope,
): Promise<Message> {
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

export function tellOnce(managed: ManagedLink, payload: Payload, scope: CallScope): Promise<void> {
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

/** A stream whose items wait to be consumed. */
export function subscribe(
  managed: ManagedLink,
  payload: Payload,
  scope: CallScope,
  prefetch: number,
): ItemQueue {
  const items = new ItemQueue(prefetch)
  const attempt = begin(
    managed,
    'stream',
    payload,
    intoQueue(items, () => attempt),
    { initialN: prefetch },
  )
  connectQueue(items, attempt.stream, scope)
  return items
}

interface ChannelExchange {
  readonly items: ItemQueue
  /** Items behind the first one were taken from the source. */
  readonly hasTakenMore: boolean
  send(source: Items): void
  close(): void
}

export function openChannel(
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
      // Whoever answered to the end may leave our half open.
      attempt.stream.complete()
      sending.stop()
    },
  }
}
