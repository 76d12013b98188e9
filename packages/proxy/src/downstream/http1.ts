/**
 * A client's HTTP/1.1 connection: finds messages in its bytes and hands each to
 * an exchange, one after the other. What comes early (pipelining) waits here,
 * unread beyond one buffer.
 *
 *     idle ──► head ──► body ──► busy ──► idle …
 *       └───────┴────────┴────────┴──► lingering ──► gone
 *                                 └──► tunnel
 */
import type { SocketAddress } from '@weft/model'
import type { Socket, SocketHandler, Timed, TlsFacts } from '@weft/net'
import {
  CR,
  detectProtocol,
  LF,
  type OutBuffer,
  parseRequestHead,
  problemStatus,
  problemText,
} from '@weft/wire'
import type { ClientSide, TakenOver } from '../exchange/client-side.ts'
import type { EngineDeps, HttpRuntime } from '../exchange/contract.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { exchangeBytes } from '../exchange/exchange-bytes.ts'
import { flushTo } from '../exchange/shared-out.ts'
import type { Holding } from '../overload/heaviest.ts'
import { ConnectionAge } from './connection-age.ts'
import type { HttpConnection, HttpHome } from './http-home.ts'
import { routeHere } from './misdirected.ts'
import { unconfiguredAnswer } from './unconfigured-answer.ts'

const IDLE = 0
const HEAD = 1
const BODY = 2
const BUSY = 3
const LINGERING = 4
const TUNNEL = 5
/** Waits for a configuration. */
const HELD = 6

/** An answer is not lost to a reset when the client still sends: we read on for this long. */
const LINGER_MS = 2_000
/** Bytes that wait for a client before its next request is looked at. */
const MAX_PENDING_BYTES = 262_144

/** `P` of `PRI * HTTP/2.0`, and of POST. */
const FIRST_OF_PREFACE = 0x50
/** `R`: of few methods, and not of POST. */
const SECOND_OF_PREFACE = 0x52

export class Http1Connection implements SocketHandler, HttpConnection, ClientSide, Timed {
  deadlineTick = 0
  slotTick = 0
  readonly multiplexed = false
  readonly socket: Socket
  readonly #home: HttpHome
  readonly #deps: EngineDeps
  #exchange: Exchange | undefined
  #state = IDLE
  /** Bytes behind the current request. */
  #stash: Buffer | undefined
  #processing = false
  /** No byte came yet that tells the protocol; what came is kept in `#preface`. */
  #fresh = true
  #preface: Buffer | undefined
  /** A CR before a request line was seen, its LF not yet. */
  #halfBlankLine = false
  #clientEnded = false
  readonly #age = new ConnectionAge()
  #runtime: HttpRuntime | undefined
  #authority = ''
  #authorityBytes: Buffer = Buffer.alloc(0)
  #remote: SocketAddress | undefined
  #local: SocketAddress | undefined

  constructor(socket: Socket, home: HttpHome, deps: EngineDeps) {
    this.socket = socket
    this.#home = home
    this.#deps = deps
  }

  /** Begins with what protocol detection has read already. */
  start(firstBytes: Buffer | undefined): void {
    const runtime = this.#home.runtime(this.socket)
    const nowMs = this.#deps.clock.monotonicMs()
    this.#age.begin(nowMs)
    if (runtime !== undefined) this.#armIdle(runtime, nowMs)
    if (firstBytes !== undefined) this.onData(firstBytes, firstBytes.length)
  }

  get connection(): object {
    return this
  }

  get tls(): TlsFacts | undefined {
    return this.socket.tls
  }

  get remoteAddress(): SocketAddress {
    this.#remote ??= this.socket.remoteAddress
    return this.#remote
  }

  get directAddress(): SocketAddress | undefined {
    return this.socket.directAddress
  }

  get localAddress(): SocketAddress {
    this.#local ??= this.socket.localAddress
    return this.#local
  }

  /** One answer at a time, of which no more is read while it waits. */
  get keeps(): boolean {
    return false
  }

  get draining(): boolean {
    return this.#age.worn || this.#home.draining
  }

  get gone(): boolean {
    return this.socket.closed
  }

  /** It stays in `out` and leaves with what follows. */
  sendInterim(_from: number): void {}

