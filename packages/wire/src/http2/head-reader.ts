/**
 * HEADERS and CONTINUATION to heads of messages. A block is always decoded, also for
 * a stream that is refused: the compression belongs to the connection. Bounds hold
 * before memory is taken: for the coded block here, for what it decodes to in
 * `head-builder.ts`.
 */
import { MessageHead } from '../http1/message-head.ts'
import { PROBLEM } from '../http1/problem.ts'
import type { AbuseGuard } from './abuse.ts'
import { H2_ERROR, type HeadTarget, type Http2Counters, type Http2Handler } from './contract.ts'
import { FLAG, HEADER_BYTES, readUint32 } from './frames.ts'
import { HeadBuilder, MALFORMED } from './head-builder.ts'
import { HpackDecoder } from './hpack/decoder.ts'
import type { Http2Stream, OpenStreams } from './stream.ts'

export interface HeadOwner {
  readonly server: boolean
  readonly closed: boolean
  readonly handler: Http2Handler
  readonly guard: AbuseGuard
  readonly counters: Http2Counters
  readonly streams: OpenStreams
  readonly lastPeerId: number
  readonly lastAccepted: number
  /** As many streams are open as may be. */
  readonly refusing: boolean
  readonly allowConnect: boolean
  openPeerStream(id: number): Http2Stream
  skipPeerStream(id: number): void
  isIdle(id: number): boolean
  wasReset(id: number): boolean
  refuse(id: number, code: number): void
  fail(code: number, why: string): void
  streamError(stream: Http2Stream, code: number): void
  maybeClose(stream: Http2Stream): void
}

const TABLE_BYTES = 4_096

/** What nobody wants is decoded into this; and trailers, which are read at once. */
const scratch: HeadTarget = {
  head: new MessageHead(),
  headBytes: Buffer.alloc(1_024),
  headLength: 0,
}
/** Blocks are decoded one at a time, whole. */
const builder = new HeadBuilder(scratch)

/** A head over its limit may be so many times as large as the block it came in (F17). */
const MAX_EXPANSION = 20

export class HeadReader {
  /** CONTINUATION frames are to come. */
  open = false
  streamId = 0
  readonly #owner: HeadOwner
  readonly #maxHeadBytes: number
  readonly #decoder = new HpackDecoder(TABLE_BYTES)
  #flags = 0
  #selfDependent = false
  #block: Buffer | undefined
  #blockLength = 0
  #continuations = 0
  /** Of the frames of the head at hand, with their headers. */
  #frameBytes = 0

  constructor(owner: HeadOwner, maxHeadBytes: number) {
    this.#owner = owner
    this.#maxHeadBytes = maxHeadBytes
  }

  onHeaders(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    const owner = this.#owner
    if (id === 0) {
      owner.fail(H2_ERROR.protocolError, 'HEADERS without a stream')
      return
    }
    this.#frameBytes = HEADER_BYTES + to - from
    let start = from
    let end = to
    this.#selfDependent = false
    const padded = (flags & FLAG.padded) !== 0
    const prioritised = (flags & FLAG.priority) !== 0
    if (end - start < (padded ? 1 : 0) + (prioritised ? 5 : 0)) {
      owner.fail(H2_ERROR.frameSizeError, 'HEADERS is too short for its flags')
      return
    }
    if (padded) {
      end -= bytes[start] as number
      start++
    }
    if (prioritised) {
      this.#selfDependent = readUint32(bytes, start) % 0x8000_0000 === id
      start += 5
    }
    if (end < start) {
      owner.fail(H2_ERROR.protocolError, 'padding is longer than its frame')
      return
    }
    this.streamId = id
    this.#flags = flags
    if ((flags & FLAG.endHeaders) !== 0) {
      this.#decode(bytes, start, end)
      return
    }
    this.open = true
    this.#continuations = 0
    this.#blockLength = 0
    this.#keep(bytes, start, end)
  }

