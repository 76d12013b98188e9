/**
 * Copies of requests for clusters that only watch. Fire and forget: a copy has
 * its own connection, its answer is read and thrown away, and whatever happens
 * to it, the request it was copied from does not notice.
 *
 * A request is copied when it is complete, if it is small enough to be held till then; a copy
 * must not make the original wait for memory.
 */
import type { Timed } from '@weft/net'
import { type CompiledForward, FIRST_PICK, type Host, mirrorsOf } from '@weft/traffic'
import { type HeadTarget, MessageHead, OutBuffer, parseResponseHead } from '@weft/wire'
import type { UpstreamCluster } from '../upstream/cluster.ts'
import type { HttpPool } from '../upstream/pool.ts'
import type { UpstreamSide, UpstreamUser } from '../upstream/upstream-user.ts'
import { filteredFields, poolFor } from './attempt.ts'
import { BodyRelay } from './body-relay.ts'
import type { EngineDeps } from './contract.ts'
import type { Exchange } from './exchange.ts'
import { out } from './shared-out.ts'
import { writeRequestHead } from './write-request.ts'

const TIMEOUT_MS = 15_000
const HEAD_LIMIT_BYTES = 61_440
const MAX_HEAD_BYTES = 65_536

/** Now, or when the request's body is here: see `mirrorComplete`. */
export function sendMirrors(x: Exchange, action: CompiledForward): void {
  if (x.upgrade) return
  x.request.mirrorsWait = !x.request.done
  if (x.request.done) mirror(x, action)
}

/** The body of a request that was forwarded already is complete. */
export function mirrorComplete(x: Exchange): void {
  if (!x.request.mirrorsWait) return
  x.request.mirrorsWait = false
  if (x.action !== undefined && !x.discarding) mirror(x, x.action)
}

function mirror(x: Exchange, action: CompiledForward): void {
  if (!x.replayable) return
  for (const { cluster: name } of mirrorsOf(action.source, x.deps.random)) {
    const cluster = x.runtime.clusters.get(name)
    const host = cluster?.pick(FIRST_PICK)
    if (cluster === undefined || host === undefined || !cluster.limits.admitRequest()) continue
    const { protocol } = cluster.model.http
    const isHttp2 = protocol === 'http2' || (protocol === 'downstream' && x.downstream.multiplexed)
    const copy = copyOf(x, isHttp2)
    new MirrorCall(copy, x.view.method === 'HEAD', poolFor(x, cluster, host), x.deps)
  }
}

/** As the original would go out, with `-shadow` behind the host name (Envoy). */
function copyOf(x: Exchange, isHttp2: boolean): RequestCopy {
  const { plan, runtime, request } = x
  const copy = new OutBuffer()
  const [host = '', port] = splitPort(x.authority)
  plan.bytes = x.headBytes
  plan.path = x.canonicalPath
  plan.authority = `${host}-shadow${port ?? ''}`
  plan.upgrade = false
  plan.multiplexed = isHttp2
  plan.grpcTimeoutMs = 0
  plan.chunked = !isHttp2 && request.framing === 'stream' && x.head.contentLength < 0
  plan.edge = runtime.manager.useRemoteAddress
  plan.clientCert = runtime.manager.forwardClientCert
  plan.trustedHops = runtime.manager.xffTrustedHops
  plan.attempts = 1
  plan.timeoutMs = 0
  plan.generateId = runtime.manager.generateRequestId
  plan.route = filteredFields(x, undefined)
  plan.stamps = undefined
  writeRequestHead(plan, copy)
  const headLength = copy.length
  copy.append(x.held.bytes.subarray(0, x.held.length))
  const isStream = request.framing === 'stream' && x.head.contentLength < 0
  const open = request.framing === 'chunked' || isStream
  const trailers = linesOf(request.trailers)
  return { isHttp2, bytes: copy.bytes, headLength, length: copy.length, open, trailers }
}

/** The request's own go with it; the copy may be sent later. */
function linesOf(lines: OutBuffer | undefined): OutBuffer | undefined {
  if (lines === undefined) return undefined
  const copy = new OutBuffer(lines.length)
  copy.copy(lines.bytes, 0, lines.length)
  return copy
}

interface RequestCopy {
  readonly isHttp2: boolean
  readonly bytes: Buffer
  /** Head, then the body's data. */
  readonly headLength: number
  readonly length: number
  /** Nobody told the body's length before it came. */
  readonly open: boolean
  readonly trailers: OutBuffer | undefined
}

