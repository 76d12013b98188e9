/** Another broker: the link to it, and a leg for each instance that can be called there. */
import type { Clock, Logger } from '@weft/base'
import type { Transport } from '@weft/net'
import type { Broker } from '../broker.ts'
import type { Leg } from '../leg.ts'
import type { Refusal } from '../router.ts'
import { HopDialer } from './hop-dialer.ts'
import { HopMux } from './hop-mux.ts'
import type { HopTls } from './hop-tls.ts'
import { type BrokerRecord, remoteFacts } from './records.ts'
import type { Conn } from './view.ts'
import { whenQuiet } from './when-quiet.ts'

export interface OwnBroker {
  readonly id: string
  readonly incarnation: string
  readonly zone: string
}

export interface PeerBrokerDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly transport: Transport
  readonly tls: HopTls
  readonly broker: Broker
  /** A connection of ours, if it can take a request now; a refusal: it never will. */
  find(conn: string): Leg | Refusal | undefined
  /** The link is up: what can be called over it is to be said again. */
  onUp(peer: PeerBroker): void
}

/** A row of `weft get links`. */
export interface BrokerRow {
  readonly id: string
  readonly addr: string
  readonly zone: string
  readonly state: BrokerRecord['state']
  readonly link: 'up' | 'down'
  /** Why it is down, as far as anybody said. */
  readonly problem: string
  /** Connections of instances that can be called there. */
  readonly instances: number
  /** Requests of ours that are open there. */
  readonly streams: number
}

interface Remote {
  readonly leg: Leg
  /** What it was made from. */
  readonly text: string
}

/** What a load behind another broker weighs: a hop costs CPU there, and some 20 µs. */
const HOP = 2
/** More in another zone. */
const ZONE = 2
/** Only when there is nobody else. */
const LEAVING = 1_000
/** How long requests may go on with an instance that is not offered any more. */
const REST_MS = 60_000

export class PeerBroker {
  readonly id: string
  readonly #own: OwnBroker
  readonly #deps: PeerBrokerDeps
  readonly #remotes = new Map<string, Remote>()
  #record: BrokerRecord | undefined
  #dialer: HopDialer | undefined
  /** Dials with a certificate that was renewed. */
  #successor: HopDialer | undefined
  #link: Leg | undefined
  #mux: HopMux | undefined
  #isLeaving = false

  constructor(id: string, own: OwnBroker, deps: PeerBrokerDeps) {
    this.id = id
    this.#own = own
    this.#deps = deps
  }

  /** The link, when it is up. */
  get link(): Leg | undefined {
    return this.#link
  }

  get row(): BrokerRow {
    const { addr = '', zone = '', state = 'serving' } = this.#record ?? {}
    return {
      ...{ id: this.id, addr, zone },
      state: this.#isLeaving ? 'draining' : state,
      link: this.#link === undefined ? 'down' : 'up',
      problem: this.#link === undefined ? (this.#dialer?.problem ?? '') : '',
      instances: this.#remotes.size,
      streams: this.#mux?.openStreams ?? 0,
    }
  }

