/** npm `rsocket-core` 0.0.27, the one of the field, as a program that dials a broker. */
import { createRequire } from 'node:module'
import { WebSocket } from 'ws'
import {
  answered,
  CHANNEL_ITEMS,
  type DialOptions,
  errorText,
  FAIL,
  FAILURE,
  type Program,
  type ProgramKind,
  routed,
  STREAM_ITEMS,
  setupOptions,
  text,
} from './rsocket-program.ts'

// The packages have no types: what of them is used here, as their Flow sources say it.

interface Payload {
  readonly data: Buffer | null
  readonly metadata?: Buffer | null
}

interface FieldError extends Error {
  readonly source?: { readonly code?: number; readonly message: string }
}

interface Subscription {
  request(n: number): void
  cancel(): void
}

interface Flowable<T> {
  subscribe(subscriber: {
    onSubscribe(subscription: Subscription): void
    onNext(value: T): void
    onComplete(): void
    onError(error: FieldError): void
  }): void
  map<R>(change: (value: T) => R): Flowable<R>
}

interface Single<T> {
  subscribe(subscriber: {
    onSubscribe(): void
    onComplete(value: T): void
    onError(error: FieldError): void
  }): void
}

interface Flowables {
  readonly Flowable: {
    new <T>(source: (subscriber: Parameters<Flowable<T>['subscribe']>[0]) => void): Flowable<T>
    just<T>(...values: T[]): Flowable<T>
    never<T>(): Flowable<T>
  }
  readonly Single: {
    new <T>(source: (subscriber: Parameters<Single<T>['subscribe']>[0]) => void): Single<T>
    of<T>(value: T): Single<T>
  }
}

interface Socket {
  requestResponse(payload: Payload): Single<Payload>
  requestStream(payload: Payload): Flowable<Payload>
  requestChannel(payloads: Flowable<Payload>): Flowable<Payload>
  fireAndForget(payload: Payload): void
}

interface Client {
  connect(): Single<Socket>
  close(): void
}

interface Leases {
  sender(source: () => Flowable<unknown>): Leases
  receiver(take: (leases: Flowable<unknown>) => void): Leases
}

interface Core {
  readonly RSocketClient: new (config: object) => Client
  readonly BufferEncoders: object
  readonly Lease: new (ttlMs: number, requests: number) => unknown
  readonly Leases: new () => Leases
  readonly RSocketResumableTransport: new (
    source: () => object,
    options: object,
    encoders: object,
  ) => Reconnectable
}

type Transport = new (options: object, encoders: object) => object

const require = createRequire(import.meta.url)
const core = require('rsocket-core-field') as Core
const { RSocketClient, BufferEncoders, Lease, Leases, RSocketResumableTransport } = core
const { Flowable, Single } = require('rsocket-flowable') as Flowables
const tcp = require('rsocket-tcp-client-field') as {
  readonly default: Transport
  readonly RSocketTlsClient: Transport
}
const ws = require('rsocket-websocket-client-field') as { readonly default: Transport }

export const field: ProgramKind = {
  name: '0.0.27',
  skip: false,
  grantsLeases: true,
  sendsFragments: false,
  async dial(options) {
    const client = new RSocketClient({
      setup: setupOptions(options),
      transport: resumable(options),
      responder: responderOf(options),
      ...(options.leaseRequests === undefined
        ? {}
        : { leases: () => leasesOf(options.leaseRequests ?? 0) }),
    })
    const socket = await new Promise<Socket>((resolve, reject) =>
      client.connect().subscribe({ onComplete: resolve, onError: reject, onSubscribe() {} }),
    )
    return programOf(socket, client)
  },
}

function leasesOf(requests: number): Leases {
  const leases = new Leases()
  return requests === 0
    ? leases
    : leases.sender(() => Flowable.just(new Lease(3_600_000, requests)))
}

function resumable(options: DialOptions): object {
  const { resumeToken } = options
  if (resumeToken === undefined) return transportOf(options)
  const session =
    options.comesBack === true
      ? { bufferSize: 1_000_000, sessionDurationSeconds: 60 }
      : { bufferSize: 100, sessionDurationSeconds: 2 }
  const transport = new RSocketResumableTransport(
    () => transportOf(options),
    { ...session, resumeToken: Buffer.from(resumeToken) },
    BufferEncoders,
  )
  if (options.comesBack === true) comeBack(transport)
  return transport
}

