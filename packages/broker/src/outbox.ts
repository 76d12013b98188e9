/**
 * What a connection is about to be sent. Frames are copied in, with the framing of the
 * transport before each, and leave once per turn of the event loop: many frames, one system
 * call. While the kernel takes nothing they wait here, and whoever fills looks at `bytes`.
 */
import type { Socket } from '@weft/net'
import { giveWriteMemory, giveWriteMemoryLater, takeWriteMemory } from '@weft/net'

/** How a transport tells frames apart. */
export interface Framing {
  /** Bytes before a frame of `length` bytes. */
  headBytes(length: number): number
  writeHead(to: Uint8Array, at: number, length: number): void
}

/** TCP and TLS: a u24 length (RSocket Protocol.md, "Framing Protocol"). */
export const LENGTH_FRAMING: Framing = {
  headBytes: () => 3,
  writeHead(to, at, length) {
    to[at] = length >>> 16
    to[at + 1] = length >>> 8
    to[at + 2] = length
  },
}

/** The first memory of a turn; most turns need no more. */
const FIRST_BYTES = 8_192
const MORE_BYTES = 131_072
/** First memories that are kept for the next turn: as many as outboxes of one turn may want. */
const MAX_SPARE = 256
/** Up to here a loop costs less than the call of a native copy. */
const SHORT_BYTES = 64

const spare: Buffer[] = []

function takeFirst(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(FIRST_BYTES)
}

function give(memory: Buffer): void {
  if (memory.length !== FIRST_BYTES) giveWriteMemory(memory)
  else if (spare.length < MAX_SPARE) spare.push(memory)
}

export class Outbox {
  readonly #socket: Socket
  readonly #framing: Framing
  readonly #schedule: (outbox: Outbox) => void
  #memory: Buffer | undefined
  #length = 0
  /** Full memory before the current one. */
  readonly #full: { memory: Buffer; length: number }[] = []
  #fullBytes = 0
  #scheduled = false
  /** The kernel took no more; `onDrain` follows. */
  #blocked = false
  /** Bytes ever put in, and ever handed to the socket: what a frame's fate is judged by. */
  appendedBytes = 0
  handedBytes = 0
  /** Called once, when the kernel has taken everything. */
  whenEmpty: (() => void) | undefined

  /** @param schedule Calls `flush` once, at the end of this turn. */
  constructor(socket: Socket, framing: Framing, schedule: (outbox: Outbox) => void) {
    this.#socket = socket
    this.#framing = framing
    this.#schedule = schedule
  }

  /** Bytes that the kernel has not taken. */
  get bytes(): number {
    return this.#fullBytes + this.#length + this.#socket.pendingBytes
  }

  /** Adds a frame, `bytes[from..to)` without prefix. */
  append(bytes: Uint8Array, from: number, to: number): void {
    const length = to - from
    const headBytes = this.#framing.headBytes(length)
    const at = this.#room(headBytes)
    this.#framing.writeHead(this.#memory as Buffer, at, length)
    this.appendedBytes += headBytes + length
    this.#copy(bytes, from, to)
    this.#due()
  }

  /** Adds bytes that are no frame: of a handshake, a pong. */
  appendRaw(bytes: Uint8Array): void {
    this.#room(0)
    this.appendedBytes += bytes.length
    this.#copy(bytes, 0, bytes.length)
    this.#due()
  }

  #due(): void {
    if (this.#scheduled || this.#blocked) return
    this.#scheduled = true
    this.#schedule(this)
  }

  /** Makes room for `bytes` in one piece; returns where. */
  #room(bytes: number): number {
    const memory = this.#memory
    if (memory === undefined || this.#length + bytes > memory.length) this.#more()
    const at = this.#length
    this.#length += bytes
    return at
  }

  #more(): void {
    if (this.#memory === undefined) this.#memory = takeFirst()
    else {
      this.#full.push({ memory: this.#memory, length: this.#length })
      this.#fullBytes += this.#length
      this.#memory = takeWriteMemory(MORE_BYTES)
    }
    this.#length = 0
  }

  #copy(bytes: Uint8Array, from: number, to: number): void {
    let at = from
    while (at < to) {
      let memory = this.#memory as Buffer
      if (this.#length === memory.length) {
        this.#more()
        memory = this.#memory as Buffer
      }
      const end = Math.min(to, at + memory.length - this.#length)
      copyBytes(bytes, at, end, memory, this.#length)
      this.#length += end - at
      at = end
    }
  }

  /** Writes what is there, as far as the kernel takes it. */
  flush(): void {
    this.#scheduled = false
    this.#writeAll()
    const { whenEmpty } = this
    if (whenEmpty === undefined || this.#blocked) return
    this.whenEmpty = undefined
    whenEmpty()
  }

  #writeAll(): void {
    while (!this.#blocked && !this.#socket.closed) {
      const full = this.#full.shift()
      if (full !== undefined) {
        this.#fullBytes -= full.length
        this.#write(full.memory, full.length)
        continue
      }
      const memory = this.#memory
      if (memory === undefined || this.#length === 0) return
      const length = this.#length
      this.#memory = undefined
      this.#length = 0
      this.#write(memory, length)
    }
  }

  #write(memory: Buffer, length: number): void {
    this.handedBytes += length
    const taken = this.#socket.write(memory.subarray(0, length))
    if (taken || this.#socket.copiesWrites === true) give(memory)
    else giveWriteMemoryLater(memory)
    this.#blocked = !taken
  }

  /** The kernel took everything that was written. */
  onDrain(): void {
    this.#blocked = false
    this.flush()
  }
}

function copyBytes(
  from: Uint8Array,
  start: number,
  end: number,
  to: Buffer,
  targetStart: number,
): void {
  if (end - start <= SHORT_BYTES) {
    for (let at = start; at < end; at++) to[targetStart + at - start] = from[at] as number
  } else if (Buffer.isBuffer(from)) from.copy(to, targetStart, start, end)
  else to.set(from.subarray(start, end), targetStart)
}
