/** Test support: an etcd in memory, which can be stopped, forget a lease, and is looked into. */
import type { Clock } from '@weft/base'
import { batchesOf } from './etcd/batches.ts'
import type { WatchHandler } from './etcd/etcd-session.ts'
import type { EtcdEvent, EtcdOp, KeyValue } from './etcd/messages.ts'
import type { Store } from './registrar.ts'

interface Lease {
  readonly ttlS: number
  endsAtMs: number
}

interface Kept extends KeyValue {
  readonly lease: bigint
}

export class ModelEtcd {
  readonly #clock: Clock
  readonly kvs = new Map<string, Kept>()
  readonly #leases = new Map<bigint, Lease>()
  readonly #stores = new Set<ModelStore>()
  /** Sizes of the transactions that came. */
  readonly batches: number[] = []
  revision = 1
  isDown = false
  #nextLease = 1n

  constructor(clock: Clock) {
    this.#clock = clock
  }

  open(onEnd: (reason: string) => void): Promise<Store> {
    if (this.isDown) return Promise.reject(new Error('connection refused'))
    const store = new ModelStore(this, onEnd)
    this.#stores.add(store)
    return Promise.resolve(store)
  }

  stop(): void {
    this.isDown = true
    for (const store of [...this.#stores]) store.end('connection reset')
  }

  /** Leases live on from now, as a leader that begins has it. */
  start(): void {
    this.isDown = false
    for (const lease of this.#leases.values()) {
      lease.endsAtMs = this.#clock.monotonicMs() + lease.ttlS * 1_000
    }
  }

  forget(store: ModelStore): void {
    this.#stores.delete(store)
  }

  /** Ends what is over. */
  expire(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [id, { endsAtMs }] of this.#leases) if (endsAtMs <= nowMs) this.revoke(id)
  }

  /** As an operator would, or time. */
  revokeAll(): void {
    for (const id of [...this.#leases.keys()]) this.revoke(id)
  }

  revoke(id: bigint): void {
    this.#leases.delete(id)
    const keys = [...this.kvs.values()].filter(({ lease }) => lease === id)
    if (keys.length > 0) this.write(keys.map(({ key }) => ({ kind: 'delete', key })))
  }

  grant(ttlS: number): bigint {
    const id = this.#nextLease++
    this.#leases.set(id, { ttlS, endsAtMs: this.#clock.monotonicMs() + ttlS * 1_000 })
    return id
  }

  keepAlive(id: bigint): number {
    const lease = this.#leases.get(id)
    if (lease === undefined) return 0
    lease.endsAtMs = this.#clock.monotonicMs() + lease.ttlS * 1_000
    return lease.ttlS
  }

  keysOf(id: bigint): { lease: bigint; ttlS: number; keys: string[] } {
    const keys = [...this.kvs.values()].filter(({ lease }) => lease === id).map(({ key }) => key)
    return { lease: id, ttlS: this.#leases.get(id)?.ttlS ?? -1, keys }
  }

  write(ops: readonly EtcdOp[]): number {
    const revision = ++this.revision
    const events = ops.map((op): EtcdEvent => {
      const { key } = op
      if (op.kind === 'delete') {
        this.kvs.delete(key)
        return { kind: 'delete', kv: { key, value: Buffer.alloc(0), modRevision: revision } }
      }
      if (!this.#leases.has(op.lease)) throw new Error('etcdserver: requested lease not found')
      const kv = { key, value: Buffer.from(op.value), modRevision: revision, lease: op.lease }
      this.kvs.set(key, kv)
      return { kind: 'put', kv }
    })
    for (const store of this.#stores) store.tell(events, revision)
    return revision
  }
}

class ModelStore implements Store {
  readonly url = 'model'
  readonly #etcd: ModelEtcd
  readonly #onEnd: (reason: string) => void
  #handler: WatchHandler | undefined
  #ended = false

  constructor(etcd: ModelEtcd, onEnd: (reason: string) => void) {
    this.#etcd = etcd
    this.#onEnd = onEnd
  }

  async range(prefix: string) {
    await this.#turn()
    const kvs = [...this.#etcd.kvs.values()].filter(({ key }) => key.startsWith(prefix))
    return { revision: this.#etcd.revision, kvs }
  }

  async write(
    ops: readonly EtcdOp[],
    done: (batch: readonly EtcdOp[], revision: number) => void,
  ): Promise<void> {
    for (const batch of batchesOf(ops)) {
      await this.#turn()
      this.#etcd.batches.push(batch.length)
      done(batch, this.#etcd.write(batch))
    }
  }

  async grant(ttlS: number): Promise<bigint> {
    await this.#turn()
    return this.#etcd.grant(ttlS)
  }

  async keepAlive(lease: bigint): Promise<number> {
    await this.#turn()
    return this.#etcd.keepAlive(lease)
  }

  async leaseKeys(lease: bigint) {
    await this.#turn()
    return this.#etcd.keysOf(lease)
  }

  async revoke(lease: bigint): Promise<void> {
    await this.#turn()
    this.#etcd.revoke(lease)
  }

  watch(_prefix: string, _from: number, handler: WatchHandler): void {
    this.#handler = handler
  }

  tell(events: readonly EtcdEvent[], revision: number): void {
    const handler = this.#handler
    queueMicrotask(() => {
      if (!this.#ended) handler?.onEvents(events, revision)
    })
  }

  async #turn(): Promise<void> {
    await Promise.resolve()
    if (this.#ended) throw new Error('the connection was closed')
    if (!this.#etcd.isDown) return
    this.end('connection reset')
    throw new Error('connection reset')
  }

  end(reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#etcd.forget(this)
    this.#onEnd(reason)
  }
}