  /** What it says of itself in etcd; undefined: nothing any more. */
  setRecord(record: BrokerRecord | undefined): void {
    const before = this.#record
    this.#record = record
    if (record === undefined) return
    if (before !== undefined && before.incarnation !== record.incarnation) this.#isLeaving = false
    if (record.state === 'draining') this.avoid()
    this.#weigh()
    // The lower id dials, so that there is one link and not two.
    if (this.#own.id > this.id) return
    const dialer = this.#dialer
    if (dialer?.addr === record.addr && dialer.incarnation === record.incarnation) return
    dialer?.close()
    this.#successor?.close()
    this.#successor = undefined
    this.#dialer = this.#dial(record)
  }

  #dial({ id, incarnation, addr }: BrokerRecord): HopDialer {
    const dialer: HopDialer = new HopDialer(
      { own: this.#own, peer: { id, incarnation }, addr },
      {
        ...this.#deps,
        onDialled: (leg) => {
          leg.hop = this.#muxOn(leg, (why) => dialer.onEnd(why))
        },
        onUp: (leg) => {
          const before = this.#dialer
          if (before !== dialer) before?.leave()
          this.#dialer = dialer
          if (this.#successor === dialer) this.#successor = undefined
          this.#use(leg)
        },
        onStale: () => {
          if (this.#successor !== undefined || this.#record === undefined) return
          this.#successor = this.#dial(this.#record)
        },
      },
    )
    dialer.open()
    return dialer
  }

  #muxOn(leg: Leg, onEnd: (why: string) => void): HopMux {
    const pick = (conn: string) => this.#deps.find(conn)
    return new HopMux(leg, { pick, onEnd })
  }

  /** It has dialled us. */
  accept(leg: Leg): void {
    leg.hop = this.#muxOn(leg, () => undefined)
    this.#use(leg)
  }

  /** The newest link is the one. */
  #use(leg: Leg): void {
    const older = this.#link
    if (older !== undefined) this.#retire(older)
    this.#link = leg
    this.#mux = leg.hop instanceof HopMux ? leg.hop : undefined
    this.#isLeaving = this.#record?.state === 'draining'
    this.#deps.log.info('a link between brokers is up', { broker: this.id })
    this.#deps.onUp(this)
  }

  /** What runs over a link that has a successor goes on, for a while. */
  #retire(older: Leg): void {
    for (const [connId, remote] of [...this.#remotes]) this.#drop(connId, remote)
    whenQuiet(this.#deps.clock, older, REST_MS, () => older.close())
  }

  /** What it says over the link; true: that was all. */
  onPush(leg: Leg, metadata: Uint8Array): boolean {
    const dialers = [this.#dialer, this.#successor]
    return dialers.some((dialer) => dialer?.onPush(leg, metadata) === true)
  }

  onGone(leg: Leg): void {
    if (leg === this.#link) {
      this.#deps.log.info('a link between brokers is gone', { broker: this.id })
      this.#lose(leg)
    }
    if (leg.hop instanceof HopMux) leg.hop.close()
    this.#dialer?.onGone(leg)
    this.#successor?.onGone(leg)
  }

  #lose(leg: Leg): void {
    if (this.#link !== leg) return
    this.#link = undefined
    const mux = this.#mux
    this.#mux = undefined
    this.#remotes.clear()
    mux?.close()
  }

  /** What can be called over the connection from now on; undefined: nobody. */
  set(connId: string, conn: Conn | undefined): void {
    const mux = this.#mux
    if (mux === undefined) return
    const known = this.#remotes.get(connId)
    const [first] = conn?.records ?? []
    const facts = conn && remoteFacts(conn.records)
    const text = facts === undefined ? '' : JSON.stringify(facts)
    if (known !== undefined && known.text !== text) this.#drop(connId, known)
    if (first === undefined || facts === undefined) return
    if (known?.text === text) {
      if (known.leg.isServing !== first.serving) {
        this.#deps.broker.setServing(known.leg, first.serving)
      }
      return
    }
    const socket = mux.open(first.conn, first.host)
    const leg = this.#deps.broker.attachRemote(socket, facts, {
      farness: this.#farness,
      isServing: first.serving,
    })
    socket.leg = leg
    this.#remotes.set(connId, { leg, text })
  }

  #drop(connId: string, { leg }: Remote): void {
    this.#remotes.delete(connId)
    this.#deps.broker.retire(leg)
    whenQuiet(this.#deps.clock, leg, REST_MS, () => leg.abort('its instance is gone'))
  }

  get #farness(): number {
    if (this.#isLeaving) return LEAVING
    const zone = this.#record?.zone ?? ''
    const isElsewhere = zone !== '' && this.#own.zone !== '' && zone !== this.#own.zone
    return isElsewhere ? HOP * ZONE : HOP
  }

  #weigh(): void {
    for (const { leg } of this.#remotes.values()) leg.farness = this.#farness
  }

  /** It goes: asked only when nobody else can be. */
  avoid(): void {
    this.#isLeaving = true
    this.#weigh()
  }

  /** It takes no requests any more. */
  stop(): void {
    this.#isLeaving = true
    for (const { leg } of this.#remotes.values()) leg.draining = true
  }

  close(): void {
    this.#successor?.close()
    this.#dialer?.close()
    this.#dialer = undefined
    const link = this.#link
    if (link === undefined) return
    this.#lose(link)
    link.close()
  }
}
