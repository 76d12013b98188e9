/** What is connected to this broker, as others are to know it: a key for each service of each link. */
import type { Clock } from '@weft/base'
import type { Leg } from '../leg.ts'
import { type EndpointRecord, endpointKey, endpointValue } from './records.ts'
import type { Registrar } from './registrar.ts'
import { type Arrival, linkOf } from './view.ts'

export interface LocalEndpointsOptions {
  /** Of the broker. */
  readonly id: string
  readonly incarnation: string
  readonly prefix: string
}

export interface LocalEndpointsDeps {
  readonly clock: Clock
  readonly registrar: Pick<Registrar, 'isConnected' | 'put' | 'delete' | 'has'>
  /** A link of an instance came or went. */
  onLink(link: string): void
}

/** A connection of an instance to us. */
export interface Local {
  readonly leg: Leg
  readonly conn: string
  arrival: Arrival
  readonly keys: Set<string>
}

export class LocalEndpoints {
  readonly #options: LocalEndpointsOptions
  readonly #deps: LocalEndpointsDeps
  readonly #locals = new Map<Leg, Local>()
  readonly #byKey = new Map<string, Local>()
  readonly #byLink = new Map<string, Local>()
  readonly #byConn = new Map<string, Leg>()
  /** Open until their last stream is over. */
  readonly #moved = new WeakSet<Leg>()
  #count = 0

  constructor(options: LocalEndpointsOptions, deps: LocalEndpointsDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** A connection by the name that others know it by: nobody can take another's, as with ids of instances. */
  legOf(conn: string): Leg | undefined {
    return this.#byConn.get(conn)
  }

  /** The connection of one link of an instance. */
  byLink(link: string): Local | undefined {
    return this.#byLink.get(link)
  }

  /** It came, offers something else, or wants requests or none. Again does no harm. */
  add(leg: Leg): void {
    const { instance, isAlibaba, via, identity } = leg.facts
    if (instance === undefined || via !== undefined || leg.closed || this.#moved.has(leg)) return
    let local = this.#locals.get(leg)
    if (local === undefined) {
      local = this.#begin(leg)
      this.#byConn.set(local.conn, leg)
      const link = linkOf(instance, isAlibaba, identity.principal ?? '')
      if (link !== undefined) {
        this.#byLink.set(link, local)
        this.#deps.onLink(link)
      }
    }
    this.#write(local)
  }

  #begin(leg: Leg): Local {
    const { clock, registrar } = this.#deps
    const lateMs = registrar.isConnected ? undefined : clock.nowMs()
    const conn = `${this.#options.incarnation}.${++this.#count}`
    const local = { leg, conn, arrival: { epoch: undefined, lateMs }, keys: new Set<string>() }
    this.#locals.set(leg, local)
    return local
  }

  #write(local: Local): void {
    const { instance } = local.leg.facts
    const { id: broker, prefix } = this.#options
    const { registrar } = this.#deps
    const before = new Set(local.keys)
    for (const service of instance?.services ?? []) {
      const namespace = instance?.namespace ?? ''
      const key = endpointKey(prefix, { broker, conn: local.conn, namespace, service })
      before.delete(key)
      local.keys.add(key)
      this.#byKey.set(key, local)
      registrar.put(key, () => endpointValue(this.#record(local, service)))
    }
    for (const key of before) this.#withdraw(local, key)
  }

  #withdraw(local: Local, key: string): void {
    local.keys.delete(key)
    this.#byKey.delete(key)
    this.#deps.registrar.delete(key)
  }

  #record({ leg, conn, arrival }: Local, service: EndpointRecord['service']): EndpointRecord {
    const { instance, identity, features, isAlibaba } = leg.facts
    const { id = '', app = '', namespace = '', link = 0, labels = {} } = instance ?? {}
    const { weight = 1, zone = '' } = instance ?? {}
    return {
      ...{ broker: this.#options.id, conn, service, isAlibaba, ...arrival },
      instance: { id, app, namespace, link, labels, weight, zone },
      serving: leg.isServing,
      principal: identity.principal ?? '',
      isHttp: features.has('http'),
      host: leg.socket.remoteAddress.host,
    }
  }

  /** The first write of a connection's keys is when it came, for the whole cluster. */
  onWritten(key: string, revision: number): void {
    const local = this.#byKey.get(key)
    if (local === undefined || local.arrival.epoch !== undefined) return
    local.arrival = { ...local.arrival, epoch: revision }
  }

  /** Its instance has a newer connection elsewhere: it is not offered again. */
  moveAway(leg: Leg): void {
    this.#moved.add(leg)
    this.remove(leg)
  }

  remove(leg: Leg): void {
    const local = this.#locals.get(leg)
    const { instance, isAlibaba, identity } = leg.facts
    if (local === undefined || instance === undefined) return
    this.#locals.delete(leg)
    for (const key of [...local.keys]) this.#withdraw(local, key)
    this.#byConn.delete(local.conn)
    const link = linkOf(instance, isAlibaba, identity.principal ?? '')
    if (link === undefined || this.#byLink.get(link) !== local) return
    this.#byLink.delete(link)
    this.#deps.onLink(link)
  }

  /** Compares with what is really connected, and mends it. */
  reconcile(legs: Iterable<Leg>): void {
    const open = new Set<Leg>()
    for (const leg of legs) if (leg.isOpen && leg.facts.instance !== undefined) open.add(leg)
    for (const leg of [...this.#locals.keys()]) if (!open.has(leg)) this.remove(leg)
    for (const leg of open) {
      const keys = this.#locals.get(leg)?.keys
      const isThere = keys !== undefined && [...keys].every((key) => this.#deps.registrar.has(key))
      if (!isThere) this.add(leg)
    }
  }
}
