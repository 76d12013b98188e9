/**
 * One ADS stream: bytes in, frames out. What to send and when is decided by `flush.ts`; this file
 * only moves it, and stops when the client does not read.
 */
import type { ServerHttp2Stream } from 'node:http2'
import type { Clock } from '@weft/base'
import { type ClientKind, clientKind, type XdsNode } from '../node.ts'
import { FrameError, FrameReader } from '../wire/grpc-frames.ts'
import type { XdsPeer } from './ads-server.ts'
import { flush } from './flush.ts'
import { GRPC_STATUS } from './grpc-call.ts'
import type { Quarantine } from './quarantine.ts'
import type { Answered, DeltaRequest, SotwRequest } from './receive.ts'
import { receiveDelta, receiveSotw } from './receive.ts'
import type { View } from './registry.ts'
import { readDelta, readSotw } from './requests.ts'
import type { ResponseFrames } from './response-frames.ts'
import { isIdle, isSubscribed, markAll, openStream, type StreamState } from './stream-state.ts'

/** Names of a large mesh in one request; more is somebody else's traffic. */
const MAX_REQUEST_BYTES = 16 * 1_048_576
/** R9: what waits in memory for a client that does not read. */
const HIGH_BYTES = 1_048_576
const STALLED_MS = 60_000

export interface ConnectionDeps {
  readonly clock: Clock
  readonly frames: ResponseFrames
  readonly quarantine: Quarantine
  viewOf(key: string): View | undefined
  /** The first request; a text refuses the stream, `undefined` takes it. */
  onNode(connection: Connection): string | undefined
  onAnswer(connection: Connection, typeUrl: string, answered: Answered): void
  /** True when the request was not for resources and is dealt with. */
  takesRequest(connection: Connection, typeUrl: string, error: string | undefined): boolean
  onSent(bytes: number): void
  onEnd(connection: Connection): void
}

export class Connection {
  readonly id: number
  readonly protocol: 'sotw' | 'delta'
  readonly peer: XdsPeer
  readonly connectedAtMs: number
  /** Fixed when the node is known. */
  viewKey = ''
  ackedGeneration: string | undefined
  /** Had, or has, one of the places for initial pushes. */
  admitted = false
  /** While it has the place: ends the wait for it to be given back. */
  cancelPlace: (() => void) | undefined
  /** Waits in the queue of streams to be flushed. */
  queued = false
  readonly #deps: ConnectionDeps
  readonly #stream: ServerHttp2Stream
  readonly #reader = new FrameReader(MAX_REQUEST_BYTES)
  #node: XdsNode | undefined
  #kind: ClientKind = 'envoy'
  #state: StreamState
  #cancelWake: (() => void) | undefined
  #cancelStall: (() => void) | undefined
  #sawView = false
  #ended = false
  #status: number = GRPC_STATUS.ok
  #statusText = ''

