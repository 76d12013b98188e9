/**
 * What is known of other brokers, by their keys in etcd: the last word of each, also while etcd is
 * away. Of one link of one instance only the newest connection counts (§ 15.1).
 */
import type { EtcdEvent, KeyValue } from './etcd/messages.ts'
import {
  type BrokerRecord,
  brokerKey,
  brokerOfKey,
  connId,
  connOfKey,
  type EndpointRecord,
  readRecord,
} from './records.ts'

/** A connection of an instance to another broker. */
export interface Conn {
  readonly broker: string
  /** In key order: one for each service. */
  readonly records: readonly EndpointRecord[]
}

export interface ViewChange {
  readonly brokers: ReadonlySet<string>
  /** Ids of connections (`connId`) that came, went or are different. */
  readonly conns: ReadonlySet<string>
  /** Links of instances (`linkOf`) of which a connection came or went. */
  readonly links: ReadonlySet<string>
}

interface Changed {
  readonly brokers: Set<string>
  readonly conns: Set<string>
  readonly links: Set<string>
}

const nothing = (): Changed => ({ brokers: new Set(), conns: new Set(), links: new Set() })

/** When an instance's link came; what orders two connections of it. */
export interface Arrival {
  readonly epoch: number | undefined
  readonly lateMs: number | undefined
}

/** Whether `a` came after `b`. Not written yet is newest: its epoch is still to come. */
export function isNewer(a: Arrival, b: Arrival): boolean {
  if (a.lateMs !== undefined && b.lateMs !== undefined) return a.lateMs > b.lateMs
  const epochOf = ({ epoch }: Arrival) => epoch ?? Number.POSITIVE_INFINITY
  return epochOf(a) > epochOf(b)
}

/**
 * Which link of which instance; undefined: it may be at several brokers at once.
 *
 * @param principal Whose it is; empty: nobody's. An id is the instance's own word, and by somebody
 *   else's nobody may end a connection.
 */
export function linkOf(
  instance: { readonly id: string; readonly link: number },
  isAlibaba: boolean,
  principal: string,
) {
  // Alibaba's clients dial every broker, and number nothing.
  return isAlibaba ? undefined : JSON.stringify([principal, instance.link, instance.id])
}

export class ClusterView {
  readonly #prefix: string
  readonly #ownId: string
  readonly #brokers = new Map<string, BrokerRecord>()
  readonly #endpoints = new Map<string, EndpointRecord>()
  readonly #keysOfConn = new Map<string, Set<string>>()
  readonly #connsOfLink = new Map<string, Set<string>>()
  readonly #keysOfService = new Map<string, Set<string>>()
  /** Keys that were gone when etcd came back, while their broker is still there. */
  #doubtful = new Set<string>()

  constructor(prefix: string, ownId: string) {
    this.#prefix = prefix
    this.#ownId = ownId
  }

  get brokers(): ReadonlyMap<string, BrokerRecord> {
    return this.#brokers
  }

