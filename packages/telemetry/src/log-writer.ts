/**
 * Writes lines to a file without ever holding up whoever wrote them: `write`
 * appends to memory, a timer or a full batch hands the memory to the kernel, one
 * write at a time. When the file is slower than the lines, memory stays bounded
 * and the newest lines are dropped and counted.
 */
import { close, open, write } from 'node:fs'
import type { Clock } from '@weft/base'

export interface LogWriterOptions {
  /** Lines wait at most this long, in milliseconds. */
  readonly flushAfterMs: number
  /** A batch this large is written at once, in bytes. */
  readonly batchBytes: number
  /** Lines waiting and under way together stay below this, in bytes. */
  readonly maxBytes: number
}

export const DEFAULT_LOG_WRITER: LogWriterOptions = {
  flushAfterMs: 200,
  batchBytes: 131_072,
  maxBytes: 4_194_304,
}

/** Where bytes go; `createFileSink` in production, an array in tests. */
export interface LogSink {
  /** Resolves when all bytes are taken. Never called twice at a time. */
  write(bytes: Uint8Array): Promise<void>
  /** Opens the target anew, e.g. after a rotation renamed it. */
  reopen(): Promise<void>
  close(): Promise<void>
}

/** After a failed write, before the next try: a full disk is not polled. */
const RETRY_AFTER_MS = 1_000

const FIRST_BYTES = 16_384
const NOTHING: Buffer = Buffer.alloc(0)

export class LogWriter {
  readonly #sink: LogSink
  readonly #clock: Clock
  readonly #options: LogWriterOptions
  #waiting: Buffer = NOTHING
  #waitingSize = 0
  #waitingLines = 0
  /** The memory of the batch before, for the next but one. */
  #spare: Buffer = NOTHING
  #underWaySize = 0
  #dropped = 0
  #failures = 0
  #cancelTimer: (() => void) | undefined
  #writing: Promise<void> | undefined
  #closed = false

  constructor(sink: LogSink, clock: Clock, options: LogWriterOptions = DEFAULT_LOG_WRITER) {
    this.#sink = sink
    this.#clock = clock
    this.#options = options
  }

  /** Lines that found no room. */
  get dropped(): number {
    return this.#dropped
  }

  /** Writes that the file refused. */
  get failures(): number {
    return this.#failures
  }

  /** Takes a copy of `bytes[0..length)`: one line with its line end. */
  write(bytes: Buffer, length: number): void {
    const { maxBytes, batchBytes, flushAfterMs } = this.#options
    const size = this.#waitingSize + length
    if (this.#closed || size + this.#underWaySize > maxBytes) {
      this.#dropped++
      return
    }
    if (size > this.#waiting.length) this.#grow(size)
    bytes.copy(this.#waiting, this.#waitingSize, 0, length)
    this.#waitingSize = size
    this.#waitingLines++
    if (this.#writing !== undefined) return
    if (this.#waitingSize >= batchBytes) this.#start()
    else this.#cancelTimer ??= this.#clock.after(flushAfterMs, () => this.#start())
  }

  /** Resolves when everything written so far is with the kernel, or failed. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined || this.#waitingSize > 0) {
      const failures = this.#failures
      await (this.#writing ?? this.#start())
      if (this.#failures > failures) return
    }
  }

  /** Goes on in a new file of the same name. */
  async reopen(): Promise<void> {
    await this.flush()
    await this.#sink.reopen()
  }

  async close(): Promise<void> {
    await this.flush()
    this.#closed = true
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    await this.#sink.close()
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(
      Math.min(Math.max(needed, this.#waiting.length * 2, FIRST_BYTES), this.#options.maxBytes),
    )
    this.#waiting.copy(grown, 0, 0, this.#waitingSize)
    this.#waiting = grown
  }

  #start(): Promise<void> {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    const batch = this.#waiting
    const lines = this.#waitingLines
    this.#underWaySize = this.#waitingSize
    this.#waiting = this.#spare
    this.#spare = NOTHING
    this.#waitingSize = 0
    this.#waitingLines = 0
    this.#writing = this.#sink.write(batch.subarray(0, this.#underWaySize)).then(
      () => this.#done(batch, 0),
      () => {
        this.#failures++
        this.#dropped += lines
        this.#done(batch, RETRY_AFTER_MS)
      },
    )
    return this.#writing
  }

  #done(batch: Buffer, delayMs: number): void {
    this.#writing = undefined
    this.#underWaySize = 0
    // What a slow file made grow is not kept.
    if (batch.length <= 2 * this.#options.batchBytes) this.#spare = batch
    if (this.#waitingSize === 0) return
    const full = this.#waitingSize >= this.#options.batchBytes
    this.#cancelTimer ??= this.#clock.after(
      Math.max(delayMs, full ? 0 : this.#options.flushAfterMs),
      () => this.#start(),
    )
  }
}

/** Pause before a descriptor that would block is tried again. */
const BUSY_RETRY_MS = 10

/**
 * A file, appended to, created when missing and opened by the first write: a
 * path that cannot be opened fails that write, and is tried again by the next.
 * `/dev/stdout` and `/dev/stderr` are the process's own descriptors: opening
 * them by name fails for sockets and would truncate what another process wrote.
 */
export function createFileSink(path: string, clock: Clock): LogSink {
  const shared = path === '/dev/stdout' ? 1 : path === '/dev/stderr' ? 2 : undefined
  let fd = shared
  return {
    async write(bytes) {
      fd ??= await openForAppend(path)
      let offset = 0
      while (offset < bytes.length) offset += await writeSome(fd, bytes, offset, clock)
    },
    async reopen() {
      if (shared !== undefined) return
      const previous = fd
      fd = await openForAppend(path)
      if (previous !== undefined) await closeFd(previous)
    },
    async close() {
      if (shared === undefined && fd !== undefined) await closeFd(fd)
    },
  }
}

function writeSome(fd: number, bytes: Uint8Array, offset: number, clock: Clock): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, offset, bytes.length - offset, null, (error, written) => {
      if (error === null) resolve(written)
      // A pipe nobody reads at the moment: not an error, only slow.
      else if (error.code === 'EAGAIN') clock.after(BUSY_RETRY_MS, () => resolve(0))
      else reject(error)
    })
  })
}

function openForAppend(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, 'a', 0o644, (error, fd) => {
      if (error === null) resolve(fd)
      else reject(new Error(`Cannot open log ${path}: ${error.message}`, { cause: error }))
    })
  })
}

function closeFd(fd: number): Promise<void> {
  return new Promise((resolve) => {
    close(fd, () => resolve())
  })
}
