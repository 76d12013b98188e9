/**
 * Test support: a peer that says what it is told over a real socket, frame by frame, and writes
 * down what it hears – right or wrong, nothing stands between a test and the wire.
 */
import { connect, type Socket } from 'node:net'
import { realClock, silentLogger } from '@weft/base'
import { createHandleTransport } from '@weft/net'
import { eventually } from '@weft/testkit'
import {
  COMPOSITE_MIME,
  errorMessage,
  FRAME_FLAG,
  FRAME_TYPE,
  FrameView,
  keepaliveData,
  METADATA_ID,
  RSocketFrameReader,
  readFrame,
  renderComposite,
  renderKeepalive,
  renderRoutingTags,
  renderSetup,
  type Setup,
  writeUint24,
} from '@weft/wire'
import { Broker, type BrokerDeps, type BrokerOptions } from './broker.ts'
import { type HelloOptions, setupOf } from './broker-fixture.ts'

export interface RawBroker {
  readonly broker: Broker
  readonly port: number
  /** A connection that has said nothing yet. */
  silent(): Promise<RawPeer>
  /** One that introduced itself and was let in. */
  peer(hello?: HelloOptions): Promise<RawPeer>
}

export async function openRawBroker(
  options: Partial<BrokerOptions> = {},
  deps: Partial<BrokerDeps> = {},
): Promise<RawBroker> {
  const broker = new Broker(
    { id: 'raw', ...options },
    {
      transport: createHandleTransport(),
      clock: realClock,
      log: silentLogger,
      random: Math.random,
      ...deps,
    },
  )
  const { port } = await broker.listen({ kind: 'tcp', address: { host: '127.0.0.1', port: 0 } })
  const silent = () => RawPeer.dial(port)
  return {
    ...{ broker, port, silent },
    async peer(hello = {}) {
      const peer = await silent()
      peer.send(renderSetup(setupOf(hello)))
      await peer.settled()
      return peer
    },
  }
}

const NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(FRAME_TYPE).map(([name, type]) => [type, name]),
)
const NUMBERED: ReadonlySet<number> = new Set([
  FRAME_TYPE.requestStream,
  FRAME_TYPE.requestChannel,
  FRAME_TYPE.requestN,
])

/** A frame with its prefix, whatever is in it. */
export function rawFrame(streamId: number, type: number, flags: number, body: Uint8Array): Buffer {
  const frame = Buffer.alloc(9 + body.length)
  writeUint24(frame, 0, 6 + body.length)
  frame.writeUInt32BE(streamId >>> 0, 3)
  frame.writeUInt16BE(((type << 10) | flags) & 0xffff, 7)
  frame.set(body, 9)
  return frame
}

/** The body of a REQUEST_* or PAYLOAD. */
export function body(
  parts: { n?: number; metadata?: Uint8Array; data?: string | Uint8Array } = {},
): Buffer {
  const { n, metadata, data = '' } = parts
  const number = Buffer.alloc(n === undefined ? 0 : 4)
  if (n !== undefined) number.writeUInt32BE(n)
  const length = Buffer.alloc(metadata === undefined ? 0 : 3)
  if (metadata !== undefined) writeUint24(length, 0, metadata.length)
  return Buffer.concat([number, length, metadata ?? Buffer.alloc(0), Buffer.from(data as string)])
}

export function routeTo(key: string, ...tags: string[]): Buffer {
  return renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags([key, ...tags]) },
  ])
}

export function plainSetup(changes: Partial<Setup> = {}): Setup {
  return {
    ...setupOf({}),
    payload: { data: Buffer.alloc(0) },
    metadataMime: COMPOSITE_MIME,
    ...changes,
  }
}

export class RawPeer {
  readonly socket: Socket
  /** What came: `<stream> <type> <flags> <number> <data>`, without parts that are not there. */
  readonly heard: string[] = []
  /** The same, as bytes without prefix. */
  readonly frames: Buffer[] = []
  closed = false
  #marks = 0

  static dial(port: number): Promise<RawPeer> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => {
        socket.off('error', reject)
        socket.on('error', () => {})
        resolve(new RawPeer(socket))
      })
      socket.once('error', reject)
    })
  }

  private constructor(socket: Socket) {
    this.socket = socket
    const reader = new RSocketFrameReader(
      {
        closed: false,
        onFrame: (bytes, from, to) => {
          this.frames.push(Buffer.from(bytes.subarray(from, to)))
          this.heard.push(describe(bytes, from, to))
        },
        onFrameError: (why) => this.heard.push(`unreadable: ${why}`),
      },
      0xff_ff_ff,
    )
    socket.on('data', (bytes: Buffer) => reader.receive(bytes, bytes.length))
    socket.on('close', () => {
      this.closed = true
    })
  }

  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames))
  }

  frame(streamId: number, type: number, flags: number, content: Uint8Array = Buffer.alloc(0)) {
    this.send(rawFrame(streamId, type, flags, content))
  }

  /** A whole request/response. */
  ask(streamId: number, key: string, data: string | Uint8Array = ''): void {
    const content = body({ metadata: routeTo(key), data })
    this.frame(streamId, FRAME_TYPE.requestResponse, FRAME_FLAG.metadata, content)
  }

  /** An item of ours; `flags` of `NEXT`, `COMPLETE` and so on. */
  item(streamId: number, flags: number, data = ''): void {
    this.frame(streamId, FRAME_TYPE.payload, flags, Buffer.from(data))
  }

  /** Resolves when everything sent before was handled: the broker answers in order. */
  async settled(): Promise<void> {
    const mark = `mark ${++this.#marks}`
    this.send(renderKeepalive(true, 0, Buffer.from(mark)))
    await eventually(() => {
      if (this.closed) throw new Error(`the connection is closed: ${this.heard.join(' | ')}`)
      const at = this.heard.indexOf(`0 keepalive ${mark}`)
      if (at < 0) throw new Error(`not settled: ${this.heard.join(' | ')}`)
      this.heard.splice(at, 1)
      this.frames.splice(at, 1)
    })
  }

  /** What was heard since the last call. */
  take(): string[] {
    this.frames.length = 0
    return this.heard.splice(0)
  }

  close(): void {
    this.socket.destroy()
  }
}

const FLAG_LETTERS = [
  [FRAME_FLAG.follows, 'F'],
  [FRAME_FLAG.complete, 'C'],
  [FRAME_FLAG.next, 'N'],
] as const

function describe(bytes: Uint8Array, from: number, to: number): string {
  const view = new FrameView()
  const why = readFrame(view, bytes, from, to)
  if (why !== undefined) return `malformed: ${why}`
  const { streamId, type, number } = view
  const name = NAMES[type] ?? `0x${type.toString(16)}`
  const parts = [String(streamId), name]
  if (type === FRAME_TYPE.error) parts.push(number.toString(16), errorMessage(view))
  else if (type === FRAME_TYPE.keepalive) parts.push(textOf(keepaliveData(view)))
  else if (type === FRAME_TYPE.lease) parts.push(String(Buffer.from(bytes).readUInt32BE(from + 10)))
  else {
    const letters = FLAG_LETTERS.filter(([flag]) => (view.flags & flag) !== 0)
    parts.push(letters.map(([, letter]) => letter).join(''))
    if (NUMBERED.has(type)) parts.push(String(number))
    parts.push(textOf(bytes.subarray(view.dataFrom, view.dataTo)))
  }
  return parts.filter((part) => part !== '').join(' ')
}

function textOf(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? new Uint8Array(0)).toString('latin1')
}