interface Reconnectable {
  connect(): void
  connectionStatus(): {
    subscribe(subscriber: {
      onNext(status: { readonly kind: string }): void
      onSubscribe(subscription: { request(n: number): void }): void
    }): void
  }
}

function comeBack(transport: Reconnectable): void {
  let last = ''
  let wasConnected = false
  transport.connectionStatus().subscribe({
    onNext({ kind }) {
      last = kind
      if (kind === 'CONNECTED') wasConnected = true
      if (kind !== 'NOT_CONNECTED' || !wasConnected) return
      setImmediate(() => {
        if (last === 'NOT_CONNECTED') transport.connect()
      })
    },
    onSubscribe: (subscription) => subscription.request(0x7fff_ffff),
  })
}

function transportOf({ carrier, port, caPem }: DialOptions): object {
  if (carrier === 'ws') {
    const wsCreator = (url: string) => new WebSocket(url)
    return new ws.default({ url: `ws://127.0.0.1:${port}/`, wsCreator }, BufferEncoders)
  }
  const address = { host: '127.0.0.1', port }
  if (carrier === 'tcp') return new tcp.default(address, BufferEncoders)
  const options = { ...address, ca: caPem, servername: 'localhost' }
  return new tcp.RSocketTlsClient(options, BufferEncoders)
}

function responderOf({ onFireAndForget, answer }: DialOptions): object {
  return {
    requestResponse: (payload: Payload) =>
      new Single<Payload>((subscriber) => {
        subscriber.onSubscribe()
        if (text(payload.data) === FAIL) subscriber.onError(new Error(FAILURE))
        else if (answer === undefined) subscriber.onComplete({ data: payload.data })
        else {
          void answered(answer, text(payload.data)).then((data) => subscriber.onComplete({ data }))
        }
      }),
    requestStream: ({ data }: Payload) =>
      Flowable.just(...Array.from({ length: STREAM_ITEMS }, () => ({ data }))),
    requestChannel: (payloads: Flowable<Payload>) => payloads.map(({ data }) => ({ data })),
    fireAndForget: (payload: Payload) => onFireAndForget?.(text(payload.data)),
    metadataPush: () => Single.of(undefined),
  }
}

const messageOf = ({ source, message }: FieldError) =>
  errorText(source?.code, source?.message ?? message)

/** Resolves with what came, the error last; asks for one more with each item, up to `most`. */
function collect(
  flowable: Flowable<Payload>,
  initialN: number,
  most = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  return new Promise((resolve) => {
    const items: string[] = []
    let subscription: Subscription | undefined
    flowable.subscribe({
      onSubscribe(given) {
        subscription = given
        given.request(initialN)
      },
      onNext(payload) {
        items.push(text(payload.data))
        if (items.length < most) subscription?.request(1)
        else {
          subscription?.cancel()
          resolve(items)
        }
      },
      onComplete: () => resolve(items),
      onError: (error) => resolve([...items, messageOf(error)]),
    })
  })
}

function programOf(socket: Socket, client: Client): Program {
  return {
    response: (key, data) =>
      new Promise((resolve) =>
        socket.requestResponse(routed(key, data)).subscribe({
          onComplete: (payload) => resolve([text(payload.data)]),
          onError: (error) => resolve([messageOf(error)]),
          onSubscribe() {},
        }),
      ),
    stream: (key, data, initialN) => collect(socket.requestStream(routed(key, data)), initialN),
    first: (key, data) => collect(socket.requestStream(routed(key, data)), 1, 1),
    channel(key, data) {
      const items = Array.from({ length: CHANNEL_ITEMS }, (_, at) =>
        at === 0 ? routed(key, `${data}0`) : { data: Buffer.from(`${data}${at}`) },
      )
      return collect(socket.requestChannel(Flowable.just<Payload>(...items)), 100)
    },
    fireAndForget: (key, data) => socket.fireAndForget(routed(key, data)),
    close: () => client.close(),
  }
}
