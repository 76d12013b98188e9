/**
 * A connection to one etcd member: gRPC over `node:http2`. It ends as a whole – with the first
 * call that gets no answer in time, or whose member has no leader – and whoever holds it opens
 * the next one, to another member.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import type { Clock } from '@weft/base'
import { GrpcFrameReader, grpcFrame } from '@weft/xds'
import { batchesOf } from './batches.ts'
import {
  authenticateAnswer,
  authenticateRequest,
  type EtcdEvent,
  type EtcdOp,
  endOfPrefix,
  grantRequest,
  type KeyValue,
  type LeaseAnswer,
  leaseAnswer,
  leaseRequest,
  METHODS,
  rangeAnswer,
  rangeRequest,
  txnAnswer,
  txnRequest,
  watchNews,
  watchRequest,
} from './messages.ts'

export interface EtcdTarget {
  /** `http://host:2379` or `https://host:2379`. */
  readonly url: string
  /** Of `https`; absent members are Node's defaults. */
  readonly tls?: {
    readonly caPem?: string
    readonly certificate?: { readonly chainPem: string; readonly keyPem: string }
    readonly serverName?: string
  }
  readonly user?: { readonly name: string; readonly password: string }
}

export interface EtcdSessionDeps {
  readonly clock: Clock
  /** Once, whatever ended it. */
  onEnd(reason: string): void
}

export interface WatchHandler {
  onEvents(events: readonly EtcdEvent[], revision: number): void
}

/** Longer than an election takes, shorter than a lease. */
const CALL_MS = 3_000
const MAX_MESSAGE_BYTES = 64 * 1_048_576
const WINDOW_BYTES = 4 * 1_048_576
/** Keys of one answer, which stays below the limit with the longest values that a hello can make. */
const PAGE = 500
const OK = '0'

class EtcdError extends Error {
  override readonly name = 'EtcdError'
}

export class EtcdSession {
  readonly url: string
  readonly #session: ClientHttp2Session
  readonly #deps: EtcdSessionDeps
  #token = ''
  #ended: string | undefined

