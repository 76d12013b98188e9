/** One end of a benchmark's connection: an RSocket peer over `node:net`. */
import { connect, type Socket } from 'node:net'
import {
  COMPOSITE_MIME,
  METADATA_ID,
  RSocketFrameReader,
  type RSocketPayload,
  RSocketPeer,
  type RSocketStream,
  renderComposite,
  renderRoutingTags,
  renderSetup,
} from '@weft/wire'

export interface EndpointOptions {
  readonly role: 'connecting' | 'accepting'
  /** All frames of a turn leave in one write; else each frame costs one. */
  readonly isCoalescing: boolean
  onRequest(stream: RSocketStream, payload: RSocketPayload): void
}

const ITEM = { data: Buffer.alloc(128, 'r') }

/** Answers requests with 128 bytes, streams with as many items of 128 bytes as are asked for. */
export const answer = answerWith(ITEM)

export function answerWith(item: RSocketPayload): (stream: RSocketStream) => void {
  return (stream) => {
    if (stream.interaction === 'rr') stream.next(item, true)
    else sendAll(stream, item)
  }
}

function sendAll(stream: RSocketStream, item: RSocketPayload): void {
  const send = () => {
    while (stream.credit > 0 && !stream.closed) stream.next(item)
  }
  stream.handler = {
    onItem() {},
    onComplete() {},
    onError() {},
    onRequestN: send,
    onCancel() {},
  }
  send()
}

export function attach(socket: Socket, options: EndpointOptions): RSocketPeer {
  let corked = false
  const peer = new RSocketPeer(
    {
      role: options.role,
      sendFrameBytes: 0xff_ff_ff,
      maxPayloadBytes: 0xff_ff_ff,
      maxStreams: 100_000,
    },
    {
      write(frame) {
        if (options.isCoalescing && !corked) {
          corked = true
          socket.cork()
          setImmediate(() => {
            corked = false
            socket.uncork()
          })
        }
        socket.write(frame)
      },
      onSetup: () => undefined,
      onRequest: options.onRequest,
      onLease() {},
      onMetadataPush() {},
      onFatal: (code, message) => {
        throw new Error(`the other side ended the connection: ${code} ${message}`)
      },
    },
  )
  const reader = new RSocketFrameReader(
    {
      closed: false,
      onFrame: (bytes, from, to) => peer.onFrame(bytes, from, to),
      onFrameError: (why) => peer.onFrameError(why),
    },
    0xff_ff_ff,
  )
  socket.on('data', (bytes: Buffer) => reader.receive(bytes, bytes.length))
  return peer
}

let instances = 0

/** Dials and introduces itself; `service` is what it offers, `onRequest` how it answers. */
export async function dial(
  port: number,
  isCoalescing: boolean,
  service: string | undefined,
  onRequest = answer,
): Promise<RSocketPeer> {
  return (await dialSocket(port, isCoalescing, service, onRequest)).peer
}

export async function dialSocket(
  port: number,
  isCoalescing: boolean,
  service: string | undefined,
  onRequest = answer,
): Promise<{ readonly peer: RSocketPeer; readonly socket: Socket }> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  socket.on('error', () => {})
  const peer = attach(socket, { role: 'connecting', isCoalescing, onRequest })
  const hello = {
    v: 1,
    instance: `bench-${process.pid}-${++instances}`,
    app: 'bench',
    services: service === undefined ? [] : [{ name: service }],
  }
  const content = Buffer.from(JSON.stringify(hello))
  peer.write(
    renderSetup({
      majorVersion: 1,
      minorVersion: 0,
      keepaliveMs: 60_000,
      maxLifetimeMs: 600_000,
      resumeToken: undefined,
      lease: false,
      metadataMime: COMPOSITE_MIME,
      dataMime: 'application/octet-stream',
      payload: {
        data: Buffer.alloc(0),
        metadata: renderComposite([{ mime: 'message/x.weft.hello.v0+json', content }]),
      },
    }),
  )
  return { peer, socket }
}

export function routed(key: string): RSocketPayload {
  return {
    data: Buffer.alloc(128, 'q'),
    metadata: renderComposite([{ mime: METADATA_ID.routing, content: renderRoutingTags([key]) }]),
  }
}
