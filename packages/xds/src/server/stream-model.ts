/**
 * A model of an Envoy on a Delta stream, for the test of the ordering rules: it warms clusters,
 * keeps its answer to clusters back while they warm, asks for the endpoints of each cluster once,
 * and loses its connection now and then. Messages travel one by one, in random order between
 * the directions.
 */

import { flush, type Response } from './flush.ts'
import { receiveDelta } from './receive.ts'
import { CDS, EDS, RDS, type StreamRules } from './rules.ts'
import type { Served, ServedView } from './served.ts'
import { markAll, markChanged, openStream, type StreamState } from './stream-state.ts'

const ROUTE = 'r'
const TYPES = [CDS, EDS, RDS] as const

/** What went wrong in one run. */
export interface Findings {
  /** The client did not end with what the control plane has, or waits for ever. */
  stuck: string | undefined
  /** A route named a cluster that the client does not have. */
  broken: number
  /** A route named a cluster that was not warm yet. */
  cold: number
  /** A cluster lost its endpoints while the client's route named it. */
  emptied: number
  responses: number
}

interface ServerMessage {
  readonly response: Response
  readonly nonce: string
}

interface ClientMessage {
  readonly typeUrl: string
  readonly nonce: string
  readonly error: string | undefined
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  readonly initialVersions: ReadonlyMap<string, string>
}

/** @param withholds Whether the client keeps its answer back while it warms; either way at random if absent. */
export function runModel(
  rules: StreamRules,
  random: () => number,
  steps: number,
  withholds = random() < 0.5,
): Findings {
  const registry = new Registry(random)
  const findings: Findings = { stuck: undefined, broken: 0, cold: 0, emptied: 0, responses: 0 }
  const client = new Envoy(withholds, findings)
  const link = new Link(rules, registry, client, findings)
  link.connect(random)
  for (let step = 0; step < steps; step++) {
    const dice = random()
    if (dice < 0.3) link.publish(registry.mutate())
    else if (dice < 0.33) link.connect(random)
    else link.deliverOne(random)
  }
  link.publish(registry.repair())
  // Every message causes a bounded number of others; a run that does not end is a fault of its own.
  for (let guard = 0; guard < 10_000; guard++) {
    if (link.deliverOne(random)) continue
    findings.stuck = client.difference(registry)
    return findings
  }
  findings.stuck = 'never comes to rest'
  return findings
}

/** The control plane's side: consistent at every moment, with tombstones on every replica. */
class Registry implements ServedView {
  readonly types = new Map(TYPES.map((typeUrl) => [typeUrl as string, new Map<string, Served>()]))
  readonly #dead = new Map(TYPES.map((typeUrl) => [typeUrl as string, new Map<string, Served>()]))
  readonly #random: () => number
  #version = 0

  constructor(random: () => number) {
    this.#random = random
    this.#addCluster('c0')
    this.#set(RDS, this.#route(['c0']))
  }

  get(typeUrl: string, name: string): Served | undefined {
    return this.types.get(typeUrl)?.get(name)
  }

  isHeldBack(): boolean {
    return false
  }

  names(typeUrl: string): Iterable<string> {
    return this.types.get(typeUrl)?.keys() ?? []
  }

  tombstone(typeUrl: string, name: string): Served | undefined {
    return this.#dead.get(typeUrl)?.get(name)
  }

  tombstones(typeUrl: string): Iterable<string> {
    return this.#dead.get(typeUrl)?.keys() ?? []
  }

  noEndpoints(name: string): Served {
    return { ...plain(name, 'empty'), size: 1 }
  }

