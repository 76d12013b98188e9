/**
 * One gRPC call that the proxy itself makes, over a cluster as every request goes: its endpoints,
 * its TLS, its limits, its outlier detection.
 */
import type { Clock } from '@weft/base'
import { FIRST_PICK, type Host } from '@weft/traffic'
import { type HeadTarget, MessageHead } from '@weft/wire'
import { out } from '../exchange/shared-out.ts'
import type { UpstreamCluster } from './cluster.ts'
import { fieldText, requestText } from './health-probe.ts'
import type { HttpPool } from './pool.ts'
import type { UpstreamSide, UpstreamUser } from './upstream-user.ts'

export interface GrpcQuestion {
  /** `/package.Service/Method`. */
  readonly path: string
  readonly authority: string
  /** In milliseconds, > 0. */
  readonly timeoutMs: number
  readonly message: Uint8Array
}

/** An answer is a few hundred bytes. */
const MAX_ANSWER_BYTES = 65_536
const PREFIX_BYTES = 5
const OK = '0'

/** @returns Cancels. `done` is called once unless cancelled: the answer's message, or `undefined`. */
export function callGrpc(
  cluster: UpstreamCluster,
  question: GrpcQuestion,
  clock: Clock,
  done: (message: Uint8Array | undefined) => void,
): () => void {
  const host = cluster.pick(FIRST_PICK)
  if (host === undefined || !cluster.limits.admitRequest()) {
    done(undefined)
    return () => {}
  }
  const { authority } = question
  const pool = cluster.separates ? cluster.poolFor(host, { authority }) : cluster.poolOf(host)
  const call = new GrpcCall(pool, host, question, clock, done)
  call.start()
  return () => call.cancel()
}

class GrpcCall implements UpstreamUser {
  readonly #pool: HttpPool
  readonly #host: Host
  readonly #question: GrpcQuestion
  readonly #clock: Clock
  readonly #done: (message: Uint8Array | undefined) => void
  readonly #head = new MessageHead()
  readonly #startedMs: number
  #target: HeadTarget = { head: this.#head, headBytes: Buffer.alloc(512), headLength: 0 }
  #body = Buffer.alloc(0)
  #status: number | undefined
  #connection: UpstreamSide | undefined
  #cancelTimer: (() => void) | undefined
  #over = false

  constructor(
    pool: HttpPool,
    host: Host,
    question: GrpcQuestion,
    clock: Clock,
    done: (message: Uint8Array | undefined) => void,
  ) {
    this.#pool = pool
    this.#host = host
    this.#question = question
    this.#clock = clock
    this.#done = done
    this.#startedMs = clock.monotonicMs()
  }

  start(): void {
    this.#host.activeRequests++
    this.#cancelTimer = this.#clock.after(this.#question.timeoutMs, () => this.#fail())
    this.#pool.acquireStream(this)
  }

  cancel(): void {
    if (this.#over) return
    this.#end()
    this.#giveUp()
  }

  onUpstreamReady(connection: UpstreamSide): void {
    if (this.#over) {
      connection.discard()
      return
    }
    this.#connection = connection
    const { path, authority, timeoutMs, message } = this.#question
    const timeout = `grpc-timeout: ${Math.ceil(timeoutMs)}m`
    const head = requestText('POST', path, authority, [
      ...['content-type: application/grpc', 'te: trailers', timeout, 'user-agent: weft'],
    ])
    const prefix = Buffer.alloc(PREFIX_BYTES)
    prefix.writeUInt32BE(message.length, 1)
    out.clear()
    for (const part of [head, prefix, message]) {
      out.copy(Buffer.isBuffer(part) ? part : Buffer.from(part), 0, part.length)
    }
    connection.send(head.length, true, undefined)
  }

  onUpstreamFailed(): void {
    this.#fail()
  }

  /** HTTP/2 only. */
  onUpstreamData(): void {
    this.#fail()
  }

  get answerTarget(): HeadTarget {
    this.#head.reset()
    this.#target.headLength = 0
    return this.#target
  }

  onUpstreamHead(last: boolean): void {
    const { status } = this.#head
    if (status < 200) return
    this.#status = status
    if (status !== 200) this.#fail()
    else if (last) this.#conclude(this.#target)
  }

  onUpstreamBody(bytes: Buffer, from: number, end: number, last: boolean): void {
    this.#body = Buffer.concat([this.#body, bytes.subarray(from, end)])
    // A gRPC answer ends with trailers.
    if (last || this.#body.length > MAX_ANSWER_BYTES) this.#fail()
  }

  onUpstreamTrailers(trailers: HeadTarget): void {
    this.#conclude(trailers)
  }

  onUpstreamReset(): void {
    this.#connection = undefined
    this.#fail()
  }

  onUpstreamEnd(): void {
    this.#fail()
  }

  onUpstreamDrain(): void {}

  onUpstreamGone(): void {
    this.#connection = undefined
    this.#fail()
  }

  #conclude({ head, headBytes }: HeadTarget): void {
    if (this.#over) return
    const isOk = fieldText(head, headBytes, 'grpc-status') === OK
    const connection = this.#connection
    this.#connection = undefined
    connection?.release(this.#clock.monotonicMs())
    this.#judge()
    this.#end()
    this.#done(isOk ? messageIn(this.#body) : undefined)
  }

  #fail(): void {
    if (this.#over) return
    this.#judge()
    this.#end()
    this.#giveUp()
    this.#done(undefined)
  }

  #judge(): void {
    const nowMs = this.#clock.monotonicMs()
    const latencyMs = nowMs - this.#startedMs
    const status = this.#status
    const result = status === undefined ? { latencyMs } : { status, latencyMs }
    this.#pool.cluster.noteDone(this.#host, result, nowMs)
  }

  #giveUp(): void {
    const connection = this.#connection
    this.#connection = undefined
    if (connection === undefined) this.#pool.abandon(this)
    else connection.discard()
  }

  #end(): void {
    this.#over = true
    this.#cancelTimer?.()
    this.#host.activeRequests--
    this.#pool.cluster.limits.release('requests')
  }
}

/** One message, not compressed; anything else is no answer. */
function messageIn(bytes: Buffer): Uint8Array | undefined {
  if (bytes.length < PREFIX_BYTES || bytes[0] !== 0) return undefined
  const message = bytes.subarray(PREFIX_BYTES)
  return message.length === bytes.readUInt32BE(1) ? message : undefined
}
