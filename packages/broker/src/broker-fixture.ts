/** Test support: clients that dial a broker over a transport, in both roles, with promises. */
import { realClock, silentLogger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import { createMemoryTransport, type Socket, type Transport } from '@weft/net'
import {
  COMPOSITE_MIME,
  HELLO_MIME,
  type Interaction,
  METADATA_ID,
  RSocketFrameReader,
  type RSocketPayload,
  RSocketPeer,
  type RSocketStream,
  type RSocketStreamHandler,
  renderBearer,
  renderComposite,
  renderRoutingTags,
  renderSetup,
  type Setup,
} from '@weft/wire'
import { Broker, type BrokerDeps, type BrokerOptions } from './broker.ts'

export interface Fixture {
  readonly broker: Broker
  readonly transport: Transport
  readonly address: SocketAddress
  dial(hello?: HelloOptions): Promise<TestClient>
}

export interface HelloOptions {
  readonly app?: string
  readonly instance?: string
  readonly link?: number
  readonly services?: readonly (string | { name: string; group?: string; version?: string })[]
  readonly lease?: boolean
  readonly labels?: Record<string, string>
  readonly sendFrameBytes?: number
  readonly namespace?: string
  readonly features?: readonly string[]
  /** A bearer token, shown in SETUP. */
  readonly token?: string
}

export async function openBroker(
  options: Partial<BrokerOptions> = {},
  deps: Partial<BrokerDeps> = {},
): Promise<Fixture> {
  const transport = deps.transport ?? createMemoryTransport()
  const broker = new Broker(
    { id: 'b1', ...options },
    { transport, clock: realClock, log: silentLogger, random: Math.random, ...deps },
  )
  const address = await broker.listen({
    kind: 'tcp',
    address: { host: '127.0.0.1', port: 0 },
  })
  return {
    broker,
    transport,
    address,
    dial: (hello = {}) => TestClient.dial(transport, address, hello),
  }
}

export type Answer = (stream: RSocketStream, payload: RSocketPayload) => void

let instances = 0

export function setupOf(hello: HelloOptions): Setup {
  const content = {
    v: 1,
    instance: hello.instance ?? `i${++instances}`,
    app: hello.app ?? 'app',
    link: hello.link ?? 0,
    ...(hello.namespace === undefined ? {} : { ns: hello.namespace }),
    labels: hello.labels ?? {},
    ...(hello.features === undefined ? {} : { features: hello.features }),
    services: (hello.services ?? []).map((each) =>
      typeof each === 'string' ? { name: each } : each,
    ),
  }
  return {
    majorVersion: 1,
    minorVersion: 0,
    keepaliveMs: 20_000,
    maxLifetimeMs: 90_000,
    resumeToken: undefined,
    lease: hello.lease ?? false,
    metadataMime: COMPOSITE_MIME,
    dataMime: 'application/json',
    payload: {
      data: Buffer.alloc(0),
      metadata: renderComposite([
        { mime: HELLO_MIME, content: Buffer.from(JSON.stringify(content)) },
        ...(hello.token === undefined
          ? []
          : [{ mime: METADATA_ID.authentication, content: renderBearer(hello.token) }]),
      ]),
    },
  }
}

export function routed(
  key: string,
  data: string | Uint8Array = '',
  tags: string[] = [],
): RSocketPayload {
  return {
    data: Buffer.from(data as string),
    metadata: renderComposite([
      { mime: METADATA_ID.routing, content: renderRoutingTags([key, ...tags]) },
    ]),
  }
}

export class TestClient {
  readonly peer: RSocketPeer
  readonly socket: Socket
  answer: Answer = (stream) => stream.fail(0x201, 'nobody answers')
  fatal: { code: number; message: string } | undefined
  closed = false
  paused = false
  readonly #waiting: Uint8Array[] = []

  static async dial(
    transport: Transport,
    address: SocketAddress,
    hello: HelloOptions,
  ): Promise<TestClient> {
    const client = new TestClient(transport, address, hello)
    client.write(renderSetup(setupOf(hello)))
    await client.ask('rr', routed('weft.broker.hello'))
    return client
  }

  constructor(transport: Transport, address: SocketAddress, hello: HelloOptions = {}) {
    this.peer = new RSocketPeer(
      {
        role: 'connecting',
        sendFrameBytes: hello.sendFrameBytes ?? 0xff_ff_ff,
        maxPayloadBytes: 0xff_ff_ff,
        maxStreams: 10_000,
      },
      {
        write: (frame) => this.write(frame),
        onSetup: () => undefined,
        onRequest: (stream, payload) => this.answer(stream, payload),
        onLease() {},
        onMetadataPush() {},
        onFatal: (code, message) => {
          this.fatal = { code, message }
        },
      },
    )
    const reader = new RSocketFrameReader(
      {
        closed: false,
        onFrame: (bytes, from, to) => this.peer.onFrame(bytes, from, to),
        onFrameError: (why) => this.peer.onFrameError(why),
      },
      0xff_ff_ff,
    )
    this.socket = transport.connect(address, {
      onOpen() {},
      onData: (bytes, length) => reader.receive(bytes, length),
      onEnd: () => this.#gone(),
      onDrain: () => this.#send(),
      onClose: () => this.#gone(),
    })
  }

  #gone(): void {
    this.closed = true
    this.peer.close('the connection is gone')
  }

  write(frame: Uint8Array): void {
    this.#waiting.push(frame)
    if (this.#waiting.length === 1) this.#send()
  }

  #send(): void {
    while (this.#waiting.length > 0) {
      const frame = this.#waiting.shift() as Uint8Array
      if (!this.socket.write(frame)) return
    }
  }

  /** Asks and collects: items as text, the error as `#code message`. */
  ask(
    interaction: Interaction,
    payload: RSocketPayload,
    initialN = 0x7fff_ffff,
  ): Promise<string[]> {
    return new Promise((resolve) => {
      const items: string[] = []
      const handler: RSocketStreamHandler = {
        onItem(item, complete) {
          items.push(Buffer.from(item.data).toString())
          if (complete) resolve(items)
        },
        onComplete: () => resolve(items),
        onError: (code, message) => resolve([...items, `#${code.toString(16)} ${message}`]),
        onRequestN() {},
        onCancel() {},
      }
      this.peer.request(interaction, payload, handler, { initialN })
    })
  }

  close(): void {
    this.socket.close()
    this.#gone()
  }
}

export const SILENT: RSocketStreamHandler = {
  onItem() {},
  onComplete() {},
  onError() {},
  onRequestN() {},
  onCancel() {},
}

/** Answers requests with their data, streams with as many items as are asked for, up to `count`. */
export function echo(count = 3): Answer {
  return (stream, payload) => {
    if (stream.interaction === 'rr') stream.next({ data: payload.data }, true)
    if (stream.interaction !== 'stream' && stream.interaction !== 'channel') return
    let sent = 0
    const send = () => {
      while (stream.credit > 0 && sent < count && !stream.closed)
        stream.next({ data: payload.data }, ++sent === count)
    }
    stream.handler = {
      ...SILENT,
      onRequestN: send,
      onItem: (item, complete) => {
        if (stream.maySend && stream.credit > 0) stream.next({ data: item.data }, complete)
      },
    }
    if (stream.interaction === 'stream') send()
    else stream.requestN(100)
  }
}
