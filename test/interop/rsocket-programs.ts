/**
 * The two generations of the npm client as programs that dial a broker, in both roles: each asks
 * in the four ways, and each answers as `responder` says. What differs between them stays here.
 */
import { createRequire } from 'node:module'
import { connect as connectTls } from 'node:tls'
import { HELLO_MIME } from '@weft/broker'
import { METADATA_ID, renderBearer, renderComposite, renderRoutingTags } from '@weft/wire'
import { WebSocket } from 'ws'

const require = createRequire(import.meta.url)

export type Carrier = 'tcp' | 'ws' | 'tls'

export interface DialOptions {
  readonly carrier: Carrier
  readonly port: number
  /** Of the broker's certificate. */
  readonly caPem: string
  readonly services: readonly string[]
  /** Default: `program` in `default`. */
  readonly app?: string
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  /** What requests are answered with; default: their own data. */
  readonly answer?: string
  readonly onFireAndForget?: (data: string) => void
  /** A bearer token, shown in SETUP. */
  readonly token?: string
  /** The broker's certificate is one of the mesh, which has no DNS name. */
  readonly isSvid?: boolean
  /** Shown in TLS. */
  readonly certPem?: string
  readonly keyPem?: string
}

/** Asks for `key`; answers are texts in order, an error is `#code message`. */
export interface Program {
  response(key: string, data: string): Promise<string[]>
  stream(key: string, data: string, initialN: number): Promise<string[]>
  /** Sends three items, `data`0 to `data`2, and collects what comes back. */
  channel(key: string, data: string): Promise<string[]>
  fireAndForget(key: string, data: string): void
  close(): void
}

export interface ProgramKind {
  readonly name: string
  dial(options: DialOptions): Promise<Program>
}

let instances = 0

export function setupMetadata(options: DialOptions): Buffer {
  const { services, app = 'program', namespace = 'default', labels = {} } = options
  const hello = {
    v: 1,
    instance: `program-${++instances}`,
    app,
    ns: namespace,
    labels,
    services: services.map((name) => ({ name })),
  }
  const entries = [{ mime: HELLO_MIME, content: Buffer.from(JSON.stringify(hello)) }]
  const { token } = options
  if (token === undefined) return renderComposite(entries)
  const credentials = { mime: METADATA_ID.authentication, content: renderBearer(token) }
  return renderComposite([...entries, credentials])
}

function routing(key: string): Buffer {
  return renderComposite([{ mime: METADATA_ID.routing, content: renderRoutingTags([key]) }])
}

const MIME = 'message/x.rsocket.composite-metadata.v0'
const text = (data: unknown): string => Buffer.from((data as Buffer | null) ?? '').toString()

// 1.0.0-alpha.3

// biome-ignore lint/suspicious/noExplicitAny: the client's own types do not compile under our settings.
type Loose = any

const alpha: ProgramKind = {
  name: '1.0.0-alpha.3',
  async dial(options) {
    const { RSocketConnector } = require('rsocket-core') as Loose
    const connector = new RSocketConnector({
      setup: {
        payload: { data: Buffer.alloc(0), metadata: setupMetadata(options) },
        metadataMimeType: MIME,
        dataMimeType: 'text/plain',
        keepAlive: 20_000,
        lifetime: 90_000,
      },
      transport: alphaTransport(options),
      responder: alphaResponder(options),
    })
    const socket = await connector.connect()
    return alphaProgram(socket)
  },
}

function alphaTransport(options: DialOptions): unknown {
  const { carrier, port, caPem, certPem, keyPem, isSvid = false } = options
  if (carrier === 'ws') {
    const { WebsocketClientTransport } = require('rsocket-websocket-client') as Loose
    return new WebsocketClientTransport({
      url: `ws://127.0.0.1:${port}/`,
      wsCreator: (url: string) => new WebSocket(url),
    })
  }
  const { TcpClientTransport } = require('rsocket-tcp-client') as Loose
  return new TcpClientTransport({
    connectionOptions: { host: '127.0.0.1', port },
    ...(carrier === 'tls'
      ? {
          socketCreator: () =>
            connectTls({
              ...{ host: '127.0.0.1', port, ca: caPem, servername: 'localhost' },
              ...(certPem === undefined ? {} : { cert: certPem, key: keyPem }),
              ...(isSvid ? { checkServerIdentity: () => undefined } : {}),
            }),
        }
      : {}),
  })
}

function alphaResponder({ onFireAndForget, answer }: DialOptions): unknown {
  return {
    requestResponse(payload: Loose, out: Loose) {
      out.onNext({ data: answer === undefined ? payload.data : Buffer.from(answer) }, true)
      return { cancel() {}, onExtension() {} }
    },
    requestStream(payload: Loose, initialN: number, out: Loose) {
      let sent = 0
      const send = (n: number) => {
        for (let i = 0; i < n && sent < 5; i++) out.onNext({ data: payload.data }, ++sent === 5)
      }
      send(initialN)
      return { request: send, cancel() {}, onExtension() {} }
    },
    requestChannel(payload: Loose, _n: number, _done: boolean, out: Loose) {
      setImmediate(() => out.request(10))
      out.onNext({ data: payload.data }, false)
      return {
        onNext: (item: Loose, complete: boolean) => out.onNext({ data: item.data }, complete),
        onComplete: () => out.onComplete(),
        onError() {},
        request() {},
        cancel() {},
        onExtension() {},
      }
    },
    fireAndForget(payload: Loose) {
      onFireAndForget?.(text(payload.data))
      return { cancel() {} }
    },
  }
}