  /** One publish: what changed, by type. */
  mutate(): [string, string][] {
    const before = this.#versions()
    const dice = this.#random()
    const clusters = [...this.names(CDS)]
    const some = clusters[Math.floor(this.#random() * clusters.length)] ?? 'c0'
    if (dice < 0.25) this.#addCluster(`c${Math.floor(this.#random() * 6)}`)
    else if (dice < 0.4) this.#set(CDS, this.#cluster(some))
    else if (dice < 0.55) this.#set(EDS, plain(some, this.#next()))
    else this.#swap()
    return this.#changes(before)
  }

  /** Everything good again, so that the final state is known. */
  repair(): [string, string][] {
    const before = this.#versions()
    for (const name of this.names(CDS)) this.#set(CDS, this.#cluster(name, false))
    const route = this.get(RDS, ROUTE)
    this.#set(RDS, this.#route([...(route?.clusters ?? [])], false))
    return this.#changes(before)
  }

  /** The route moves to other clusters, which may be new, and some of the others go. */
  #swap(): void {
    if (this.#random() < 0.5) this.#addCluster(`c${Math.floor(this.#random() * 6)}`)
    const clusters = [...this.names(CDS)]
    const chosen = clusters.filter(() => this.#random() < 0.4)
    if (chosen.length === 0) chosen.push(clusters[0] ?? 'c0')
    this.#set(RDS, this.#route(chosen))
    for (const name of clusters) {
      if (chosen.includes(name) || this.#random() < 0.5) continue
      this.#remove(CDS, name)
      this.#remove(EDS, name)
    }
  }

  #addCluster(name: string): void {
    if (this.get(CDS, name) !== undefined) return
    this.#set(CDS, this.#cluster(name))
    this.#set(EDS, plain(name, this.#next()))
  }

  #cluster(name: string, mayBeBad = true): Served {
    const needs = [{ typeUrl: EDS, name }]
    return { ...plain(name, this.#next(mayBeBad)), needs }
  }

  #route(clusters: string[], mayBeBad = true): Served {
    return { ...plain(ROUTE, this.#next(mayBeBad)), clusters: new Set(clusters) }
  }

  #next(mayBeBad = false): string {
    this.#version++
    return mayBeBad && this.#random() < 0.05 ? `bad${this.#version}` : `v${this.#version}`
  }

  #set(typeUrl: string, served: Served): void {
    this.types.get(typeUrl)?.set(served.name, served)
  }

  #remove(typeUrl: string, name: string): void {
    const served = this.get(typeUrl, name)
    if (served === undefined) return
    this.types.get(typeUrl)?.delete(name)
    this.#dead.get(typeUrl)?.set(name, served)
  }

  #versions(): Map<string, string> {
    const versions = new Map<string, string>()
    for (const [typeUrl, all] of this.types) {
      for (const [name, served] of all) versions.set(`${typeUrl} ${name}`, served.version)
    }
    return versions
  }

  #changes(before: Map<string, string>): [string, string][] {
    const after = this.#versions()
    const keys = new Set([...before.keys(), ...after.keys()])
    return [...keys]
      .filter((key) => before.get(key) !== after.get(key))
      .map((key) => key.split(' ') as [string, string])
  }
}

function plain(name: string, version: string): Served {
  return { name, version, size: 10, clusters: new Set(), needs: [] }
}

interface ClientCluster {
  version: string
  warming: boolean
  /** Has been warm once, so traffic can use it even while an update warms. */
  usable: boolean
}

class Envoy {
  readonly clusters = new Map<string, ClientCluster>()
  readonly endpoints = new Map<string, string>()
  readonly #subscribed = new Set<string>()
  readonly #refused = new Set<string>()
  readonly #withholds: boolean
  readonly #findings: Findings
  #route: Served | undefined
  #withheld: { nonce: string; error: string | undefined } | undefined
  /** What it wants to say. */
  outbox: ClientMessage[] = []

  constructor(withholds: boolean, findings: Findings) {
    this.#withholds = withholds
    this.#findings = findings
  }