  constructor(
    id: number,
    protocol: 'sotw' | 'delta',
    stream: ServerHttp2Stream,
    peer: XdsPeer,
    deps: ConnectionDeps,
  ) {
    this.id = id
    this.protocol = protocol
    this.#stream = stream
    this.#deps = deps
    this.connectedAtMs = deps.clock.nowMs()
    this.#state = openStream(protocol, this.#kind, deps.clock.monotonicMs())
    this.peer = peer
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    )
    stream.on('wantTrailers', () => {
      stream.sendTrailers({
        'grpc-status': String(this.#status),
        ...(this.#statusText === '' ? {} : { 'grpc-message': encodeURI(this.#statusText) }),
      })
    })
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.on('drain', () => this.#drained())
    stream.on('end', () => this.end(GRPC_STATUS.ok, ''))
    // Resets and lost connections are ordinary; `close` follows and says all there is to do.
    stream.on('error', () => {})
    stream.on('close', () => this.#closed())
  }

  get node(): XdsNode | undefined {
    return this.#node
  }

  get kind(): ClientKind {
    return this.#kind
  }

  get state(): StreamState {
    return this.#state
  }

  /** Sends what may be sent now. */
  flush(): void {
    if (this.#ended || this.#node === undefined || !this.admitted) return
    if (this.#stream.writableLength > HIGH_BYTES) {
      this.#stalled()
      return
    }
    const view = this.#deps.viewOf(this.viewKey)
    if (view === undefined) return
    const { quarantine } = this.#deps
    if (!this.#sawView) {
      this.#sawView = true
      markAll(this.#state, view)
    }
    // Hot: after most ACKs there is nothing to do.
    if (isIdle(this.#state)) {
      this.noteGeneration(view)
      return
    }
    this.#cancelWake?.()
    this.#cancelWake = undefined
    const nowMs = this.#deps.clock.monotonicMs()
    const { wakeAtMs } = flush(
      this.#state,
      quarantine.filter(view, this.#kind),
      nowMs,
      (response, lastNonce) => {
        const { nonce, bytes } = this.#deps.frames.frameOf(this.protocol, response, lastNonce)
        this.#stream.write(bytes)
        this.#deps.onSent(bytes.length)
        return nonce
      },
    )
    if (wakeAtMs !== undefined) {
      this.#cancelWake = this.#deps.clock.after(Math.max(1, wakeAtMs - nowMs), () => this.flush())
    }
    this.noteGeneration(view)
  }

  /** Everything of this generation was accepted, if nothing is open and nothing was refused. */
  noteGeneration(view: View): void {
    if (this.ackedGeneration === view.generation) return
    if (this.#state.refused > 0 || !isIdle(this.#state) || this.#misses(view)) return
    this.ackedGeneration = view.generation
  }

  /** Whether something of the view that it asked for is held back from it. */
  #misses(view: View): boolean {
    const { quarantine } = this.#deps
    if (quarantine.isEmpty) return false
    return quarantine.list().some(({ kind, typeUrl, name, version }) => {
      const type = kind === this.#kind ? this.#state.types.get(typeUrl) : undefined
      if (type === undefined || !isSubscribed(type, name)) return false
      return view.get(typeUrl, name)?.version === version
    })
  }

  /** Ends the stream with a gRPC status. */
  end(status: number, text: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#status = status
    this.#statusText = text
    this.#stream.end()
  }

  #read(chunk: Buffer): void {
    if (this.#ended) return
    try {
      for (const message of this.#reader.read(chunk)) this.#receive(message)
    } catch (error) {
      const status = error instanceof FrameError ? error.status : GRPC_STATUS.invalidArgument
      this.end(status, error instanceof Error ? error.message : String(error))
    }
  }

  #receive(message: Buffer): void {
    if (this.#ended) return
    if (this.protocol === 'delta') {
      const { request, node } = readDelta(message)
      if (!this.#isForResources(request, node)) return
      const { view, nowMs } = this.#now()
      this.#answered(request, receiveDelta(this.#state, request, view, nowMs))
    } else {
      const { request, node } = readSotw(message)
      if (!this.#isForResources(request, node)) return
      const { view, nowMs } = this.#now()
      this.#answered(request, receiveSotw(this.#state, request, view, nowMs))
    }
  }

  #isForResources(
    { typeUrl, error }: DeltaRequest | SotwRequest,
    node: XdsNode | undefined,
  ): boolean {
    if (this.#node === undefined && !this.#introduce(node)) return false
    return !this.#deps.takesRequest(this, typeUrl, error)
  }

  #now(): { readonly view: View | undefined; readonly nowMs: number } {
    return { view: this.#deps.viewOf(this.viewKey), nowMs: this.#deps.clock.monotonicMs() }
  }

  #answered({ typeUrl }: DeltaRequest | SotwRequest, answered: Answered | undefined): void {
    if (answered !== undefined) this.#deps.onAnswer(this, typeUrl, answered)
    this.flush()
  }

  /** P1: who it is comes with the first request, and holds for the stream. */
  #introduce(node: XdsNode | undefined): boolean {
    if (node === undefined) {
      this.end(GRPC_STATUS.invalidArgument, 'the first request has no node')
      return false
    }
    this.#node = node
    this.#kind = clientKind(node)
    this.#state = openStream(this.protocol, this.#kind, this.#deps.clock.monotonicMs())
    const refusal = this.#deps.onNode(this)
    if (refusal === undefined) return true
    this.#node = undefined
    this.end(GRPC_STATUS.permissionDenied, refusal)
    return false
  }

  /** R9: only what the transport does not take counts; an answer may be kept back for good reasons. */
  #stalled(): void {
    this.#cancelStall ??= this.#deps.clock.after(STALLED_MS, () => {
      this.end(GRPC_STATUS.deadlineExceeded, 'the client does not read')
      // Trailers would queue behind all that it does not read.
      this.#stream.destroy()
    })
  }

  #drained(): void {
    this.#cancelStall?.()
    this.#cancelStall = undefined
    this.flush()
  }

  #closed(): void {
    this.#ended = true
    this.#cancelWake?.()
    this.#cancelStall?.()
    this.#deps.onEnd(this)
  }
}
