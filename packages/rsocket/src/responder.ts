/**
 * The side that is asked: from a request to its handler, and what the handler gives back to the
 * stream. What a handler throws by accident stays here: callers hear that it failed, not why.
 */
import type { RSocketPayload, RSocketStream, RSocketStreamHandler } from '@weft/wire'
import { ERROR_CODE, errorFromWire, isOthersRejection, RSocketError } from './errors.ts'
import { ItemQueue } from './item-queue.ts'
import type { OutgoingFrames } from './link/carrier.ts'
import { encode, Message, type Outgoing } from './message.ts'
import { isItems, iteratorOf, Producer } from './produce.ts'
import { type CallRoute, readCall } from './route.ts'
import type { Handler, IncomingRequest, Methods } from './types.ts'

export interface ResponderDeps {
  /** Items of a channel that wait to be consumed. */
  readonly prefetch: number
  onHandlerError(error: unknown, request: IncomingRequest): void
  /** A request began or ended. */
  onCount(): void
}

class Incoming extends Message implements IncomingRequest {
  readonly service: string
  readonly method: string
  readonly interaction: IncomingRequest['interaction']
  readonly tags: Readonly<Record<string, string>>
  readonly items: ItemQueue
  readonly #abort = new AbortController()

  constructor(
    { data, metadata }: RSocketPayload,
    interaction: IncomingRequest['interaction'],
    { service, method, tags }: CallRoute,
    prefetch: number,
  ) {
    super(data, metadata)
    this.interaction = interaction
    this.service = service
    this.method = method
    this.tags = tags
    this.items = new ItemQueue(prefetch)
    this.items.push(this)
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  abort(reason: RSocketError): void {
    this.#abort.abort(reason)
  }
}

const GONE = 'the caller wants no answer any more'

export class Responder {
  readonly #deps: ResponderDeps
  readonly #services = new Map<string, Methods>()
  #serving = 0
  /** Refuses everything new: the client closes. */
  closed = false

  constructor(deps: ResponderDeps) {
    this.#deps = deps
  }

  /** Requests that are under way. */
  get serving(): number {
    return this.#serving
  }

  get services(): readonly string[] {
    return [...this.#services.keys()]
  }

  set(service: string, methods: Methods): void {
    this.#services.set(service, methods)
  }

  /** The methods that a service has now. */
  methodsOf(service: string): Methods | undefined {
    return this.#services.get(service)
  }

  delete(service: string): void {
    this.#services.delete(service)
  }

  onRequest(stream: RSocketStream, payload: RSocketPayload, outgoing: OutgoingFrames): void {
    stream.handler = NOBODY
    const route = readCall(payload.metadata)
    const found = route === undefined ? NO_ROUTE : this.#find(route)
    if (route === undefined || found instanceof RSocketError) {
      const error = found instanceof RSocketError ? found : NO_ROUTE
      stream.fail(error.code, error.message)
      return
    }
    const request = new Incoming(payload, stream.interaction, route, this.#deps.prefetch)
    this.#serving++
    this.#deps.onCount()
    void this.#serve(stream, request, found, outgoing).finally(() => {
      this.#serving--
      this.#deps.onCount()
    })
  }

  #find({ service, method }: CallRoute): Handler | RSocketError {
    if (this.closed) return new RSocketError('REJECTED', 'WEFT-503 the application closes')
    const methods = this.#services.get(service)
    if (methods === undefined) {
      return new RSocketError('REJECTED', `WEFT-404 nobody here offers ${service}`)
    }
    const handler = Object.hasOwn(methods, method) ? methods[method] : undefined
    return handler ?? new RSocketError('INVALID', `${service} has no method ${method}`)
  }

  async #serve(
    stream: RSocketStream,
    request: Incoming,
    handler: Handler,
    outgoing: OutgoingFrames,
  ): Promise<void> {
    const producer = new Producer(stream, outgoing)
    if (stream.interaction === 'channel') openItems(stream, request.items)
    else request.items.end()
    stream.handler = new Exchange(request, producer)
    try {
      const answer = await handler(request)
      if (stream.interaction === 'stream' || stream.interaction === 'channel') {
        await producer.run(iteratorOf(isItems(answer) ? answer : [answer]))
      } else if (stream.interaction === 'rr') {
        // Under way until it leaves: a broker that does not read gets no more leases for more answers.
        while (!outgoing.hasRoom) await outgoing.whenRoom()
        answerOnce(stream, answer)
      }
    } catch (error) {
      this.#fail(stream, error, request)
    } finally {
      void request.items.return()
    }
  }

  #fail(stream: RSocketStream, error: unknown, request: Incoming): void {
    if (error instanceof RSocketError && !isOthersRejection(error)) {
      if (stream.interaction !== 'fnf') stream.fail(error.code, error.message)
      return
    }
    // Handlers pass `signal` on, and what they called then throws its reason.
    if (!request.signal.aborted) this.#deps.onHandlerError(error, request)
    if (stream.interaction !== 'fnf') {
      stream.fail(ERROR_CODE.APPLICATION_ERROR, 'the handler failed')
    }
  }
}

function answerOnce(stream: RSocketStream, answer: Outgoing): void {
  if (isItems(answer)) {
    throw new RSocketError('INVALID', 'the method answers with a stream: ask for one')
  }
  const data = encode(answer)
  if (stream.maySend && stream.credit > 0) stream.next({ data }, true)
}

const NO_ROUTE = new RSocketError('INVALID', 'the request names no service and method')

/** The first item rides in the request; for the others the caller gets credit. */
function openItems(stream: RSocketStream, items: ItemQueue): void {
  items.onDemand = (n) => stream.requestN(n)
  items.onReturn = () => stream.cancel()
  stream.requestN(Math.max(1, items.window - 1))
}

/** What the caller does after its request. */
class Exchange implements RSocketStreamHandler {
  readonly #request: Incoming
  readonly #producer: Producer

  constructor(request: Incoming, producer: Producer) {
    this.#request = request
    this.#producer = producer
  }

  onItem({ data, metadata }: RSocketPayload, complete: boolean): void {
    this.#request.items.push(new Message(data, metadata))
    if (complete) this.#request.items.end()
  }

  onComplete(): void {
    this.#request.items.end()
  }

  onError(code: number, message: string): void {
    this.#leave(errorFromWire(code, message))
  }

  onRequestN(): void {
    this.#producer.onRequestN()
  }

  onCancel(): void {
    this.#leave(new RSocketError('CANCELED', GONE))
  }

  #leave(error: RSocketError): void {
    this.#request.items.fail(error)
    this.#producer.stop()
    this.#request.abort(error)
  }
}

const NOBODY: RSocketStreamHandler = {
  onItem() {},
  onComplete() {},
  onError() {},
  onRequestN() {},
  onCancel() {},
}