  send(_headLength: number, _last: boolean, _trailers: OutBuffer | undefined): boolean {
    return flushTo(this.socket)
  }

  sendBulk(bytes: Buffer): boolean {
    return this.socket.write(bytes)
  }

  pauseBody(): void {
    this.socket.pause()
  }

  resumeBody(): void {
    this.socket.resume()
  }

  bulkBody(on: boolean): void {
    this.socket.bulkReads(on)
  }

  get idle(): boolean {
    return this.#state === IDLE
  }

  whenConfigured(wake: () => void): () => void {
    return this.#home.whenPublished(wake)
  }

  onOpen(): void {}

  onData(bytes: Uint8Array, length: number): void {
    if (this.#state === LINGERING) return
    if (this.#fresh && this.#isPreface(bytes as Buffer, length)) return
    if (this.#stash !== undefined) {
      this.#stash = Buffer.concat([this.#stash, bytes.subarray(0, length)])
      return
    }
    this.#process(bytes as Buffer, length)
  }

  /** Whether the bytes so far are for HTTP/2, or may become so. */
  #isPreface(bytes: Buffer, length: number): boolean {
    const before = this.#preface
    if (
      before === undefined &&
      (bytes[0] !== FIRST_OF_PREFACE || (length > 1 && bytes[1] !== SECOND_OF_PREFACE))
    ) {
      this.#fresh = false
      return false
    }
    const part = bytes.subarray(0, length)
    const all = before === undefined ? part : Buffer.concat([before, part])
    const codec = this.#home.runtime(this.socket)?.manager.codec ?? 'auto'
    const found = codec === 'auto' ? detectProtocol(all, all.length) : 'http1'
    if (found === 'undecided') {
      this.#preface = Buffer.from(all)
      return true
    }
    this.#fresh = false
    this.#preface = undefined
    if (found === 'http2') {
      this.#deps.wheel.disarm(this)
      this.#home.becomesHttp2(this, all)
      return true
    }
    if (before === undefined) return false
    this.#process(all, all.length)
    return true
  }

  #process(bytes: Buffer, length: number): void {
    this.#processing = true
    let at = 0
    while (at < length) {
      if (this.#state === IDLE) at = this.#begin(bytes, at, length)
      else if (this.#state === HEAD) at = this.#continueHead(bytes, at, length)
      else if (this.#state === BODY) at = this.#body(bytes, at, length)
      else if (this.#state === BUSY || this.#state === HELD) {
        this.#stash = Buffer.from(bytes.subarray(at, length))
        this.socket.pause()
        break
      } else if (this.#state === TUNNEL) {
        this.#stash = Buffer.from(bytes.subarray(at, length))
        break
      } else break
    }
    this.#processing = false
  }

  /** Between two requests: skips blank lines, finds the configuration, tries to parse at once. */
  #begin(bytes: Buffer, from: number, end: number): number {
    let at = from
    if (this.#halfBlankLine) {
      this.#halfBlankLine = false
      if (bytes[at] === LF) return at + 1
    }
    while (at + 1 < end && bytes[at] === CR && bytes[at + 1] === LF) at += 2
    if (at === end) return end
    if (bytes[at] === CR && at + 1 === end) {
      this.#halfBlankLine = true
      return end
    }
    const runtime = this.#home.runtime(this.socket)
    if (runtime === undefined || (runtime.routes === undefined && !this.#heldLong)) {
      return this.#hold(bytes, at, end)
    }
    this.#heldSinceMs = 0
    this.#heldLong = false
    const exchange = this.#home.exchanges.take(this, runtime)
    this.#exchange = exchange
    this.#runtime = runtime
    this.#deps.wheel.disarm(this)
    const { maxRequestHeadBytes } = runtime.manager
    const result = parseRequestHead(exchange.head, bytes, at, end, maxRequestHeadBytes)
    if (result > 0) {
      exchange.appendHead(bytes, at, result)
      return this.#headDone(exchange, bytes, result, end)
    }
    exchange.startedMs = this.#deps.clock.monotonicMs()
    if (result < 0) return this.#refuse(exchange, result)
    exchange.appendHead(bytes, at, end)
    this.#state = HEAD
    const { requestHeadTimeoutMs } = runtime.manager
    if (requestHeadTimeoutMs > 0) {
      this.#deps.wheel.arm(this, requestHeadTimeoutMs, exchange.startedMs)
    }
    return end
  }

  /** No configuration yet: the client waits within bounds, and is not refused at once. */
  #hold(bytes: Buffer, from: number, end: number): number {
    const nowMs = this.#deps.clock.monotonicMs()
    if (this.#heldSinceMs === 0) this.#heldSinceMs = nowMs
    this.#state = HELD
    this.#stash = Buffer.from(bytes.subarray(from, end))
    this.socket.pause()
    const { holdMs, mayHold } = this.#home
    // Counted from the first wait: configurations without what is missing do not prolong it.
    const leftMs = mayHold ? Math.max(0, this.#heldSinceMs + holdMs - nowMs) : 0
    this.#deps.wheel.arm(this, leftMs, nowMs)
    this.#cancelHold = this.#home.whenPublished(() => {
      this.#cancelHold = undefined
      if (this.#state === HELD) this.#goOn()
    })
    return end
  }

  /** It waited long enough: 503 with the reason, logged where there is somebody to log. */
  #holdExpired(): void {
    this.#cancelHold?.()
    this.#cancelHold = undefined
    if (this.#home.runtime(this.socket) === undefined) {
      this.socket.write(unconfiguredAnswer())
      this.#linger()
      return
    }
    this.#heldLong = true
    this.#goOn()
  }

  #goOn(): void {
    this.#state = IDLE
    this.#resumeStash()
  }

  #cancelHold: (() => void) | undefined
  #heldSinceMs = 0
  #heldLong = false

  #continueHead(bytes: Buffer, from: number, end: number): number {
    const exchange = this.#exchange
    const runtime = this.#runtime
    if (exchange === undefined || runtime === undefined) return end
    const before = exchange.headLength
    exchange.appendHead(bytes, from, end)
    const limits = runtime.manager.maxRequestHeadBytes
    const { headBytes, headLength } = exchange
    const result = parseRequestHead(exchange.head, headBytes, 0, headLength, limits)
    if (result < 0) return this.#refuse(exchange, result)
    if (result === 0) return end
    this.#deps.wheel.disarm(this)
    exchange.headLength = result
    return this.#headDone(exchange, bytes, from + result - before, end)
  }