function alphaProgram(socket: Loose): Program {
  const collect = (begin: (handler: Loose) => void): Promise<string[]> =>
    new Promise((resolve) => {
      const items: string[] = []
      begin({
        onNext(payload: Loose, complete: boolean) {
          items.push(text(payload.data))
          if (complete) resolve(items)
        },
        onComplete: () => resolve(items),
        onError: (error: Loose) =>
          resolve([...items, `#${error.code?.toString(16)} ${error.message}`]),
        onExtension() {},
        request() {},
        cancel() {},
      })
    })
  const payloadOf = (key: string, data: string) => ({
    data: Buffer.from(data),
    metadata: routing(key),
  })
  return {
    response: (key, data) =>
      collect((handler) => socket.requestResponse(payloadOf(key, data), handler)),
    stream: (key, data, initialN) =>
      collect((handler) => {
        const asked = socket.requestStream(payloadOf(key, data), initialN, {
          ...handler,
          onNext(payload: Loose, complete: boolean) {
            handler.onNext(payload, complete)
            if (!complete) asked.request(1)
          },
        })
      }),
    channel: (key, data) =>
      collect((handler) => {
        let sent = 0
        const asked = socket.requestChannel(payloadOf(key, `${data}0`), 100, false, {
          ...handler,
          request(n: number) {
            for (let i = 0; i < n && sent < 2; i++) {
              sent++
              asked.onNext({ data: Buffer.from(`${data}${sent}`) }, sent === 2)
            }
          },
        })
      }),
    fireAndForget: (key, data) =>
      void socket.fireAndForget(payloadOf(key, data), { onError() {}, onComplete() {} }),
    close: () => socket.close(),
  }
}

// 0.0.27

const field: ProgramKind = {
  name: '0.0.27',
  async dial(options) {
    const { RSocketClient, BufferEncoders } = require('rsocket-core-field') as Loose
    const client = new RSocketClient({
      setup: {
        payload: { data: Buffer.alloc(0), metadata: setupMetadata(options) },
        metadataMimeType: MIME,
        dataMimeType: 'text/plain',
        keepAlive: 20_000,
        lifetime: 90_000,
      },
      transport: fieldTransport(options, BufferEncoders),
      responder: fieldResponder(options),
    })
    const socket = await new Promise<Loose>((resolve, reject) =>
      client.connect().subscribe({ onComplete: resolve, onError: reject, onSubscribe() {} }),
    )
    return fieldProgram(socket, client)
  },
}

function fieldTransport({ carrier, port, caPem }: DialOptions, encoders: unknown): unknown {
  const tcp = require('rsocket-tcp-client-field') as Loose
  if (carrier === 'ws') {
    const ws = (require('rsocket-websocket-client-field') as Loose).default
    const wsCreator = (url: string) => new WebSocket(url)
    return new ws({ url: `ws://127.0.0.1:${port}/`, wsCreator }, encoders)
  }
  if (carrier === 'tls') {
    const options = { host: '127.0.0.1', port, ca: caPem, servername: 'localhost' }
    return new tcp.RSocketTlsClient(options, encoders)
  }
  return new tcp.default({ host: '127.0.0.1', port }, encoders)
}

function fieldResponder({ onFireAndForget, answer }: DialOptions): unknown {
  const { Flowable, Single } = require('rsocket-flowable') as Loose
  return {
    requestResponse: (payload: Loose) =>
      Single.of({ data: answer === undefined ? payload.data : Buffer.from(answer) }),
    requestStream: (payload: Loose) =>
      Flowable.just(...Array.from({ length: 5 }, () => ({ data: payload.data }))),
    requestChannel: (payloads: Loose) => payloads.map((payload: Loose) => ({ data: payload.data })),
    fireAndForget: (payload: Loose) => onFireAndForget?.(text(payload.data)),
    metadataPush: () => Single.of(undefined),
  }
}

function fieldProgram(socket: Loose, client: Loose): Program {
  const { Flowable } = require('rsocket-flowable') as Loose
  const payloadOf = (key: string, data: string) => ({
    data: Buffer.from(data),
    metadata: routing(key),
  })
  const message = (error: Loose) =>
    `#${error.source?.code?.toString(16)} ${error.source?.message ?? error.message}`
  const collect = (flowable: Loose, initialN: number): Promise<string[]> =>
    new Promise((resolve) => {
      const items: string[] = []
      let subscription: Loose
      flowable.subscribe({
        onSubscribe(given: Loose) {
          subscription = given
          subscription.request(initialN)
        },
        onNext(payload: Loose) {
          items.push(text(payload.data))
          subscription.request(1)
        },
        onComplete: () => resolve(items),
        onError: (error: Loose) => resolve([...items, message(error)]),
      })
    })
  return {
    response: (key, data) =>
      new Promise((resolve) =>
        socket.requestResponse(payloadOf(key, data)).subscribe({
          onComplete: (payload: Loose) => resolve([text(payload.data)]),
          onError: (error: Loose) => resolve([message(error)]),
          onSubscribe() {},
        }),
      ),
    stream: (key, data, initialN) => collect(socket.requestStream(payloadOf(key, data)), initialN),
    channel: (key, data) => {
      const items = [0, 1, 2].map((at) =>
        at === 0 ? payloadOf(key, `${data}0`) : { data: Buffer.from(`${data}${at}`) },
      )
      return collect(socket.requestChannel(Flowable.just(...items)), 100)
    },
    fireAndForget: (key, data) => socket.fireAndForget(payloadOf(key, data)),
    close: () => client.close(),
  }
}

export const programs: readonly ProgramKind[] = [alpha, field]
