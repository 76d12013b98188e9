/**
 * Keeps our keys in etcd, and us informed of everybody's. Level-triggered: what ought to be there
 * is known here, whatever is different is written, and every half minute it is compared.
 *
 *     open ─► lease (the old one, if it still lives) ─► our keys ─► everything there is ─► watch
 *       ▲                                                                                  │
 *       └──────────── the connection ends: another member, with a growing pause ◄──────────┘
 *
 * While there is no connection nothing is forgotten: what others have written last stands.
 */
import { backoffMs, type Clock, type Logger } from '@weft/base'
import type { EtcdSession } from './etcd/etcd-session.ts'
import type { EtcdEvent, EtcdOp, KeyValue } from './etcd/messages.ts'

export type Store = Pick<
  EtcdSession,
  'url' | 'range' | 'write' | 'grant' | 'keepAlive' | 'leaseKeys' | 'revoke' | 'watch' | 'end'
>

export interface RegistrarOptions {
  /** All keys of the cluster begin with it; ends with a slash. */
  readonly prefix: string
  /** The key that only one may have; looked at before everything is written again. */
  readonly place: string
  /** As long our keys stay without us, in seconds. */
  readonly ttlS: number
  readonly keepAliveMs: number
  readonly reconcileMs: number
}

export const REGISTRAR_DEFAULTS = { ttlS: 10, keepAliveMs: 3_000, reconcileMs: 30_000 } as const

export interface RegistrarDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Connects to a member; to the next one each time. */
  open(onEnd: (reason: string) => void): Promise<Store>
  /** Everything under the prefix, as of now. */
  onSnapshot(kvs: readonly KeyValue[]): void
  onEvents(events: readonly EtcdEvent[]): void
  /** Our lease was lost, and the place has this value now. */
  onReturn(place: KeyValue): void
  /** A key of ours was written, by this revision. */
  onWritten(key: string, revision: number): void
  /** Compares with what is really connected before keys are compared. */
  onReconcile(): void
  onState(isConnected: boolean): void
}

/** Changes of one moment go in one transaction. */
const GATHER_MS = 5
const BACKOFF = { baseMs: 100, maxMs: 5_000 }

export class Registrar {
  readonly #options: RegistrarOptions
  readonly #deps: RegistrarDeps
  /** What ought to be there; values are made when they are written. */
  readonly #wanted = new Map<string, () => string>()
  /** Keys that may be different in etcd. */
  #dirty = new Set<string>()
  #lease: bigint | undefined
  #hadLease = false
  #store: Store | undefined
  #isReady = false
  #isWriting = false
  /** The next attempt comes by itself. */
  #isWaiting = false
  #failures = 0
  #closed = false
  #problem: string | undefined
  readonly #timers = new Set<() => void>()
  #waiting: (() => void)[] = []

  constructor(options: RegistrarOptions, deps: RegistrarDeps) {
    this.#options = options
    this.#deps = deps
  }

  get isConnected(): boolean {
    return this.#isReady
  }

  /** Why there is no connection; undefined: there is one, or none was tried. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** The member that is asked; empty: none. */
  get member(): string {
    return this.#store?.url ?? ''
  }

  has(key: string): boolean {
    return this.#wanted.has(key)
  }

  /** `value` is asked for each time that the key is written. */
  put(key: string, value: () => string): void {
    this.#wanted.set(key, value)
    this.#touch(key)
  }

  delete(key: string): void {
    this.#wanted.delete(key)
    this.#touch(key)
  }

