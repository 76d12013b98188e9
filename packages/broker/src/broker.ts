/**
 * A running broker: listeners, the legs that came in, who offers what, and the way down.
 *
 *     socket ─► Leg (framing, SETUP, keepalive) ─► Forwarder ─► Router (verdict) ─► Leg ─► socket
 */
import { type Clock, type Logger, sleep } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import {
  type Listening,
  type Socket,
  type SocketHandler,
  TimerWheel,
  type Transport,
} from '@weft/net'
import { RSOCKET_ERROR, RSocketFrameReader, type Setup } from '@weft/wire'
import { tellBrokers, tellEvent } from './announcements.ts'
import { placeInstance } from './auth/place-instance.ts'
import { BrokerService } from './broker-service.ts'
import type { ClusterPort } from './cluster/cluster-port.ts'
import { BrokerCounters } from './counters.ts'
import type { FilterSet } from './filters/filter-set.ts'
import { FilterStage } from './filters/filter-stage.ts'
import { Forwarder } from './forward.ts'
import { type Hello, readHello } from './hello.ts'
import { Leg, type LegOwner } from './leg.ts'
import { type BrokerLimits, DEFAULT_LIMITS } from './limits.ts'
import { type ListenOptions, openListener } from './listen.ts'
import { LocalRouter } from './local-router.ts'
import { type Framing, LENGTH_FRAMING } from './outbox.ts'
import { type BrokerFacts, linkFacts, type PeerFacts, type PeerIdentity } from './peer-facts.ts'
import { type PeerNews, readPeerNews, servicesAfter } from './peer-news.ts'
import { Registry } from './registry.ts'
import { Resumption } from './resume/resumption.ts'
import type { Router } from './router.ts'
import { Turn } from './turn.ts'
import { type Fallback, FallbackRouter } from './upstream/fallback-router.ts'
import { WEBSOCKET_FRAMING, WebSocketSource } from './websocket-source.ts'

export interface BrokerOptions {
  /** Unique among the brokers of a mesh. */
  readonly id: string
  readonly limits?: Partial<BrokerLimits>
}

export interface BrokerDeps {
  readonly transport: Transport
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
  /**
   * Who a connection is, by its certificate and what SETUP shows. A text refuses it. Absent:
   * everyone is let in as nobody, which is for tests and closed networks.
   */
  readonly authenticate?: (leg: Leg, hello: Hello) => Promise<PeerIdentity | string>
  /** Told of connections that were let in, and of their end. */
  readonly onOpen?: (leg: Leg) => void
  readonly onGone?: (leg: Leg) => void
  /** It wants no requests any more, or wants them again: `Leg.isServing`. */
  readonly onServing?: (leg: Leg) => void
  /** Where calls go that nobody here answers; absent: nowhere. */
  readonly fallback?: Fallback
  /** Other brokers; absent: there are none. */
  readonly cluster?: ClusterPort
  /** What a peer says of its connection afterwards, such as a new token. */
  readonly onMetadataPush?: (leg: Leg, metadata: Uint8Array) => void
  /** What looks at connections and streams; absent: nothing. */
  readonly filters?: Pick<FilterSet, 'chain' | 'version'>
  /** Absent: by name alone. */
  readonly router?: (parts: RouterParts) => Router
}

interface RouterParts {
  readonly registry: Registry
  readonly service: BrokerService
}

export interface DrainOptions {
  /** From the notice until what is left is cut, in milliseconds. */
  readonly deadlineMs: number
  /** As long are new streams still taken, so that peers can move; 0 (the default): not at all. */
  readonly graceMs?: number
  /** Other brokers, as URIs that peers dial. */
  readonly replaceWith?: readonly string[]
  /** Between the grace and the refusals: resolves when other brokers send nothing any more. */
  readonly afterGrace?: () => Promise<void>
}

/** Of legs whose frames come by no socket. */
const NO_SOURCE = { maxFrameBytes: 0, receive() {} }