  connect(random: () => number): void {
    this.#withheld = undefined
    const versions = new Map([...this.clusters].map(([name, { version }]) => [name, version]))
    const route = this.#route
    this.outbox = [
      message(CDS, { subscribe: ['*'], initialVersions: versions }),
      ...(this.#subscribed.size === 0
        ? []
        : [
            message(EDS, {
              subscribe: [...this.#subscribed],
              initialVersions: new Map(this.endpoints),
            }),
          ]),
      message(RDS, {
        subscribe: [ROUTE],
        initialVersions: new Map(route === undefined ? [] : [[ROUTE, route.version]]),
      }),
    ]
    // After a reconnect the types come in any order (envoy#36951).
    if (versions.size > 0) this.outbox.sort(() => random() - 0.5)
  }

  receive({ response, nonce }: ServerMessage): void {
    const bad = response.resources.filter((served) => served.version.startsWith('bad'))
    const good = response.resources.filter((served) => !bad.includes(served))
    const error = bad.length === 0 ? undefined : bad.map((served) => served.name).join(', ')
    if (response.typeUrl === CDS) for (const { name } of bad) this.#refused.add(name)
    if (response.typeUrl === CDS) this.#takeClusters(good, response.removed, nonce, error)
    else if (response.typeUrl === EDS) this.#takeEndpoints(good, response.removed, nonce, error)
    else this.#takeRoutes(good, nonce, error)
  }

  #takeClusters(
    good: readonly Served[],
    removed: readonly string[],
    nonce: string,
    error: string | undefined,
  ): void {
    const subscribe: string[] = []
    const unsubscribe: string[] = []
    for (const { name, version } of good) {
      this.#refused.delete(name)
      const known = this.clusters.get(name)
      if (known?.version === version) continue
      this.clusters.set(name, { version, warming: true, usable: known?.usable ?? false })
      if (this.#subscribed.has(name)) continue
      this.#subscribed.add(name)
      subscribe.push(name)
    }
    for (const name of removed) {
      if (this.#route?.clusters.has(name) && this.clusters.has(name)) this.#findings.broken++
      this.clusters.delete(name)
      this.endpoints.delete(name)
      if (this.#subscribed.delete(name)) unsubscribe.push(name)
    }
    if (subscribe.length + unsubscribe.length > 0) {
      this.outbox.push(message(EDS, { subscribe, unsubscribe }))
    }
    this.#withheld = { nonce, error }
    this.#answerClusters()
  }

  #answerClusters(): void {
    if (this.#withheld === undefined || (this.#withholds && this.#warming())) return
    this.outbox.push(message(CDS, this.#withheld))
    this.#withheld = undefined
  }

  #takeEndpoints(
    good: readonly Served[],
    removed: readonly string[],
    nonce: string,
    error: string | undefined,
  ): void {
    for (const { name, version } of good) {
      if (!this.#subscribed.has(name)) continue
      const cluster = this.clusters.get(name)
      const had = this.endpoints.get(name) ?? 'empty'
      const isEmptied = version === 'empty' && had !== 'empty' && cluster?.usable === true
      if (isEmptied && this.#route?.clusters.has(name)) this.#findings.emptied++
      this.endpoints.set(name, version)
      if (cluster !== undefined) Object.assign(cluster, { warming: false, usable: true })
    }
    for (const name of removed) this.endpoints.delete(name)
    this.outbox.push(message(EDS, { nonce, error }))
    this.#answerClusters()
  }

  #takeRoutes(good: readonly Served[], nonce: string, error: string | undefined): void {
    for (const served of good) {
      this.#route = served
      for (const name of served.clusters) {
        const cluster = this.clusters.get(name)
        // One that it refused itself is nobody's fault.
        if (cluster === undefined) this.#findings.broken += this.#refused.has(name) ? 0 : 1
        else if (!cluster.usable) this.#findings.cold++
      }
    }
    this.outbox.push(message(RDS, { nonce, error }))
  }

  #warming(): boolean {
    return [...this.clusters.values()].some((cluster) => cluster.warming)
  }

  difference(registry: Registry): string | undefined {
    if (this.#warming()) return 'a cluster warms for ever'
    const wanted = (typeUrl: string) =>
      [...(registry.types.get(typeUrl) ?? [])].map(([name, { version }]) => `${name}=${version}`)
    const held = [...this.clusters].map(([name, { version }]) => `${name}=${version}`)
    if (!sameSet(wanted(CDS), held)) return `clusters ${held} instead of ${wanted(CDS)}`
    const endpoints = [...this.endpoints].map(([name, version]) => `${name}=${version}`)
    if (!sameSet(wanted(EDS), endpoints)) return `endpoints ${endpoints} not ${wanted(EDS)}`
    const route = registry.get(RDS, ROUTE)?.version
    return this.#route?.version === route ? undefined : `route ${this.#route?.version} not ${route}`
  }
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return [...a].sort().join() === [...b].sort().join()
}

function message(typeUrl: string, parts: Partial<ClientMessage>): ClientMessage {
  const nothing = { nonce: '', error: undefined, subscribe: [], unsubscribe: [] }
  return { typeUrl, ...nothing, initialVersions: new Map(), ...parts }
}

/** One connection: two queues and the server's state of the stream. */
class Link {
  readonly #rules: StreamRules
  readonly #registry: Registry
  readonly #client: Envoy
  readonly #findings: Findings
  #state: StreamState
  #toClient: ServerMessage[] = []
  #nonce = 0

  constructor(rules: StreamRules, registry: Registry, client: Envoy, findings: Findings) {
    this.#rules = rules
    this.#registry = registry
    this.#client = client
    this.#findings = findings
    this.#state = openStream('delta', 'envoy', 0, rules)
  }

  /** To a replica that knows nothing of the stream before; what was under way is lost. */
  connect(random: () => number): void {
    this.#state = openStream('delta', 'envoy', 0, this.#rules)
    this.#toClient = []
    this.#client.connect(random)
    markAll(this.#state, this.#registry)
  }

  publish(changes: readonly [string, string][]): void {
    for (const [typeUrl, name] of changes) markChanged(this.#state, typeUrl, [name])
    this.#flush()
  }

  /** False when nothing is under way. */
  deliverOne(random: () => number): boolean {
    const toServer =
      this.#client.outbox.length > 0 && (this.#toClient.length === 0 || random() < 0.5)
    if (toServer) {
      const request = this.#client.outbox.shift()
      if (request !== undefined) receiveDelta(this.#state, request, this.#registry, 0)
      this.#flush()
      return true
    }
    const next = this.#toClient.shift()
    if (next === undefined) return false
    this.#client.receive(next)
    return true
  }

  #flush(): void {
    flush(this.#state, this.#registry, 0, (response) => {
      const nonce = String(++this.#nonce)
      this.#findings.responses++
      this.#toClient.push({ response, nonce })
      return nonce
    })
  }
}