  private constructor(target: EtcdTarget, deps: EtcdSessionDeps) {
    this.url = target.url
    this.#deps = deps
    const { tls } = target
    this.#session = connect(target.url, {
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
      ...(tls?.caPem === undefined ? {} : { ca: tls.caPem }),
      ...(tls?.certificate === undefined
        ? {}
        : { cert: tls.certificate.chainPem, key: tls.certificate.keyPem }),
      ...(tls?.serverName === undefined ? {} : { servername: tls.serverName }),
    })
    this.#session.on('error', (error) => this.end(error.message))
    this.#session.on('close', () => this.end('the connection was closed'))
    this.#session.on('goaway', () => this.end('the member goes away'))
  }

  /** @throws {EtcdError} When the member cannot be reached, or does not know the user. */
  static async open(target: EtcdTarget, deps: EtcdSessionDeps): Promise<EtcdSession> {
    const session = new EtcdSession(target, deps)
    const { user } = target
    if (user !== undefined) {
      const answer = await session.#call(
        METHODS.authenticate,
        authenticateRequest(user.name, user.password),
      )
      session.#token = authenticateAnswer(answer)
    }
    return session
  }

  get ended(): boolean {
    return this.#ended !== undefined
  }

  /** Everything that begins with `prefix`, as of one revision. */
  async range(prefix: string): Promise<{ revision: number; kvs: readonly KeyValue[] }> {
    const end = endOfPrefix(prefix)
    const kvs: KeyValue[] = []
    let from = prefix
    let revision = 0
    for (;;) {
      const request = rangeRequest(from, end, PAGE, revision)
      const page = rangeAnswer(await this.#call(METHODS.range, request))
      if (revision === 0) revision = page.revision
      kvs.push(...page.kvs)
      const last = page.kvs.at(-1)
      if (!page.hasMore || last === undefined) return { revision, kvs }
      from = `${last.key}\0`
    }
  }

  /**
   * Carries the operations out in batches that etcd takes; each is done whole or not at all.
   *
   * @param done Told of each batch and the revision that it made.
   */
  async write(
    ops: readonly EtcdOp[],
    done: (batch: readonly EtcdOp[], revision: number) => void,
  ): Promise<void> {
    for (const batch of batchesOf(ops)) {
      done(batch, txnAnswer(await this.#call(METHODS.txn, txnRequest(batch))))
    }
  }

  async grant(ttlS: number): Promise<bigint> {
    return leaseAnswer(await this.#call(METHODS.grant, grantRequest(ttlS))).lease
  }

  /** The seconds that the lease has from now; 0 or less: it is lost. */
  async keepAlive(lease: bigint): Promise<number> {
    return leaseAnswer(await this.#call(METHODS.keepAlive, leaseRequest(lease))).ttlS
  }

  /** The keys that end with the lease. */
  async leaseKeys(lease: bigint): Promise<LeaseAnswer> {
    return leaseAnswer(await this.#call(METHODS.timeToLive, leaseRequest(lease, true)))
  }

  async revoke(lease: bigint): Promise<void> {
    await this.#call(METHODS.revoke, leaseRequest(lease))
  }

  /** Changes to keys that begin with `prefix`, from `fromRevision` on, until the session ends. */
  watch(prefix: string, fromRevision: number, handler: WatchHandler): void {
    const stream = this.#request(METHODS.watch)
    this.#read(
      stream,
      (message) => {
        const { events, revision, canceled } = watchNews(message)
        if (events.length > 0) handler.onEvents(events, revision)
        if (canceled !== undefined) this.end(`etcd ends the watch: ${canceled}`)
      },
      (reason) => this.end(`etcd ends the watch: ${reason ?? 'no reason given'}`),
    )
    stream.write(grpcFrame([watchRequest(prefix, endOfPrefix(prefix), fromRevision)]))
  }

  #request(path: string): ClientHttp2Stream {
    if (this.#ended !== undefined) throw new EtcdError(this.#ended)
    return this.#session.request(
      {
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        // A member that lost its peers says so in place of being silent.
        hasleader: 'true',
        ...(this.#token === '' ? {} : { token: this.#token }),
      },
      { endStream: false },
    )
  }

  /** One question, one answer. What gets none ends the session. */
  #call(path: string, message: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | undefined
      const stream = this.#request(path)
      const fail = (reason: string) => {
        cancel()
        const text = `${path.slice(path.lastIndexOf('/') + 1)}: ${reason}`
        this.end(text)
        reject(new EtcdError(text))
      }
      const cancel = this.#deps.clock.after(CALL_MS, () => {
        fail(`no answer in ${CALL_MS} ms`)
        stream.close()
      })
      this.#read(
        stream,
        (bytes) => {
          answer = bytes
        },
        (reason) => {
          if (reason !== undefined || answer === undefined) fail(reason ?? 'no answer')
          else {
            cancel()
            resolve(answer)
          }
        },
      )
      stream.end(grpcFrame([message]))
    })
  }

  /** @param over Called once; undefined: gRPC status 0. */
  #read(
    stream: ClientHttp2Stream,
    onMessage: (message: Buffer) => void,
    over: (reason: string | undefined) => void,
  ): void {
    const reader = new GrpcFrameReader(MAX_MESSAGE_BYTES)
    let isOver = false
    const end = (reason: string | undefined) => {
      if (isOver) return
      isOver = true
      over(reason)
    }
    const status = (headers: Readonly<Record<string, unknown>>) => {
      if (headers['grpc-status'] === OK) end(undefined)
      else if (headers['grpc-status'] !== undefined) end(statusText(headers))
    }
    stream.on('response', (headers) => {
      if (headers[':status'] === 200) status(headers)
      else end(`HTTP status ${headers[':status']}`)
    })
    stream.on('trailers', status)
    stream.on('data', (chunk: Buffer) => {
      try {
        for (const message of reader.read(chunk)) if (!isOver) onMessage(message)
      } catch (error) {
        end(error instanceof Error ? error.message : String(error))
      }
    })
    stream.on('error', (error) => end(error.message))
    stream.on('close', () => end(this.#ended ?? 'the stream was closed'))
  }

  end(reason: string): void {
    if (this.#ended !== undefined) return
    this.#ended = reason
    this.#session.destroy()
    this.#deps.onEnd(reason)
  }
}

function statusText(headers: Readonly<Record<string, unknown>>): string {
  const text = String(headers['grpc-message'] ?? '')
  try {
    return `gRPC status ${headers['grpc-status']}: ${decodeURIComponent(text)}`
  } catch {
    return `gRPC status ${headers['grpc-status']}: ${text}`
  }
}