  /** Connections to one broker. */
  connsAt(broker: string): readonly string[] {
    const prefix = connId(broker, '')
    return [...this.#keysOfConn.keys()].filter((id) => id.startsWith(prefix))
  }

  /** Endpoints of others that are known: one for each service of each connection. */
  get endpoints(): number {
    return this.#endpoints.size
  }

  /** Whether somebody at another broker offers it, reachable or not. */
  offers(service: string): boolean {
    return this.#keysOfService.has(service)
  }

  conn(id: string): Conn | undefined {
    const keys = this.#keysOfConn.get(id)
    const records = [...(keys ?? [])].sort().flatMap((key) => this.#endpoints.get(key) ?? [])
    const [first] = records
    return first === undefined ? undefined : { broker: first.broker, records }
  }

  /** Connections of one link of an instance, at all brokers but ours. */
  connsOf(link: string): Iterable<string> {
    return this.#connsOfLink.get(link) ?? []
  }

  /** When a connection came. */
  arrivalOf(id: string): Arrival {
    const records = this.conn(id)?.records ?? []
    const epochs = records.flatMap(({ epoch }) => epoch ?? [])
    return { epoch: Math.min(...epochs), lateMs: records[0]?.lateMs }
  }

  apply(events: readonly EtcdEvent[]): ViewChange {
    const change = nothing()
    for (const { kind, kv } of events) {
      this.#doubtful.delete(kv.key)
      if (kind === 'put') this.#put(kv, change)
      else this.#remove(kv.key, change)
    }
    return change
  }

  /**
   * Everything that is in etcd. What is there no more goes, except that of brokers that still
   * answer: they have lost their lease with us, and come back by themselves. `dropDoubtful` ends that.
   *
   * @param isThere Whether there is a link to the broker.
   */
  replace(kvs: readonly KeyValue[], isThere: (broker: string) => boolean): ViewChange {
    const change = nothing()
    const present = new Set(kvs.map(({ key }) => key))
    const presentBrokers = new Set(kvs.map(({ key }) => brokerOfKey(this.#prefix, key)))
    for (const kv of kvs) this.#put(kv, change)
    this.#doubtful = new Set()
    for (const key of this.#knownKeys()) {
      if (present.has(key)) continue
      const broker = brokerOfKey(this.#prefix, key) ?? ''
      if (!presentBrokers.has(broker) && isThere(broker)) this.#doubtful.add(key)
      else this.#remove(key, change)
    }
    return change
  }

  get hasDoubts(): boolean {
    return this.#doubtful.size > 0
  }

  dropDoubtful(): ViewChange {
    const change = nothing()
    for (const key of this.#doubtful) this.#remove(key, change)
    this.#doubtful = new Set()
    return change
  }

  *#knownKeys(): Generator<string> {
    for (const id of [...this.#brokers.keys()]) {
      yield brokerKey(this.#prefix, id)
    }
    yield* [...this.#endpoints.keys()]
  }

  #put(kv: KeyValue, change: Changed): void {
    const read = readRecord(this.#prefix, kv.key, kv.value, kv.modRevision)
    if (read === undefined) {
      this.#remove(kv.key, change)
      return
    }
    if (read.kind === 'broker') {
      if (read.record.id === this.#ownId) return
      this.#brokers.set(read.record.id, read.record)
      change.brokers.add(read.record.id)
      return
    }
    const { record } = read
    if (record.broker === this.#ownId) return
    const id = connId(record.broker, record.conn)
    this.#endpoints.set(kv.key, record)
    add(this.#keysOfConn, id, kv.key)
    add(this.#keysOfService, record.service.service, kv.key)
    const link = linkOf(record.instance, record.isAlibaba, record.principal)
    if (link !== undefined) {
      add(this.#connsOfLink, link, id)
      change.links.add(link)
    }
    change.conns.add(id)
  }

  #remove(key: string, change: Changed): void {
    const record = this.#endpoints.get(key)
    const id = connOfKey(this.#prefix, key)
    if (id === undefined) {
      const broker = brokerOfKey(this.#prefix, key)
      if (broker !== undefined && this.#brokers.delete(broker)) change.brokers.add(broker)
      return
    }
    if (!this.#endpoints.delete(key) || record === undefined) return
    drop(this.#keysOfService, record.service.service, key)
    change.conns.add(id)
    if (!drop(this.#keysOfConn, id, key)) return
    const link = linkOf(record.instance, record.isAlibaba, record.principal)
    if (link === undefined) return
    change.links.add(link)
    drop(this.#connsOfLink, link, id)
  }
}

function add(map: Map<string, Set<string>>, key: string, value: string): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, new Set([value]))
  else known.add(value)
}

/** True: it was the last one. */
function drop(map: Map<string, Set<string>>, key: string, value: string): boolean {
  const known = map.get(key)
  known?.delete(value)
  if (known === undefined || known.size > 0) return false
  map.delete(key)
  return true
}
