/**
 * A broker among others: it registers what is connected to it, learns what is connected to them,
 * and keeps a link to each. What it knows stands while etcd is away.
 *
 *     local legs ─► Registrar ─► etcd ─► ClusterView ─► a leg for each instance at another broker
 *                                                   └─► links, dialled by the lower id
 */
import type { Clock, Logger } from '@weft/base'
import type { Transport } from '@weft/net'
import { RSOCKET_ERROR, readConnectionEvent } from '@weft/wire'
import { tellEvent } from '../announcements.ts'
import type { Broker } from '../broker.ts'
import type { Leg } from '../leg.ts'
import type { Places } from '../mesh/kind-places.ts'
import type { BrokerFacts } from '../peer-facts.ts'
import { type PickDeps, pickLeg } from '../pick-leg.ts'
import type { Refusal } from '../router.ts'
import type { ClusterPort } from './cluster-port.ts'
import type { EtcdEvent, KeyValue } from './etcd/messages.ts'
import type { HopTls } from './hop-tls.ts'
import { LocalEndpoints } from './local-endpoints.ts'
import { type BrokerRow, PeerBroker } from './peer-broker.ts'
import { type BrokerRecord, brokerKey, brokerOfKey, brokerValue } from './records.ts'
import { REGISTRAR_DEFAULTS, Registrar, type Store } from './registrar.ts'
import { ClusterView, type Conn, isNewer, linkOf, type ViewChange } from './view.ts'
import { whenQuiet } from './when-quiet.ts'

export interface ClusterOptions {
  readonly id: string
  /** Of this start; letters and digits. */
  readonly incarnation: string
  /** Keys begin with it; ends with a slash. */
  readonly prefix: string
  /** Empty: not known. */
  readonly zone: string
}

/** Where the broker is, as soon as it listens. */
export interface ClusterPlace {
  /** `host:port` that other brokers dial. */
  readonly addr: string
  /** URIs that applications dial. */
  readonly external: readonly string[]
}

export interface ClusterDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly transport: Transport
  readonly tls: HopTls
  /** Connects to the next member of etcd. */
  openStore(onEnd: (reason: string) => void): Promise<Store>
}

export interface ClusterStatus {
  /** `away`: etcd is not reached, and what is known of others stands. `conflict`: see `#onConflict`. */
  readonly state: 'connected' | 'away' | 'conflict'
  readonly problem: string
  readonly member: string
  /** Since when, in milliseconds. */
  readonly sinceMs: number
  readonly brokers: readonly BrokerRow[]
}

/** Who answers still, but is not in etcd when that comes back, gets so long to return. */
const DOUBT_MS = 15_000
/** How long the others may take to hear that this broker takes no more requests. */
const GONE_MS = 1_000
/** How long etcd may take to hear it. */
const WRITE_MS = 1_000
/** How long what is open may go on over a connection that a newer one has replaced. */
const MOVE_MS = 10_000
/** Another broker has not heard yet, or cannot while etcd is away. No lease is worth a wait. */
const LEFT: Refusal = {
  code: RSOCKET_ERROR.rejected,
  message: 'WEFT-503 the instance has left its broker',
}

export class ClusterMember implements ClusterPort {
  readonly #options: ClusterOptions
  readonly #deps: ClusterDeps
  readonly #registrar: Registrar
  readonly #view: ClusterView
  readonly #local: LocalEndpoints
  readonly #peers = new Map<string, PeerBroker>()
  readonly #pick: PickDeps
  #broker: Broker | undefined
  #place: ClusterPlace = { addr: '', external: [] }
  #state: BrokerRecord['state'] = 'serving'
  #isConflicting = false
  #sinceMs: number
  #told = ''
  #places: Places = {}
  #tellPlaces: (broker: string, places: Places | undefined) => void = () => undefined
  #acks: (() => void)[] = []
  #cancelDoubts: () => void = () => undefined

