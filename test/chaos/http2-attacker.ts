/** A client of HTTP/2 that writes whatever frames it likes, over a real socket. */
import { connect, type Socket } from 'node:net'

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const
export const END_STREAM = 1
export const END_HEADERS = 4
/** :method GET, :scheme http, :path /, :authority a. */
export const REQUEST = Buffer.from('828684010161', 'hex')

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
const HEADER_BYTES = 9
const INITIAL_WINDOW_SIZE = 4
/** How much is put together before it is written. */
const BATCH_BYTES = 16_384
/** A proxy that does not end the connection by then has not noticed. */
const LIMIT_MS = 15_000

export function frame(type: number, flags: number, id: number, content?: Uint8Array): Buffer {
  const length = content?.length ?? 0
  const bytes = Buffer.alloc(HEADER_BYTES + length)
  bytes.writeUIntBE(length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(id, 5)
  if (content !== undefined) bytes.set(content, HEADER_BYTES)
  return bytes
}

export function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Ids of a client's streams. */
export function* streamIds(count: number): Generator<number> {
  for (let i = 0; i < count; i++) yield i * 2 + 1
}

export interface AttackOptions {
  /** Of every stream, by SETTINGS. */
  readonly window?: number
  /** Whether it reads what comes back; default true. */
  readonly reads?: boolean
}

export interface Attacker {
  readonly isClosed: boolean
  /** Bytes that the kernel took. */
  readonly sentBytes: number
  /** The code of the last GOAWAY that came before the end. */
  readonly goaway: number | undefined
  /** Resolves when all is written or the connection is closed. */
  send(frames: Iterable<Buffer>): Promise<void>
  /** Resolves when the proxy has ended the connection; false: it has not, in time. */
  ended(): Promise<boolean>
  end(): void
}

export async function openAttacker(port: number, options: AttackOptions = {}): Promise<Attacker> {
  const { window, reads = true } = options
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await new Promise((resolve) => {
    socket.once('connect', resolve)
    socket.once('error', resolve)
  })
  let isClosed = false
  let goaway: number | undefined
  socket.on('error', () => undefined)
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      isClosed = true
      resolve()
    })
  })
  if (reads) {
    onFrames(socket, (type, content) => {
      if (type === FRAME.goaway) goaway = content.readUInt32BE(4)
    })
  }
  const settings =
    window === undefined
      ? undefined
      : Buffer.concat([Buffer.from([0, INITIAL_WINDOW_SIZE]), number(window)])
  socket.write(Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0, settings)]))
  const flush = async (batch: readonly Buffer[]) => {
    if (socket.write(Buffer.concat(batch))) return
    await Promise.race([
      closed,
      new Promise((resolve) => socket.once('drain', resolve)),
      // Nobody takes it any more: that is an end, too.
      pause(LIMIT_MS),
    ])
  }
  return {
    get isClosed() {
      return isClosed
    },
    get sentBytes() {
      return socket.bytesWritten
    },
    get goaway() {
      return goaway
    },
    async send(frames) {
      let batch: Buffer[] = []
      let bytes = 0
      for (const one of frames) {
        if (isClosed) return
        batch.push(one)
        bytes += one.length
        if (bytes < BATCH_BYTES) continue
        await flush(batch)
        batch = []
        bytes = 0
        // So that an end is seen between two batches.
        await new Promise((resolve) => setImmediate(resolve))
      }
      if (batch.length > 0 && !isClosed) await flush(batch)
    },
    async ended() {
      // What was not read hides the end.
      socket.resume()
      await Promise.race([closed, pause(LIMIT_MS)])
      return isClosed
    },
    end: () => socket.destroy(),
  }
}

function onFrames(socket: Socket, take: (type: number, content: Buffer) => void): void {
  let received: Buffer = Buffer.alloc(0)
  socket.on('data', (bytes: Buffer) => {
    received = received.length === 0 ? bytes : Buffer.concat([received, bytes])
    let at = 0
    while (received.length - at >= HEADER_BYTES) {
      const end = at + HEADER_BYTES + received.readUIntBE(at, 3)
      if (end > received.length) break
      take(received[at + 3] ?? 0, received.subarray(at + HEADER_BYTES, end))
      at = end
    }
    received = received.subarray(at)
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