  /** Nothing of ours is to be there any more; `lost` is somebody else's now. */
  forgetAll(lost: string): void {
    this.#wanted.delete(lost)
    this.#dirty.delete(lost)
    for (const key of [...this.#wanted.keys()]) this.delete(key)
  }

  #touch(key: string): void {
    if (this.#dirty.size === 0) this.#after(GATHER_MS, () => this.#flush())
    this.#dirty.add(key)
  }

  /** Resolves when everything is written that is known now, or the time is over. */
  async settled(limitMs: number): Promise<void> {
    if (this.#dirty.size === 0 && !this.#isWriting) return
    await new Promise<void>((resolve) => {
      const cancel = this.#deps.clock.after(limitMs, resolve)
      this.#waiting.push(() => {
        cancel()
        resolve()
      })
      this.#flush()
    })
  }

  open(): void {
    this.#isWaiting = false
    this.#deps
      .open((reason) => this.#onEnd(reason))
      .then((store) => this.#begin(store))
      .catch((error: unknown) => {
        this.#onEnd(error instanceof Error ? error.message : String(error))
      })
  }

  async #begin(store: Store): Promise<void> {
    if (this.#closed) {
      store.end('closed')
      return
    }
    this.#store = store
    if (this.#lease !== undefined && (await store.keepAlive(this.#lease)) <= 0) {
      this.#lease = undefined
    }
    if (this.#lease === undefined) await this.#takeLease(store)
    else await this.#compare(store)
    await this.#writeDirty(store)
    const { prefix, keepAliveMs, reconcileMs } = this.#options
    const { revision, kvs } = await store.range(prefix)
    this.#deps.onSnapshot(kvs)
    store.watch(prefix, revision + 1, { onEvents: (events) => this.#deps.onEvents(events) })
    this.#failures = 0
    this.#isReady = true
    this.#problem = undefined
    this.#deps.log.info('registered in etcd', { member: store.url, keys: this.#wanted.size })
    this.#deps.onState(true)
    this.#every(keepAliveMs, () => this.#keepAlive(store))
    this.#every(reconcileMs, () => this.#reconcile(store))
    this.#flush()
  }

  /** All keys go with the lease, so all are written anew. */
  async #takeLease(store: Store): Promise<void> {
    const { ttlS, place } = this.#options
    if (this.#hadLease) {
      const { kvs } = await store.range(place)
      for (const kv of kvs) if (kv.key === place) this.#deps.onReturn(kv)
    }
    this.#lease = await store.grant(ttlS)
    this.#hadLease = true
    for (const key of this.#wanted.keys()) this.#dirty.add(key)
  }

  async #keepAlive(store: Store): Promise<void> {
    if (this.#lease === undefined || (await store.keepAlive(this.#lease)) > 0) return
    this.#deps.log.warn('the lease in etcd is lost: everything is registered again')
    await this.#takeLease(store)
    this.#flush()
  }

  async #reconcile(store: Store): Promise<void> {
    this.#deps.onReconcile()
    await this.#compare(store)
    this.#flush()
  }

  async #compare(store: Store): Promise<void> {
    if (this.#lease === undefined) return
    const { ttlS, keys } = await store.leaseKeys(this.#lease)
    if (ttlS <= 0) {
      await this.#takeLease(store)
      return
    }
    const there = new Set(keys)
    const missing = [...this.#wanted.keys()].filter((key) => !there.has(key))
    const extra = keys.filter((key) => !this.#wanted.has(key))
    for (const key of [...missing, ...extra]) this.#dirty.add(key)
  }

  #flush(): void {
    const store = this.#store
    if (!this.#isReady || this.#isWriting || store === undefined) return
    this.#writeDirty(store).then(
      () => {
        if (this.#dirty.size > 0) this.#flush()
      },
      () => {
        // The session ends with whatever fails, and says so.
      },
    )
  }

  async #writeDirty(store: Store): Promise<void> {
    const keys = this.#dirty
    const lease = this.#lease
    if (keys.size > 0 && lease !== undefined) {
      this.#dirty = new Set()
      this.#isWriting = true
      try {
        await store.write(this.#opsFor(keys, lease), (batch, revision) => {
          for (const { kind, key } of batch) {
            keys.delete(key)
            if (kind === 'put') this.#deps.onWritten(key, revision)
          }
        })
      } finally {
        this.#isWriting = false
        for (const key of keys) this.#dirty.add(key)
      }
    }
    if (this.#dirty.size > 0) return
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  #opsFor(keys: ReadonlySet<string>, lease: bigint): readonly EtcdOp[] {
    return [...keys].map((key): EtcdOp => {
      const value = this.#wanted.get(key)
      if (value === undefined) return { kind: 'delete', key }
      return { kind: 'put', key, value: value(), lease }
    })
  }

  #onEnd(reason: string): void {
    // The first one who notices says why.
    if (this.#closed || this.#isWaiting) return
    this.#isWaiting = true
    const wasReady = this.#isReady
    this.#isReady = false
    this.#store?.end(reason)
    this.#store = undefined
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    if (this.#problem === undefined) this.#deps.log.warn('etcd is not reached', { reason })
    this.#problem = reason
    if (wasReady) this.#deps.onState(false)
    const delayMs = backoffMs(BACKOFF, this.#failures++, this.#deps.random)
    this.#after(delayMs, () => this.open())
  }

  #after(delayMs: number, then: () => void): void {
    const cancel = this.#deps.clock.after(delayMs, () => {
      this.#timers.delete(cancel)
      then()
    })
    this.#timers.add(cancel)
  }

  #every(periodMs: number, work: () => Promise<void>): void {
    this.#after(periodMs, () => {
      const store = this.#store
      const again = () => {
        if (this.#store === store && !this.#closed) this.#every(periodMs, work)
      }
      // A call that fails ends the session, which begins again.
      work().then(again, () => undefined)
    })
  }

  /** Takes our keys away, as far as etcd can be reached. */
  async close(): Promise<void> {
    this.#closed = true
    this.#isReady = false
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    for (const resolve of this.#waiting.splice(0)) resolve()
    const store = this.#store
    if (store === undefined) return
    if (this.#lease !== undefined) await store.revoke(this.#lease).catch(() => undefined)
    store.end('closed')
  }
}