  onContinuation(flags: number, bytes: Buffer, from: number, to: number): void {
    const owner = this.#owner
    if (!this.open) {
      owner.fail(H2_ERROR.protocolError, 'CONTINUATION without HEADERS')
      return
    }
    const ends = (flags & FLAG.endHeaders) !== 0
    if (owner.guard.continuation(++this.#continuations)) {
      owner.fail(H2_ERROR.enhanceYourCalm, 'too many CONTINUATION frames')
      return
    }
    if (from === to && !ends && owner.guard.emptyFrame()) {
      owner.fail(H2_ERROR.enhanceYourCalm, 'too many empty frames')
      return
    }
    // Up to here a head is answered with 431; beyond, its sender is cut off.
    if (this.#blockLength + to - from > this.#maxHeadBytes * 2) {
      owner.counters.header_overflow++
      owner.fail(H2_ERROR.enhanceYourCalm, 'a head is too large')
      return
    }
    this.#frameBytes += HEADER_BYTES + to - from
    this.#keep(bytes, from, to)
    if (!ends) return
    const block = this.#block as Buffer
    this.open = false
    this.#block = undefined
    this.#decode(block, 0, this.#blockLength)
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    const needed = this.#blockLength + to - from
    if (this.#block === undefined || needed > this.#block.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, (this.#block?.length ?? 512) * 2))
      this.#block?.copy(grown, 0, 0, this.#blockLength)
      this.#block = grown
    }
    bytes.copy(this.#block, this.#blockLength, from, to)
    this.#blockLength = needed
  }

  /** @returns Whether the connection goes on. */
  #read(bytes: Buffer, from: number, to: number): boolean {
    if (this.#decoder.decode(bytes, from, to, builder)) {
      if (builder.refusedBytes <= MAX_EXPANSION * (to - from)) return true
      // No honest head: the next one would be the same, and each costs us more than its sender.
      this.#owner.counters.header_overflow++
      this.#owner.fail(H2_ERROR.enhanceYourCalm, 'a header block unpacks to far more than it is')
      return false
    }
    this.#owner.fail(H2_ERROR.compressionError, 'a header block cannot be decoded')
    return false
  }

  #decode(bytes: Buffer, from: number, to: number): void {
    const owner = this.#owner
    const id = this.streamId
    const ends = (this.#flags & FLAG.endStream) !== 0
    const stream = owner.streams.get(id)
    if (stream !== undefined) {
      this.#count(stream)
      if (!owner.server && !stream.headDone) this.#response(stream, bytes, from, to, ends)
      else this.#trailers(stream, bytes, from, to, ends)
      return
    }
    if (!owner.server || (id & 1) === 0 || id <= owner.lastPeerId) {
      this.#stray(bytes, from, to)
      return
    }
    this.#request(bytes, from, to, ends)
  }

  #stray(bytes: Buffer, from: number, to: number): void {
    const owner = this.#owner
    const id = this.streamId
    builder.beginTrailers(scratch, 0)
    if (!this.#read(bytes, from, to) || owner.wasReset(id)) return
    const idle = owner.isIdle(id)
    const code = idle ? H2_ERROR.protocolError : H2_ERROR.streamClosed
    owner.fail(code, 'HEADERS for a stream that cannot be opened')
  }

  #request(bytes: Buffer, from: number, to: number, ends: boolean): void {
    const owner = this.#owner
    const id = this.streamId
    const stream = this.#accept(id)
    if (stream !== undefined) this.#count(stream)
    const target = stream === undefined ? scratch : owner.handler.headTarget(stream)
    builder.beginRequest(target, this.#maxHeadBytes)
    if (!this.#read(bytes, from, to)) return
    if (stream === undefined) {
      if (id <= owner.lastAccepted) {
        owner.counters.stream_refused_errors++
        owner.refuse(id, H2_ERROR.refusedStream)
      }
      return
    }
    stream.headDone = true
    stream.remoteEnded = ends
    let problem = builder.finish()
    stream.extendedConnect = builder.extendedConnect
    const { contentLength } = target.head
    if (stream.extendedConnect && !owner.allowConnect) problem = MALFORMED
    if (ends && contentLength > 0) problem = MALFORMED
    stream.bodyLeft = contentLength
    this.#judge(stream, problem, ends)
  }

  #count(stream: Http2Stream): void {
    stream.receivedBytes += this.#frameBytes
    stream.receivedHeadBytes += this.#frameBytes
  }

  #accept(id: number): Http2Stream | undefined {
    const owner = this.#owner
    if (owner.refusing || id > owner.lastAccepted) {
      // The number is used up all the same.
      owner.skipPeerStream(id)
      return undefined
    }
    return owner.openPeerStream(id)
  }

  #judge(stream: Http2Stream, problem: number, ends: boolean): void {
    const owner = this.#owner
    if (problem === MALFORMED || this.#selfDependent) {
      owner.counters.rx_messaging_error++
      owner.streamError(stream, H2_ERROR.protocolError)
    } else if (problem !== 0) {
      if (problem === PROBLEM.headTooLarge || problem === PROBLEM.tooManyFields) {
        owner.counters.header_overflow++
      }
      owner.handler.onRefused(stream, problem)
    } else {
      owner.handler.onHeaders(stream, ends)
      if (ends) owner.maybeClose(stream)
    }
  }

  #response(stream: Http2Stream, bytes: Buffer, from: number, to: number, ends: boolean): void {
    const owner = this.#owner
    const target = owner.handler.headTarget(stream)
    builder.beginResponse(target, this.#maxHeadBytes)
    if (!this.#read(bytes, from, to)) return
    const problem = builder.finish()
    const { status, contentLength } = target.head
    const interim = status < 200
    const bodiless = stream.headRequest || status === 204 || status === 304
    const wrong = (interim && ends) || (ends && contentLength > 0 && !bodiless)
    if (problem !== 0 || wrong) {
      owner.counters.rx_messaging_error++
      owner.streamError(stream, H2_ERROR.protocolError)
      return
    }
    if (interim) {
      owner.handler.onInterim(stream)
      return
    }
    stream.headDone = true
    stream.remoteEnded = ends
    stream.bodyLeft = bodiless ? 0 : contentLength
    owner.handler.onHeaders(stream, ends)
    if (ends) owner.maybeClose(stream)
  }

  #trailers(stream: Http2Stream, bytes: Buffer, from: number, to: number, ends: boolean): void {
    const owner = this.#owner
    builder.beginTrailers(scratch, this.#maxHeadBytes)
    if (!this.#read(bytes, from, to)) return
    if (stream.remoteEnded) {
      owner.streamError(stream, H2_ERROR.streamClosed)
      return
    }
    const short = stream.bodyLeft > 0
    if (builder.finish() !== 0 || !ends || short || this.#selfDependent) {
      owner.counters.rx_messaging_error++
      owner.streamError(stream, H2_ERROR.protocolError)
      return
    }
    owner.counters.trailers++
    stream.remoteEnded = true
    owner.handler.onTrailers(stream, scratch)
    owner.maybeClose(stream)
  }
}
