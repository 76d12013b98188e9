/**
 * The ADS client of our own data planes, Delta only:
 *
 *     connecting ──► connected ──► backoff (0.5 s · 2ⁿ up to 30 s, full jitter) ──► connecting
 *
 * Listeners and clusters come by wildcard, the rest by reference. One response in, exactly one
 * ACK or NACK out, and only then changes of what is subscribed. Nothing is forgotten when
 * the connection is lost.
 */
import {
  create,
  fromBinary,
  type JsonObject,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf'
import { backoffMs } from '@weft/base'
import type { ResourceType } from '@weft/model'
import { codec } from '../codec/codec.ts'
import { NodeSchema } from '../gen/envoy/config/core/v3/base_pb.js'
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.js'
import type { XdsNode } from '../node.ts'
import { HEALTH_TYPE_URL, RESOURCE_TYPES, resourceTypeOf, TYPE_URLS } from '../type-urls.ts'
import type {
  AdsClient,
  AdsClientDeps,
  AdsClientOptions,
  AdsClientState,
  Rejection,
} from './ads-client.ts'
import { openTransport, type Transport } from './ads-transport.ts'
import { Dependencies } from './dependencies.ts'
import { LastGood } from './last-good.ts'
import { Rejections } from './rejections.ts'
import { type ReadResources, type Refused, ResourceStore } from './resource-store.ts'

const BACKOFF = { baseMs: 500, maxMs: 30_000 }
const DEPENDENCY_TIMEOUT_MS = 15_000
/** Changes come in bursts; the disk gets one of them. */
const SAVE_AFTER_MS = 1_000
/** A control plane that is there answers in milliseconds; what it says is newer than the disk. */
const DISK_AFTER_MS = 1_000
/** Envoy's limit for the text of a NACK. */
const MAX_ERROR_CHARS = 4_096
const INVALID_ARGUMENT = 3
const INTERNAL = 13

const WILDCARD_TYPES: readonly ResourceType[] = ['cluster', 'listener']
const NAMED_TYPES = ['endpoints', 'secret', 'route'] as const

type RequestInit = MessageInitShape<typeof DeltaDiscoveryRequestSchema>

export async function openAdsClient(
  options: AdsClientOptions,
  deps: AdsClientDeps,
): Promise<AdsClient> {
  const client = new Client(options, deps)
  await client.start()
  return client
}

class Client implements AdsClient {
  readonly #options: AdsClientOptions
  readonly #deps: AdsClientDeps
  readonly #store: ResourceStore
  readonly #dependencies: Dependencies
  readonly #lastGood: LastGood | undefined
  readonly #rejections: Rejections
  readonly #subscribed = {
    endpoints: new Set<string>(),
    secret: new Set<string>(),
    route: new Set<string>(),
  }
  /** Types that the control plane has answered, ever. */
  readonly #answered = new Set<ResourceType>()
  /** Listeners to look at even if they come unchanged. */
  readonly #again = new Set<string>()
  /** Listeners that came and are not judged yet; settles when the last of them are. */
  #judging: Promise<void> | undefined
  readonly #stats = { connects: 0, responses: 0, acks: 0, nacks: 0 }
  #state: AdsClientState = { kind: 'closed' }
  #transport: Transport | undefined
  #attempt = 0
  #health: { readonly healthy: boolean; readonly message: string } | undefined
  #introduced = false
  #closed = false
  #cancelRetry: (() => void) | undefined
  #forgetCredentials: (() => void) | undefined
  #cancelWait: (() => void) | undefined
  #cancelSave: (() => void) | undefined
  /** Set while saved resources wait for a control plane that may know better. */
  #cancelSaved: (() => void) | undefined

  constructor(options: AdsClientOptions, deps: AdsClientDeps) {
    this.#options = options
    this.#deps = deps
    this.#store = new ResourceStore(codec, deps.validate, options.localSecrets)
    this.#dependencies = new Dependencies(options.dependencyTimeoutMs ?? DEPENDENCY_TIMEOUT_MS)
    this.#rejections = new Rejections(deps.clock)
    const dir = options.lastGood?.dir
    this.#lastGood =
      dir === undefined ? undefined : new LastGood(dir, this.#nodeNow().cluster, deps.log)
  }

  async start(): Promise<void> {
    await this.#restore()
    this.#forgetCredentials = this.#options.security?.onChange(() => {
      if (this.#state.kind !== 'backoff') return
      this.#cancelRetry?.()
      this.#connect()
    })
    this.#connect()
  }

  state(): AdsClientState {
    return this.#state
  }

  stats() {
    return this.#stats
  }

  rejections(): readonly Rejection[] {
    return this.#rejections.newestFirst()
  }

  askAgain(listeners: readonly string[]): void {
    for (const name of listeners) this.#again.add(name)
    if (this.#state.kind !== 'connected') return
    this.#send({ typeUrl: TYPE_URLS.listener, resourceNamesSubscribe: [...listeners] })
  }

  reconnect(reason: string): void {
    if (this.#transport === undefined) return
    this.#attempt = 0
    this.#transport.close(reason)
  }

  reportHealth(healthy: boolean, message: string): void {
    this.#health = { healthy, message }
    this.#sendHealth()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelRetry?.()
    this.#cancelWait?.()
    this.#forgetCredentials?.()
    this.#forgetSaved()
    this.#transport?.close('closed')
    if (this.#cancelSave !== undefined) {
      this.#cancelSave()
      await this.#lastGood?.save(this.#store)
    }
    this.#setState({ kind: 'closed' })
  }

  async #restore(): Promise<void> {
    const saved = await this.#lastGood?.load()
    if (saved === undefined || saved.size === 0) return
    for (const [type, resources] of saved) {
      for (const { name, problem } of this.#store.put(type, resources)) {
        this.#deps.log.warn('saved resource not used', { type, name, problem })
      }
    }
    this.#cancelSaved = this.#deps.clock.after(DISK_AFTER_MS, () => this.#publishSaved())
  }

  /** No control plane yet: what it said last time has to do. */
  #publishSaved(): void {
    if (this.#cancelSaved === undefined) return
    this.#forgetSaved()
    this.#deps.onUpdate({ ...this.#store.snapshot(), source: 'disk' })
  }

  #forgetSaved(): void {
    this.#cancelSaved?.()
    this.#cancelSaved = undefined
  }

  #connect(): void {
    if (this.#closed) return
    this.#setState({ kind: 'connecting', attempt: this.#attempt })
    this.#stats.connects++
    this.#introduced = false
    const { connect, security } = this.#options
    const credentials = security?.credentials()
    if (security !== undefined && credentials === undefined) {
      this.#ended('there is no certificate for mutual TLS yet')
      return
    }
    const events = {
      onOpen: () => {},
      onMessage: (message: Uint8Array) => this.#receive(message),
      onEnd: (reason: string) => this.#ended(reason),
    }
    const transport = openTransport(connect, this.#deps.clock, events, credentials)
    this.#transport = transport
    for (const type of RESOURCE_TYPES) this.#subscribeAll(type)
    this.#sendHealth()
  }

  /** The first request of a type on a stream: everything wanted, and what is held already. */
  #subscribeAll(type: ResourceType): void {
    const names = WILDCARD_TYPES.includes(type) ? ['*'] : this.#wantedNames(type)
    if (names.length === 0) return
    const versions = this.#store.versions(type)
    if (type === 'listener') for (const name of this.#again) versions.delete(name)
    this.#send({
      typeUrl: TYPE_URLS[type],
      resourceNamesSubscribe: names,
      initialResourceVersions: Object.fromEntries(versions),
    })
  }

  #wantedNames(type: ResourceType): string[] {
    const named = NAMED_TYPES.find((one) => one === type)
    if (named === undefined) return []
    const wanted = this.#subscriptions()[named]
    this.#subscribed[named].clear()
    for (const name of wanted) this.#subscribed[named].add(name)
    return [...wanted]
  }

  #ended(reason: string): void {
    this.#transport = undefined
    if (this.#closed) return
    const delayMs = backoffMs(BACKOFF, this.#attempt, this.#deps.random)
    this.#attempt++
    this.#setState({ kind: 'backoff', delayMs, reason })
    this.#deps.log.warn('control plane lost', { reason, retryInMs: delayMs })
    this.#publishSaved()
    this.#cancelRetry = this.#deps.clock.after(delayMs, () => this.#connect())
  }

  #receive(message: Uint8Array): void {
    const response = fromBinary(DeltaDiscoveryResponseSchema, message)
    this.#stats.responses++
    if (this.#state.kind !== 'connected') {
      // Only a message proves a control plane that works: one that accepts and hangs up does not.
      this.#attempt = 0
      this.#setState({ kind: 'connected' })
    }
    const type = resourceTypeOf(response.typeUrl)
    if (type === undefined) this.#answer(response, 'unknown resource type')
    else if (type === 'listener') this.#judge(response)
    else this.#settle(type, response, this.#apply(type, response))
  }

  /** Whether listeners can be opened may take a while to find out; they are taken in order. */
  #judge(response: DeltaDiscoveryResponse): void {
    const transport = this.#transport
    const read = this.#store.read('listener', resourcesOf(response), this.#again)
    const judged = (problems?: ReadonlyMap<string, string>) => {
      if (this.#closed || this.#transport !== transport) return
      for (const { name } of response.resources) this.#again.delete(name)
      this.#settle('listener', response, this.#take('listener', response, read, problems))
    }
    const ask = () => {
      const came = read.good.map(({ resource }) => resource)
      return this.#deps.unopenable?.(came, response.removedResources)
    }
    const asked = this.#judging === undefined ? ask() : this.#judging.then(ask)
    if (asked === undefined) {
      judged()
      return
    }
    const judging = asked.then(judged).finally(() => {
      if (this.#judging === judging) this.#judging = undefined
    })
    this.#judging = judging
  }

  #settle(type: ResourceType, response: DeltaDiscoveryResponse, error: string | undefined): void {
    this.#answered.add(type)
    if (error !== undefined || this.#wantsOthers()) {
      this.#answer(response, error)
      this.#updateSubscriptions()
      void this.#publishWhenComplete()
      return
    }
    const inForce = this.#publishWhenComplete()
    if (inForce === undefined) this.#answer(response, undefined)
    else this.#answerOnce(inForce, response)
  }

  /** A nonce is of the connection that it came by. */
  #answerOnce(inForce: Promise<void>, response: DeltaDiscoveryResponse): void {
    const transport = this.#transport
    const answer = () => {
      if (this.#transport === transport) this.#answer(response, undefined)
    }
    inForce.then(answer, answer)
  }

  /** Whether subscriptions have to change. */
  #wantsOthers(): boolean {
    const wanted = this.#subscriptions()
    return NAMED_TYPES.some((type) => {
      const subscribed = this.#subscribed[type]
      return (
        subscribed.size !== wanted[type].size ||
        [...wanted[type]].some((name) => !subscribed.has(name))
      )
    })
  }

  /** The reason to refuse the response, if any of it has to be refused. */
  #apply(type: ResourceType, response: DeltaDiscoveryResponse): string | undefined {
    return this.#take(type, response, this.#store.read(type, resourcesOf(response)))
  }

  #take<T extends ResourceType>(
    type: T,
    response: DeltaDiscoveryResponse,
    read: ReadResources<T>,
    problems?: ReadonlyMap<string, string>,
  ): string | undefined {
    const refused: readonly Refused[] = this.#store.take(type, read, problems)
    for (const name of response.removedResources) {
      this.#store.remove(type, name)
      this.#dependencies.markAbsent(`${type} ${name}`)
    }
    for (const { name, version, problem } of refused) {
      this.#rejections.add({ type, name, version, problem })
      this.#dependencies.markAbsent(`${type} ${name}`)
      this.#deps.log.warn('resource refused', { type, name, problem })
    }
    if (refused.length === 0) return undefined
    return refused.map(({ name, problem }) => `${name}: ${problem}`).join('\n')
  }

  #answer({ typeUrl, nonce }: DeltaDiscoveryResponse, error: string | undefined): void {
    if (error === undefined) {
      this.#stats.acks++
      this.#send({ typeUrl, responseNonce: nonce })
      return
    }
    this.#stats.nacks++
    const errorDetail = { code: INVALID_ARGUMENT, message: error.slice(0, MAX_ERROR_CHARS) }
    this.#send({ typeUrl, responseNonce: nonce, errorDetail })
  }

  /** What is referred to, and what is wanted anyway. A set does not wait for the latter. */
  #subscriptions(): ReturnType<ResourceStore['wanted']> {
    const wanted = this.#store.wanted()
    for (const name of this.#options.standingSecrets ?? []) wanted.secret.add(name)
    return wanted
  }

  #updateSubscriptions(): void {
    const wanted = this.#subscriptions()
    for (const type of NAMED_TYPES) {
      const subscribed = this.#subscribed[type]
      const added = [...wanted[type]].filter((name) => !subscribed.has(name))
      const dropped = [...subscribed].filter((name) => !wanted[type].has(name))
      for (const name of added) subscribed.add(name)
      for (const name of dropped) {
        subscribed.delete(name)
        this.#store.remove(type, name)
      }
      if (added.length === 0 && dropped.length === 0) continue
      this.#send({
        typeUrl: TYPE_URLS[type],
        resourceNamesSubscribe: added,
        resourceNamesUnsubscribe: dropped,
      })
    }
  }

  #publishWhenComplete(): Promise<void> | undefined {
    if (!WILDCARD_TYPES.every((type) => this.#answered.has(type))) return undefined
    const missing = new Set<string>()
    const wanted = this.#store.wanted()
    for (const type of NAMED_TYPES) {
      for (const name of wanted[type])
        if (!this.#store.has(type, name)) missing.add(`${type} ${name}`)
    }
    this.#cancelWait?.()
    this.#cancelWait = undefined
    const nowMs = this.#deps.clock.monotonicMs()
    const untilMs = this.#dependencies.waitUntilMs(missing, nowMs)
    if (untilMs !== undefined) {
      const again = () => void this.#publishWhenComplete()
      this.#cancelWait = this.#deps.clock.after(untilMs - nowMs, again)
      return undefined
    }
    if (!this.#store.hasChanges() && this.#cancelSaved === undefined) return undefined
    this.#forgetSaved()
    const inForce = this.#deps.onUpdate({ ...this.#store.snapshot(), source: 'control' })
    this.#saveSoon()
    return inForce ?? undefined
  }

  #saveSoon(): void {
    const lastGood = this.#lastGood
    if (lastGood === undefined) return
    this.#cancelSave ??= this.#deps.clock.after(SAVE_AFTER_MS, () => {
      this.#cancelSave = undefined
      // Its failures are logged there.
      void lastGood.save(this.#store)
    })
  }

  #sendHealth(): void {
    const health = this.#health
    if (health === undefined) return
    const errorDetail = { code: INTERNAL, message: health.message }
    this.#send({ typeUrl: HEALTH_TYPE_URL, ...(health.healthy ? {} : { errorDetail }) })
  }

  #send(request: RequestInit): void {
    const transport = this.#transport
    if (transport === undefined) return
    const first = !this.#introduced
    this.#introduced = true
    const message = create(DeltaDiscoveryRequestSchema, request)
    if (first) message.node = create(NodeSchema, this.#node())
    transport.send(toBinary(DeltaDiscoveryRequestSchema, message))
  }

  #nodeNow(): XdsNode {
    const { node } = this.#options
    return typeof node === 'function' ? node() : node
  }

  #node(): MessageInitShape<typeof NodeSchema> {
    const { id, cluster, locality, metadata, userAgentName, features } = this.#nodeNow()
    return {
      id,
      cluster,
      locality,
      metadata: metadata as JsonObject,
      userAgentName,
      clientFeatures: [...features],
    }
  }

  #setState(state: AdsClientState): void {
    this.#state = state
    this.#deps.onState?.(state)
  }
}

function resourcesOf({ resources }: DeltaDiscoveryResponse) {
  return resources.flatMap(({ name, version, resource }) =>
    resource === undefined ? [] : [{ name, version, bytes: resource.value }],
  )
}