  constructor(options: ClusterOptions, deps: ClusterDeps) {
    this.#options = options
    this.#deps = deps
    const { prefix, id } = options
    this.#sinceMs = deps.clock.nowMs()
    this.#pick = { random: deps.random, nowMs: () => deps.clock.monotonicMs() }
    this.#view = new ClusterView(prefix, id)
    this.#registrar = new Registrar(
      { prefix, place: brokerKey(prefix, id), ...REGISTRAR_DEFAULTS },
      {
        ...deps,
        open: (onEnd) => deps.openStore(onEnd),
        onSnapshot: (kvs) => this.#onSnapshot(kvs),
        onEvents: (events) => this.#onEvents(events),
        onReturn: ({ key, value }) => this.#lookAtOwn(key, value),
        onWritten: (key, revision) => this.#local.onWritten(key, revision),
        onReconcile: () => this.#reconcile(),
        onState: () => {
          this.#sinceMs = deps.clock.nowMs()
        },
      },
    )
    this.#local = new LocalEndpoints(options, {
      ...{ clock: deps.clock, registrar: this.#registrar },
      onLink: (link) => {
        for (const id of this.#view.connsOf(link)) this.#settle(id)
      },
    })
  }

  /** Of which broker this is the part; before that listens. */
  serve(broker: Broker): void {
    this.#broker = broker
  }

  /** Registers, and goes on as soon as etcd is reached. */
  open(place: ClusterPlace): void {
    this.#place = place
    this.#writeRecord()
    this.#announce()
    this.#registrar.open()
  }

  #writeRecord(): void {
    if (this.#isConflicting) return
    const { prefix, id } = this.#options
    this.#registrar.put(brokerKey(prefix, id), () => brokerValue(this.#record))
  }

  get #record(): BrokerRecord {
    const { id, incarnation, zone } = this.#options
    const { addr, external } = this.#place
    return { id, incarnation, zone, addr, external, state: this.#state, places: this.#places }
  }

  get status(): ClusterStatus {
    const { isConnected, problem = '', member } = this.#registrar
    const known = isConnected ? 'connected' : 'away'
    return {
      state: this.#isConflicting ? 'conflict' : known,
      ...{ problem, member, sinceMs: this.#sinceMs },
      brokers: [...this.#peers.values()].map((peer) => peer.row),
    }
  }

  // What is connected to us

  admit(leg: Leg, { id }: BrokerFacts): string | undefined {
    if (id === this.#options.id) return `WEFT-409 the id ${id} is that of the broker itself`
    return this.#deps.tls.refusal(leg)
  }

  onLocal(leg: Leg): void {
    if (this.#isConflicting) return
    this.#local.add(leg)
  }

  offers(service: string): boolean {
    return this.#view.offers(service)
  }

  setPlaces(places: Places): void {
    this.#places = places
    if (this.#place.addr !== '') this.#writeRecord()
  }

  onPlaces(listener: (broker: string, places: Places | undefined) => void): void {
    this.#tellPlaces = listener
  }

  onLocalGone(leg: Leg): void {
    this.#local.remove(leg)
  }

  #reconcile(): void {
    this.#local.reconcile(this.#broker?.legs ?? [])
  }

  /** A connection of ours, if it can take a request now; a refusal: it never will. */
  #find(conn: string): Leg | Refusal | undefined {
    const leg = this.#local.legOf(conn)
    return leg === undefined ? LEFT : pickLeg([leg], [], this.#pick)
  }

  // Links

  onLink(leg: Leg): void {
    const { broker } = leg.facts
    if (broker === undefined) return
    this.#peer(broker.id).accept(leg)
  }

  onLinkGone(leg: Leg): void {
    const peer = this.#peers.get(leg.facts.broker?.id ?? '')
    peer?.onGone(leg)
    this.#forgetIfUnknown(peer)
  }

  onLinkPush(leg: Leg, metadata: Uint8Array): void {
    const peer = this.#peers.get(leg.facts.broker?.id ?? '')
    if (peer === undefined || peer.onPush(leg, metadata)) return
    const event = readConnectionEvent(metadata)
    if (event?.status === 'draining') peer.avoid()
    else if (event?.status === 'gone') {
      peer.stop()
      // What was chosen in this turn is still on its way to the link.
      this.#deps.clock.after(1, () => tellEvent(leg, { ack: { status: 'gone' } }))
    } else if (event?.ack !== undefined) this.#acks.shift()?.()
  }

  #peer(id: string): PeerBroker {
    let peer = this.#peers.get(id)
    if (peer === undefined) {
      const { id: ownId, incarnation, zone } = this.#options
      const broker = this.#broker
      if (broker === undefined) throw new Error('Cannot link to brokers: the member is not open')
      const own = { id: ownId, incarnation, zone }
      peer = new PeerBroker(id, own, {
        ...{ ...this.#deps, broker },
        find: (conn) => this.#find(conn),
        onUp: () => {
          for (const conn of this.#view.connsAt(id)) this.#settle(conn)
        },
      })
      this.#peers.set(id, peer)
    }
    return peer
  }

  // What etcd says

  #onSnapshot(kvs: readonly KeyValue[]): void {
    const { prefix, id } = this.#options
    if (!kvs.some(({ key }) => key === brokerKey(prefix, id))) this.#takePlaceBack()
    for (const { key, value } of kvs) {
      if (brokerOfKey(prefix, key) !== id || this.#isConflicting) continue
      // Of an earlier start of this broker: its lease may last a little longer.
      if (!this.#registrar.has(key)) this.#registrar.delete(key)
      this.#lookAtOwn(key, value)
    }
    this.#learn(this.#view.replace(kvs, (broker) => this.#peers.get(broker)?.link !== undefined))
    this.#cancelDoubts()
    if (!this.#view.hasDoubts) return
    this.#cancelDoubts = this.#deps.clock.after(DOUBT_MS, () => {
      this.#learn(this.#view.dropDoubtful())
    })
  }

  #onEvents(events: readonly EtcdEvent[]): void {
    const { prefix, id } = this.#options
    for (const { kind, kv } of events) {
      if (kind === 'put') this.#lookAtOwn(kv.key, kv.value)
      else if (kv.key === brokerKey(prefix, id)) this.#takePlaceBack()
    }
    this.#learn(this.#view.apply(events))
  }

  /** Somebody else writes our key: two brokers cannot have one id. The newer one keeps it. */
  #lookAtOwn(key: string, value: Buffer): void {
    const { prefix, id, incarnation } = this.#options
    if (key !== brokerKey(prefix, id) || this.#isConflicting) return
    if (value.toString('utf8').includes(JSON.stringify(incarnation))) return
    this.#isConflicting = true
    this.#deps.log.error(
      'another broker has the same id and takes its place: give each broker an --id of its own',
      { id },
    )
    this.#registrar.forgetAll(key)
    for (const peer of this.#peers.values()) peer.close()
  }

  /** Whoever had our id is gone. */
  #takePlaceBack(): void {
    if (!this.#isConflicting) return
    this.#isConflicting = false
    this.#deps.log.info('the other broker with the same id is gone', { id: this.#options.id })
    this.#writeRecord()
    this.#reconcile()
    const brokers = new Set(this.#view.brokers.keys())
    this.#learn({ brokers, conns: new Set(), links: new Set() })
  }

  #learn({ brokers, conns, links }: ViewChange): void {
    if (this.#isConflicting) return
    for (const id of brokers) {
      const record = this.#view.brokers.get(id)
      this.#tellPlaces(id, record?.places)
      const peer = record === undefined ? this.#peers.get(id) : this.#peer(id)
      peer?.setRecord(record)
      this.#forgetIfUnknown(peer)
    }
    const rivals = [...links].flatMap((link) => [...this.#view.connsOf(link)])
    for (const link of links) this.#yieldIfOlder(link)
    for (const id of new Set([...conns, ...rivals])) this.#settle(id)
    this.#announce()
  }

  /** Of all connections of one link of an instance the newest one stays. */
  #yieldIfOlder(link: string): void {
    const local = this.#local.byLink(link)
    const broker = this.#broker
    if (local === undefined || broker === undefined) return
    const { leg, arrival } = local
    const isOlder = [...this.#view.connsOf(link)].some((id) =>
      isNewer(this.#view.arrivalOf(id), arrival),
    )
    if (!isOlder) return
    const instance = leg.facts.instance?.id ?? ''
    this.#deps.log.info('an instance has a newer connection at another broker', { instance })
    this.#local.moveAway(leg)
    broker.retire(leg)
    tellEvent(leg, { goaway: { deadlineMs: MOVE_MS, replaceWith: [] } })
    whenQuiet(this.#deps.clock, leg, MOVE_MS, () => leg.close())
  }

  /** Whether a connection can be called, and as what, is said to its broker's legs. */
  #settle(id: string): void {
    const owner = decodeURIComponent(id.slice(0, id.indexOf('/')))
    const conn = this.#view.conn(id)
    this.#peers
      .get(owner)
      ?.set(id, conn !== undefined && this.#isNewest(id, conn) ? conn : undefined)
  }

  #isNewest(id: string, { records }: Conn): boolean {
    const [first] = records
    const link = first && linkOf(first.instance, first.isAlibaba, first.principal)
    if (link === undefined) return first !== undefined
    const arrival = this.#view.arrivalOf(id)
    const local = this.#local.byLink(link)
    if (local !== undefined && !isNewer(arrival, local.arrival)) return false
    for (const other of this.#view.connsOf(link)) {
      if (other !== id && isNewer(this.#view.arrivalOf(other), arrival)) return false
    }
    return true
  }

  #forgetIfUnknown(peer: PeerBroker | undefined): void {
    if (peer === undefined || peer.link !== undefined || this.#view.brokers.has(peer.id)) return
    peer.close()
    this.#peers.delete(peer.id)
  }

  /** Applications are told where brokers are. */
  #announce(): void {
    const all = [this.#record, ...this.#view.brokers.values()]
      .filter(({ state }) => state === 'serving')
      .sort((a, b) => (a.id < b.id ? -1 : 1))
    const places = all.flatMap((each) => each.external.map((uri) => ({ uri, zone: each.zone })))
    const text = JSON.stringify(places)
    if (text === this.#told) return
    this.#told = text
    const zones = places.map((each) => each.zone)
    this.#broker?.announceBrokers(
      places.map(({ uri }) => uri),
      zones.some((zone) => zone !== '') ? zones : [],
    )
  }

  /** Where applications may go in place of here. */
  get others(): readonly string[] {
    const serving = [...this.#view.brokers.values()].filter(({ state }) => state === 'serving')
    return serving.flatMap(({ external }) => external)
  }

  // The way down

  /** Others send new requests elsewhere as far as they can; applications see it, too. */
  async beginDrain(): Promise<void> {
    this.#state = 'draining'
    this.#writeRecord()
    for (const { link } of this.#peers.values()) if (link) tellEvent(link, { status: 'draining' })
    this.#announce()
    await this.#registrar.settled(WRITE_MS)
  }

  /** Others send nothing any more: resolves when all of them have said so. */
  async stopRequests(): Promise<void> {
    const links = [...this.#peers.values()].flatMap(({ link }) => link ?? [])
    const heard = links.map(() => new Promise<void>((resolve) => this.#acks.push(resolve)))
    for (const link of links) tellEvent(link, { status: 'gone' })
    let cancel: () => void = () => undefined
    const late = new Promise<void>((resolve) => {
      cancel = this.#deps.clock.after(GONE_MS, resolve)
    })
    await Promise.race([Promise.all(heard), late])
    cancel()
  }

  async close(): Promise<void> {
    this.#cancelDoubts()
    for (const peer of this.#peers.values()) peer.close()
    this.#peers.clear()
    await this.#registrar.close()
  }
}