  /** The head is complete and lies at the start of the exchange's own buffer. */
  #headDone(exchange: Exchange, bytes: Buffer, from: number, end: number): number {
    const { head, request } = exchange
    exchange.startedMs = this.#deps.clock.monotonicMs()
    exchange.authority = this.#authorityOf(exchange)
    this.#age.serve(exchange.runtime.manager, exchange.startedMs)
    let at = from
    if (head.chunked) request.start('chunked', 0, false)
    else if (head.contentLength > 0) request.start('fixed', head.contentLength, false)
    this.#state = request.done ? BUSY : BODY
    if (!request.done && at < end) {
      at = exchange.takeBody(bytes, at, end)
      if (at < 0) return this.#refuse(exchange, at)
      if (request.done) this.#state = BUSY
    }
    routeHere(exchange, this.#home, this.socket)
    return at
  }

  /** Clients name the same host in request after request: the string is made once. */
  #authorityOf(exchange: Exchange): string {
    const { head, headBytes } = exchange
    const from = head.authorityStart
    const length = head.authorityEnd - from
    const known = this.#authorityBytes
    if (known.length === length) {
      let i = 0
      while (i < length && headBytes[from + i] === known[i]) i++
      if (i === length) return this.#authority
    }
    this.#authorityBytes = Buffer.from(headBytes.subarray(from, from + length))
    this.#authority = headBytes.toString('latin1', from, from + length)
    return this.#authority
  }

  #body(bytes: Buffer, from: number, end: number): number {
    const exchange = this.#exchange
    if (exchange === undefined) return end
    const { request } = exchange
    const at = exchange.takeBody(bytes, from, end)
    if (at < 0) return this.#refuse(exchange, at)
    // The answer may be over with the last byte of the body.
    if (this.#state === BODY && request.done) this.#state = BUSY
    return at
  }

  /** What cannot be read in one way only ends the connection: the next message's start is unknown. */
  #refuse(exchange: Exchange, problem: number): number {
    exchange.mustClose = true
    exchange.dropUpstream()
    exchange.failure = 'badRequest'
    exchange.detail = problemText(problem)
    if (exchange.answered) exchange.fail('badRequest', exchange.detail)
    else exchange.reply({ status: problemStatus(problem), body: `${exchange.detail}\n` })
    return Number.MAX_SAFE_INTEGER
  }

  exchangeDone(keepAlive: boolean, nowMs: number): void {
    this.#exchange = undefined
    if (this.#state === TUNNEL) {
      this.#home.left(this)
      return
    }
    if (!keepAlive || this.#clientEnded) {
      this.#linger()
      return
    }
    this.#state = IDLE
    if (this.#runtime !== undefined) this.#armIdle(this.#runtime, nowMs)
    if (!this.#processing && this.#stash !== undefined) this.#resumeStash()
    else if (this.#stash === undefined) this.socket.resume()
  }

  #resumeStash(): void {
    if (this.socket.pendingBytes > MAX_PENDING_BYTES) return
    const stash = this.#stash
    this.#stash = undefined
    if (stash !== undefined) this.#process(stash, stash.length)
    if (this.#stash === undefined && this.#state !== TUNNEL) this.socket.resume()
    if (this.#clientEnded && this.#state === IDLE) this.#linger()
  }

  #armIdle(runtime: HttpRuntime, nowMs: number): void {
    const restMs = this.#age.restMs(runtime.manager, nowMs, this.#deps.overload)
    if (restMs > 0) this.#deps.wheel.arm(this, restMs, nowMs)
  }

  shortenIdle(): void {
    const restMs = this.#runtime && this.#age.leftMs(this.#runtime.manager, this.#deps)
    if (restMs === undefined || this.#state !== IDLE) return
    this.#deps.wheel.arm(this, restMs, this.#deps.clock.monotonicMs())
  }

  addHoldings(into: Holding[]): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    const waiting = this.socket.pendingBytes + (this.#stash?.length ?? 0)
    into.push(exchangeBytes(exchange, waiting))
  }

  /** Our side ends; the client's bytes are read and ignored for a while (RFC 9112, section 9.6). */
  #linger(): void {
    this.#state = LINGERING
    this.#stash = undefined
    if (this.#clientEnded && this.socket.pendingBytes === 0) {
      this.socket.close()
      return
    }
    this.socket.end()
    this.socket.resume()
    this.#deps.wheel.arm(this, LINGER_MS, this.#deps.clock.monotonicMs())
  }

  takeOver(): TakenOver {
    this.#state = TUNNEL
    const stash = this.#stash
    this.#stash = undefined
    this.#deps.wheel.disarm(this)
    this.#home.left(this)
    return { socket: this.socket, early: stash }
  }

  abort(): void {
    // Its object may serve another connection before the socket says that it is closed.
    this.#exchange = undefined
    this.#state = LINGERING
    this.socket.reset()
  }

  onDeadline(): void {
    if (this.#state === HEAD && this.#exchange !== undefined) {
      this.#exchange.mustClose = true
      this.#exchange.fail('requestHeadTimeout', 'the request head did not arrive in time')
    } else if (this.#state === HELD) this.#holdExpired()
    else this.socket.close()
  }

  onEnd(): void {
    this.#clientEnded = true
    switch (this.#state) {
      case IDLE:
      case LINGERING:
        this.socket.close()
        return
      case HEAD:
      case BODY:
        this.#exchange?.downstreamGone('the client ended inside a request')
        this.#exchange = undefined
        this.socket.close()
        return
      case HELD:
      case BUSY:
        // A client that has ended its side still reads: it gets its answers.
        return
      default:
    }
  }

  onDrain(): void {
    this.#exchange?.onDownstreamDrain()
    if (this.#state === LINGERING && this.#clientEnded) this.socket.close()
    else if (this.#state === IDLE && this.#stash !== undefined) this.#resumeStash()
  }

  onClose(): void {
    this.#cancelHold?.()
    this.#deps.wheel.disarm(this)
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.downstreamGone('the client closed the connection')
    this.#home.left(this)
  }

  /** HTTP/1.1 has no way between requests: the next answer carries `Connection: close`. */
  drain(): void {}

  closeIfIdle(): void {
    if (this.#state === IDLE) this.socket.close()
  }
}