function splitPort(authority: string): [host: string, port: string | undefined] {
  const colon = authority.lastIndexOf(':')
  if (colon <= authority.lastIndexOf(']')) return [authority, undefined]
  return [authority.slice(0, colon), authority.slice(colon)]
}

class MirrorCall implements UpstreamUser, Timed {
  deadlineTick = 0
  slotTick = 0
  readonly #request: RequestCopy
  readonly #isHead: boolean
  readonly #pool: HttpPool
  readonly #cluster: UpstreamCluster
  readonly #host: Host
  readonly #deps: EngineDeps
  readonly #head = new MessageHead()
  readonly #body = new BodyRelay()
  #target: HeadTarget | undefined
  #headDone = false
  #kept: Buffer = Buffer.alloc(0)
  #connection: UpstreamSide | undefined
  #over = false

  constructor(request: RequestCopy, isHead: boolean, pool: HttpPool, deps: EngineDeps) {
    this.#request = request
    this.#isHead = isHead
    this.#pool = pool
    this.#cluster = pool.cluster
    this.#host = pool.host
    this.#deps = deps
    pool.host.activeRequests++
    const nowMs = deps.clock.monotonicMs()
    deps.wheel.arm(this, TIMEOUT_MS, nowMs)
    if (request.isHttp2) pool.acquireStream(this)
    else pool.acquire(this, false, nowMs)
  }

  onUpstreamReady(connection: UpstreamSide): void {
    if (this.#over) {
      connection.discard()
      return
    }
    this.#connection = connection
    const { bytes, headLength, length, open, trailers } = this.#request
    const body = new BodyRelay()
    body.start(open ? 'stream' : 'none', 0, open && !connection.multiplexed)
    body.trailers = trailers
    out.clear()
    out.copy(bytes, 0, headLength)
    body.append(bytes, headLength, length, out)
    body.finish(out)
    connection.send(headLength, true, trailers)
  }

  onUpstreamFailed(): void {
    this.#end()
  }

  onUpstreamData(bytes: Buffer, length: number): void {
    let at = 0
    if (!this.#headDone) {
      this.#kept = Buffer.concat([this.#kept, bytes.subarray(0, length)])
      const before = this.#kept.length - length
      const end = parseResponseHead(this.#head, this.#kept, 0, this.#kept.length, HEAD_LIMIT_BYTES)
      if (end < 0 || this.#kept.length > MAX_HEAD_BYTES + length) {
        this.#drop()
        return
      }
      if (end === 0) return
      if (this.#head.status < 200) {
        // Interim answers to a copy are rare: simplest is to give the copy up.
        this.#drop()
        return
      }
      this.#headDone = true
      at = end - before
      this.#startBody()
    }
    if (at < length && !this.#body.done) at = this.#body.relay(bytes, at, length, undefined)
    if (at < 0 || (this.#body.done && at < length)) this.#drop()
    else if (this.#body.done) this.#finish()
  }

  #startBody(): void {
    const { status, chunked, contentLength } = this.#head
    if (this.#isHead || status === 204 || status === 304) this.#body.start('none', 0, false)
    else if (chunked) this.#body.start('chunked', 0, false)
    else if (contentLength >= 0) this.#body.start('fixed', contentLength, false)
    else this.#body.start('untilClose', 0, false)
  }

  #finish(): void {
    const connection = this.#connection
    this.#connection = undefined
    if (this.#head.connectionClose || this.#head.minor === 0) connection?.discard()
    else connection?.release(this.#deps.clock.monotonicMs())
    this.#end()
  }

  get answerTarget(): HeadTarget {
    this.#head.reset()
    this.#target ??= { head: this.#head, headBytes: Buffer.alloc(1_024), headLength: 0 }
    this.#target.headLength = 0
    return this.#target
  }

  onUpstreamHead(last: boolean): void {
    if (last) this.#finish()
  }

  onUpstreamBody(_bytes: Buffer, _from: number, _end: number, last: boolean): void {
    if (last) this.#finish()
  }

  onUpstreamTrailers(): void {
    this.#finish()
  }

  onUpstreamReset(): void {
    this.#drop()
  }

  onUpstreamEnd(): void {
    this.#drop()
  }

  onUpstreamDrain(): void {}

  onUpstreamGone(): void {
    this.#connection = undefined
    this.#end()
  }

  onDeadline(): void {
    this.#pool.abandon(this)
    this.#drop()
  }

  #drop(): void {
    const connection = this.#connection
    this.#connection = undefined
    connection?.discard()
    this.#end()
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#deps.wheel.disarm(this)
    this.#host.activeRequests--
    this.#cluster.limits.release('requests')
  }
}