const ANONYMOUS: PeerIdentity = { principal: undefined, claims: undefined }
/** Services that one instance may offer. */
const MAX_SERVICES = 4_096
/** How often a drain looks whether the last stream is over. */
const DRAIN_LOOK_MS = 20

export class Broker implements LegOwner {
  readonly limits: BrokerLimits
  readonly clock: Clock
  readonly wheel: TimerWheel
  nowMs: number
  readonly counters = new BrokerCounters()
  readonly forwarder: Forwarder
  readonly registry = new Registry()
  readonly #options: BrokerOptions
  readonly #deps: BrokerDeps
  readonly #filters: FilterStage | undefined
  readonly #turn = new Turn()
  readonly #resumption: Resumption | undefined
  readonly #legs = new Set<Leg>()
  readonly #listening: Listening[] = []
  #uris: readonly string[] = []
  #zones: readonly string[] = []
  #events = 0
  #unauthenticated = 0
  #draining = false

  constructor(options: BrokerOptions, deps: BrokerDeps) {
    this.#options = options
    this.#deps = deps
    this.limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.clock = deps.clock
    this.wheel = new TimerWheel(deps.clock)
    this.nowMs = deps.clock.monotonicMs()
    if (this.limits.resumeWindowMs > 0) this.#resumption = new Resumption(this)
    const service = new BrokerService(() => this.#welcome(), this.registry)
    const { registry } = this
    const router =
      deps.router?.({ registry, service }) ??
      new LocalRouter(registry, service, {
        random: deps.random,
        nowMs: () => this.nowMs,
      })
    this.#filters = deps.filters && new FilterStage(deps.filters, registry)
    const { fallback, cluster } = deps
    const isAlone = fallback === undefined && cluster === undefined
    const routed = isAlone ? router : new FallbackRouter(router, fallback, cluster)
    this.forwarder = new Forwarder(routed, registry, this.#filters)
  }

  get schedule(): LegOwner['schedule'] {
    return this.#turn.schedule
  }

  /** Connections of all kinds, those that are not let in yet included. */
  get connections(): number {
    return this.#legs.size
  }

  get legs(): Iterable<Leg> {
    return this.#legs
  }

  /** Streams that are open, counted at their requesters. */
  get openStreams(): number {
    let count = 0
    for (const leg of this.#legs) {
      for (const [id, entry] of leg.streams) {
        if (entry.requester === leg && entry.requesterId === id) count++
      }
    }
    return count
  }

  /** Opens a listener. @throws The system's error when it cannot be bound. */
  async listen(options: ListenOptions): Promise<SocketAddress> {
    const listening = await openListener(options, {
      transport: this.#deps.transport,
      clock: this.clock,
      handshakeTimeoutMs: this.limits.setupTimeoutMs,
      legOn: (socket) => this.#handlerOn(socket, options.kind),
      onHandshake: () => {
        const isTaken = !this.#draining && this.#unauthenticated < this.limits.maxUnauthenticated
        if (isTaken) this.#unauthenticated++
        else this.counters.connectionsRefused++
        return isTaken
      },
      onShaken: (isDone) => {
        this.#unauthenticated--
        if (!isDone) this.counters.tlsFailures++
      },
    })
    this.#listening.push(listening)
    return listening.address
  }

  #handlerOn(socket: Socket, kind: ListenOptions['kind']): SocketHandler {
    if (this.#resumption === undefined || kind !== 'tcp') return this.#legOn(socket, kind)
    return this.#resumption.wrap(socket, (resumable) => this.#legOn(resumable, kind))
  }

  #legOn(socket: Socket, kind: ListenOptions['kind']): Leg {
    const { maxSetupBytes } = this.limits
    const leg =
      kind === 'tcp'
        ? new Leg(
            socket,
            LENGTH_FRAMING,
            (home) => new RSocketFrameReader(home, maxSetupBytes),
            this,
          )
        : new Leg(
            socket,
            WEBSOCKET_FRAMING,
            (home) => new WebSocketSource(home, maxSetupBytes),
            this,
          )
    this.#accept(leg)
    return leg
  }

  /** A connection to another broker that we have dialled. */
  attachLink(socket: Socket, facts: PeerFacts): Leg {
    const { maxFrameBytes } = this.limits
    const reader = (home: Leg) => new RSocketFrameReader(home, maxFrameBytes)
    const leg = new Leg(socket, LENGTH_FRAMING, reader, this)
    this.#legs.add(leg)
    leg.openAs(facts, true)
    leg.beginIdsAt(1)
    return leg
  }

  /** An instance that is connected to another broker can be called from now on. */
  attachRemote(
    socket: Socket,
    facts: PeerFacts,
    { farness, isServing }: Pick<Leg, 'farness' | 'isServing'>,
  ): Leg {
    const leg = this.attach(socket, LENGTH_FRAMING, facts)
    leg.farness = farness
    leg.isServing = isServing
    this.registry.add(leg)
    this.#deps.onOpen?.(leg)
    return leg
  }

  /** A leg of our own process asks as whoever dials in. */
  introduce(leg: Leg): void {
    this.#deps.onOpen?.(leg)
  }

  /** It wants no requests any more, or wants them again. */
  setServing(leg: Leg, isServing: boolean): void {
    leg.isServing = isServing
    this.#deps.onServing?.(leg)
    this.#deps.cluster?.onLocal(leg)
  }

  /** Nobody is to be sent there any more; what is open goes on. */
  retire(leg: Leg): void {
    leg.isServing = false
    this.registry.remove(leg)
    this.#deps.onGone?.(leg)
  }

  /** A leg for a peer of this process, let in as `facts`. */
  attach(socket: Socket, framing: Framing, facts: PeerFacts): Leg {
    const leg = new Leg(socket, framing, () => NO_SOURCE, this)
    this.#legs.add(leg)
    leg.openAs(facts)
    return leg
  }

  #accept(leg: Leg): void {
    this.counters.connectionsAccepted++
    this.#legs.add(leg)
    this.#unauthenticated++
    if (this.#unauthenticated <= this.limits.maxUnauthenticated && !this.#draining) return
    this.counters.connectionsRefused++
    leg.fail(RSOCKET_ERROR.rejectedSetup, 'WEFT-503 the broker takes no more connections now')
  }

  async admit(leg: Leg, setup: Setup): Promise<PeerFacts | string> {
    const hello = readHello(setup)
    if (typeof hello === 'string') return hello
    const identity = (await this.#deps.authenticate?.(leg, hello)) ?? ANONYMOUS
    if (typeof identity === 'string') return identity
    if (hello.broker !== undefined) return this.#admitBroker(leg, hello.broker, identity, setup)
    const { metadataForm, isAlibaba, features } = hello
    const instance = placeInstance(hello.instance, identity)
    if (typeof instance === 'string') return instance
    const facts = { setup, metadataForm, isAlibaba, instance, features, identity }
    return (await this.#filters?.admit(leg, facts)) ?? facts
  }

  #admitBroker(
    leg: Leg,
    broker: BrokerFacts,
    identity: PeerIdentity,
    setup: Setup,
  ): PeerFacts | string {
    const { cluster } = this.#deps
    if (cluster === undefined) return 'WEFT-403 this broker belongs to no cluster'
    return cluster.admit(leg, broker) ?? linkFacts(setup, broker, identity)
  }

  onOpen(leg: Leg): void {
    this.#unauthenticated--
    if (leg.facts.broker !== undefined) {
      tellEvent(leg, { welcome: this.#welcome() })
      this.#deps.cluster?.onLink(leg)
      return
    }
    leg.isServing = leg.facts.instance?.resting !== true
    const older = this.registry.add(leg)
    this.#deps.onOpen?.(leg)
    this.#deps.cluster?.onLocal(leg)
    tellEvent(leg, { welcome: this.#welcome() })
    if (older === undefined) return
    this.#deps.log.info('a newer connection of the same link came', {
      instance: leg.facts.instance?.id ?? '',
    })
    older.close()
  }

  onMetadataPush(leg: Leg, metadata: Uint8Array): void {
    if (leg.facts.broker !== undefined) {
      this.#deps.cluster?.onLinkPush(leg, metadata)
      return
    }
    this.#deps.onMetadataPush?.(leg, metadata)
    const news = readPeerNews(metadata, leg.facts)
    if (news !== undefined) this.#learn(leg, news)
  }

  #learn(leg: Leg, news: PeerNews): void {
    if (news.isServing !== undefined) {
      this.setServing(leg, news.isServing)
    }
    const { instance } = leg.facts
    const services = instance === undefined ? [] : servicesAfter(instance.services, news)
    if (services.length > MAX_SERVICES) {
      leg.fail(RSOCKET_ERROR.connectionError, `more than ${MAX_SERVICES} services of one instance`)
      return
    }
    if (instance !== undefined && services !== instance.services) {
      this.#deps.onGone?.(leg)
      this.registry.change(leg, services)
      this.#deps.onOpen?.(leg)
      this.#deps.cluster?.onLocal(leg)
    }
    if (news.seq !== undefined) tellEvent(leg, { ack: { seq: news.seq } })
  }

  onGone(leg: Leg): void {
    if (!this.#legs.delete(leg)) return
    this.counters.bytesSent += leg.outbox.handedBytes
    if (!leg.wasAdmitted) {
      this.#unauthenticated--
      return
    }
    if (leg.facts.broker !== undefined) {
      this.#deps.cluster?.onLinkGone(leg)
      return
    }
    this.registry.remove(leg)
    this.#deps.onGone?.(leg)
    this.#deps.cluster?.onLocalGone(leg)
  }

  #welcome() {
    const { id } = this.#options
    const zones = this.#zones.length === 0 ? {} : { zones: this.#zones }
    return { broker: id, brokers: this.#uris, ...zones, maxFrame: this.limits.maxFrameBytes }
  }

  /**
   * Where brokers can be dialled, from now on: peers that take events are told.
   *
   * @param zones Of each URI, where that is known.
   */
  announceBrokers(uris: readonly string[], zones: readonly string[] = []): void {
    this.#uris = uris
    this.#zones = zones
    for (const leg of this.#legs) if (leg.isOpen) this.#tellBrokers(leg, uris, zones)
  }

  #tellBrokers(leg: Leg, uris: readonly string[], zones: readonly string[] = []): void {
    const { id: broker } = this.#options
    const eventId = `${broker}-${++this.#events}`
    tellBrokers(leg, uris, zones, { broker, eventId, nowMs: this.clock.nowMs() })
  }

  /**
   * Takes no new connections, tells everyone who understands it, after the grace refuses new
   * streams, waits for what is open, then closes. Streams that outlive the deadline end with
   * CANCELED. CONNECTION_CLOSE is never said: clients would give up what is open.
   */
  async drain(options: DrainOptions): Promise<void> {
    const { deadlineMs, graceMs = 0, replaceWith = [] } = options
    this.#draining = true
    await Promise.all(this.#listening.map((each) => each.close()))
    const endMs = this.clock.monotonicMs() + deadlineMs
    for (const leg of this.#legs) {
      if (!leg.isOpen) continue
      tellEvent(leg, { goaway: { deadlineMs, replaceWith } })
      if (leg.facts.isAlibaba) this.#tellBrokers(leg, replaceWith)
      leg.grant?.end()
    }
    if (graceMs > 0) await sleep(this.clock, graceMs)
    await options.afterGrace?.()
    for (const leg of this.#legs) leg.draining = true
    while (this.openStreams > 0 && this.clock.monotonicMs() < endMs) {
      await sleep(this.clock, DRAIN_LOOK_MS)
    }
    for (const leg of this.#legs) {
      if (leg.isOpen) this.forwarder.endRequests(leg, 'WEFT-GOAWAY the broker goes')
    }
    this.close()
  }

  /** Closes everything at once. */
  close(): void {
    this.#draining = true
    for (const each of this.#listening) void each.close()
    for (const leg of [...this.#legs]) leg.close()
  }
}
