/**
 * A program in the mesh that dialled in: its links, what it asks and what it answers.
 *
 *     calls ─► Caller ─► LinkSet ─► Link ─► broker
 *     handlers ◄─ Responder ◄─ Lessor (may it?) ◄─ Link ◄─ broker
 */
import { silentLogger, sleep } from '@weft/base'
import { ABOVE_LEASE, type RSocketPayload, type RSocketStream } from '@weft/wire'
import { hearOfBrokers } from './broker-news.ts'
import { Caller } from './caller.ts'
import { ERROR_CODE, RSocketError } from './errors.ts'
import { LeaseAccount, Lessor, type Tenant } from './lease.ts'
import { Link, type Refusal } from './link/link.ts'
import { RetryTokens } from './link/retry-tokens.ts'
import { LinkSet, type ManagedLink } from './link-set.ts'
import type { Message, Outgoing } from './message.ts'
import { checkMethods, type Settings, usablePlaces } from './options.ts'
import type { Platform } from './platform.ts'
import { Responder } from './responder.ts'
import { ServiceNews } from './service-news.ts'
import { Tokens } from './token.ts'
import type {
  CallOptions,
  ClientStatus,
  ConnectOptions,
  IncomingRequest,
  LinkStatus,
  Methods,
  RSocketClient,
  StreamOptions,
  TlsOptions,
} from './types.ts'

const CLOSE_MS = 10_000
const CLOSE_LOOK_MS = 10
const FEATURES = ['mpush', 'goaway', 'lease']

interface OwnLink extends ManagedLink, Tenant {
  /** Services that hello of this connection had. */
  offered: readonly string[]
  /** Of the token, when this connection took its own. */
  renewals: number
}

export class Client implements RSocketClient {
  readonly #settings: Settings
  readonly #options: ConnectOptions
  readonly #platform: Platform
  readonly #links: LinkSet
  readonly #own = new Map<Link, OwnLink>()
  readonly #responder: Responder
  readonly #caller: Caller
  readonly #lessor: Lessor | undefined
  readonly #tokens: Tokens | undefined
  readonly #news: ServiceNews
  #closing: Promise<void> | undefined
  #leave = () => {}

  constructor(settings: Settings, options: ConnectOptions, platform: Platform) {
    this.#settings = settings
    this.#options = options
    this.#platform = platform
    const { clock, random, schedule } = platform
    const { prefetch, waitingCalls } = settings.limits
    const { onHandlerError = writeHandlerError } = options
    this.#links = new LinkSet(settings, {
      clock,
      random,
      make: (uri, slot) => this.#make(uri, slot),
    })
    this.#caller = new Caller(
      { prefetch, waitingCalls, waitForLinkMs: settings.waitForLinkMs },
      { clock, random, links: this.#links, retries: new RetryTokens() },
    )
    this.#responder = new Responder({
      prefetch,
      onHandlerError: (error, request) => told(() => onHandlerError(error, request)),
      onCount: () => this.#lessor?.onCount(),
    })
    this.#lessor =
      settings.lease &&
      new Lessor(settings.lease, {
        clock,
        schedule,
        meter: platform.openLagMeter(),
        tenants: () => this.#own.values(),
        serving: () => this.#responder.serving,
      })
    const { token } = options
    this.#tokens =
      token === undefined
        ? undefined
        : new Tokens(token, clock, (jwt) => this.#tellAll({ token: { jwt } }))
    this.#news = new ServiceNews(clock)
    for (const [service, methods] of Object.entries(options.services ?? {})) {
      this.#responder.set(service, methods)
    }
  }

  get instance(): string {
    return this.#settings.instance
  }

  /** Resolves when the first link is up. @throws {RSocketError} If none comes up in time. */
  async open(): Promise<void> {
    const { clock } = this.#platform
    const { connectTimeoutMs } = this.#settings
    const untilMs = clock.monotonicMs() + connectTimeoutMs
    this.#leave = this.#platform.stay()
    this.#links.open()
    for (;;) {
      const links = [...this.#links.all]
      if (links.some(({ link }) => link.peer !== undefined)) return
      const leftMs = untilMs - clock.monotonicMs()
      // A broker that says no will say it again.
      const isRefused = links.every(
        ({ link: { refusal } }) => refusal !== undefined && isNo(refusal),
      )
      if (isRefused || leftMs <= 0) {
        this.#shut()
        throw this.#whyClosed(connectTimeoutMs)
      }
      await new Promise<void>((resolve) => {
        const cancelTimer = clock.after(leftMs, resolve)
        this.#onAttempt = () => {
          cancelTimer()
          resolve()
        }
      })
    }
  }

  #onAttempt: (() => void) | undefined

  #whyClosed(timeoutMs: number): RSocketError {
    const links = [...this.#links.all]
    const refusal = links.find(({ link }) => link.refusal !== undefined)?.link.refusal
    if (refusal !== undefined) {
      const [, status = '', why = ''] = /^(WEFT-\d{3} )?(.*)$/s.exec(refusal.message) ?? []
      const code = isNo(refusal) ? 'DENIED' : 'REJECTED'
      return new RSocketError(code, `${status}the broker refuses the connection: ${why}`)
    }
    const problems = links.map(({ link }) => `${link.broker}: ${link.problem ?? 'no answer'}`)
    return new RSocketError(
      'REJECTED',
      `WEFT-503 no broker could be reached in ${timeoutMs} ms (${problems.join('; ')})`,
    )
  }

  status(): ClientStatus {
    return {
      links: [...this.#links.all].map((managed) => statusOf(managed, this.#own)),
      serving: this.#responder.serving,
      calling: this.#caller.calling,
      capacity: this.#lessor?.capacity,
    }
  }

  requestResponse(
    service: string,
    method: string,
    data?: Outgoing,
    options: CallOptions = {},
  ): Promise<Message> {
    return this.#caller.response({ service, method }, data, options)
  }

  fireAndForget(
    service: string,
    method: string,
    data?: Outgoing,
    options: CallOptions = {},
  ): Promise<void> {
    return this.#caller.tell({ service, method }, data, options)
  }

  requestStream(
    service: string,
    method: string,
    data?: Outgoing,
    options: StreamOptions = {},
  ): AsyncGenerator<Message, void, undefined> {
    return this.#caller.stream({ service, method }, data, options)
  }

  requestChannel(
    service: string,
    method: string,
    items: AsyncIterable<Outgoing> | Iterable<Outgoing>,
    options: CallOptions = {},
  ): AsyncGenerator<Message, void, undefined> {
    return this.#caller.channel({ service, method }, items, options)
  }

  async handle(service: string, methods: Methods): Promise<() => Promise<void>> {
    checkMethods(service, methods)
    if (this.#caller.closed) throw new RSocketError('REJECTED', 'WEFT-503 the client is closed')
    const isNew = this.#responder.methodsOf(service) === undefined
    this.#responder.set(service, methods)
    if (isNew) await this.#news.tell(this.#up(), { add: [{ name: service }] })
    return async () => {
      if (this.#responder.methodsOf(service) !== methods) return
      // First the brokers, so that none of them sends anything to who refuses it.
      await this.#news.tell(this.#up(), { remove: [{ name: service }] })
      if (this.#responder.methodsOf(service) === methods) this.#responder.delete(service)
      // Somebody has offered it again meanwhile, and nothing was said as it was still there.
      else await this.#news.tell(this.#up(), { add: [{ name: service }] })
    }
  }

  async refreshToken(): Promise<void> {
    await this.#tokens?.refresh()
  }

  close(deadlineMs = CLOSE_MS): Promise<void> {
    this.#closing ??= this.#close(deadlineMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(deadlineMs: number): Promise<void> {
    const { clock } = this.#platform
    const endMs = clock.monotonicMs() + deadlineMs
    this.#caller.closed = true
    this.#links.settle()
    this.#lessor?.stop()
    const told = Promise.all(this.#up().map((link) => link.say('draining')))
    await Promise.race([told, sleep(clock, deadlineMs)])
    this.#responder.closed = true
    const isBusy = () => this.#responder.serving > 0 || this.#caller.calling > 0
    while (isBusy() && clock.monotonicMs() < endMs) await sleep(clock, CLOSE_LOOK_MS)
    this.#shut()
  }

  #shut(): void {
    this.#caller.stop()
    this.#responder.closed = true
    this.#lessor?.stop()
    this.#tokens?.close()
    this.#links.close()
    this.#leave()
  }

  #up(): readonly Link[] {
    return [...this.#links.all].map(({ link }) => link).filter(({ peer }) => peer !== undefined)
  }

  #tellAll(event: Readonly<Record<string, unknown>>): void {
    for (const link of this.#up()) link.tell(event)
  }

  #make(uri: string, slot: number): ManagedLink {
    const { clock, random } = this.#platform
    const { dataMime, limits, lease, keepaliveMs, maxLifetimeMs } = this.#settings
    const link: Link = new Link(
      {
        broker: uri,
        dial: (handler) => this.#platform.dial(uri, this.#tls(), handler),
        hello: () => {
          own.offered = this.#responder.services
          return this.#hello(slot)
        },
        token:
          this.#tokens === undefined
            ? undefined
            : () => {
                own.renewals = this.#tokens?.renewals ?? 0
                return this.#tokens?.take()
              },
        dataMime,
        leases: lease !== undefined,
        maxStreams: limits.streams,
        maxPayloadBytes: limits.payloadBytes,
        ...{ keepaliveMs, maxLifetimeMs },
      },
      {
        ...{ clock, random, log: silentLogger },
        onRequest: (stream, payload) => this.#onRequest(own, stream, payload),
        onState: () => this.#onState(own),
        onFailed: () => this.#onFailed(own),
        onIntroduced: () => this.#lessor?.open(own),
        onLease: () => this.#links.onLease(),
        onEvent: (event) => this.#onEvent(own, event),
      },
    )
    const own: OwnLink = {
      ...{
        link,
        uri,
        slot,
        retiring: false,
        account: new LeaseAccount(),
        offered: [],
        renewals: 0,
      },
      lease: (granted) => link.lease(granted),
      get isThere() {
        return link.peer !== undefined && !own.retiring
      },
    }
    this.#own.set(link, own)
    return own
  }

  #tls(): TlsOptions {
    const { tls = {} } = this.#options
    return typeof tls === 'function' ? tls() : tls
  }

  #hello(slot: number): Readonly<Record<string, unknown>> {
    const { instance, app, namespace, labels, zone, weight } = this.#settings
    return {
      v: 1,
      ...{ instance, app, ns: namespace, link: slot, labels, zone, weight },
      services: this.#responder.services.map((name) => ({
        name,
        methods: Object.keys(this.#responder.methodsOf(name) ?? {}),
      })),
      features: FEATURES,
    }
  }

  #onRequest(own: OwnLink, stream: RSocketStream, payload: RSocketPayload): void {
    const { carrier } = own.link
    if (carrier === undefined) return
    if (this.#lessor?.admit(own) === false) {
      stream.fail(ERROR_CODE.REJECTED, ABOVE_LEASE)
      return
    }
    this.#responder.onRequest(stream, payload, carrier.outgoing)
  }

  #onState(own: OwnLink): void {
    if (own.link.peer !== undefined) this.#catchUp(own)
    this.#links.onState(own)
    this.#prune()
    this.#onAttempt?.()
    told(() => this.#options.onLinkChange?.(this.status()))
  }

  /** What came and went since hello, while the link was not up and was told no news. */
  #catchUp({ link, offered, renewals }: OwnLink): void {
    const jwt = this.#tokens?.newerThan(renewals)
    if (jwt !== undefined) link.tell({ token: { jwt } })
    const { services } = this.#responder
    const add = services.filter((name) => !offered.includes(name)).map((name) => ({ name }))
    const remove = offered.filter((name) => !services.includes(name)).map((name) => ({ name }))
    if (add.length + remove.length > 0) void this.#news.tell([link], { add, remove })
  }

  #onFailed(own: OwnLink): void {
    this.#links.onState(own)
    this.#prune()
    this.#onAttempt?.()
  }

  /** Links that were replaced are not kept. */
  #prune(): void {
    const kept = new Set([...this.#links.all].map(({ link }) => link))
    for (const link of this.#own.keys()) if (!kept.has(link)) this.#own.delete(link)
  }

  #onEvent(own: OwnLink, event: Readonly<Record<string, unknown>>): void {
    const { token, ack } = event
    hearOfBrokers(this.#links, own, event, (uris, zones) =>
      usablePlaces(uris, zones, this.#settings.brokers, this.#platform.schemes),
    )
    if (token !== undefined) this.refreshToken().catch(() => {})
    if (isRecord(ack)) this.#news.onAck(own.link, ack.seq)
  }
}

/** No for good: a broker that has no room (503) may have some soon. */
function isNo({ message }: Refusal): boolean {
  return !message.startsWith('WEFT-503 ')
}

function statusOf(
  { link, uri, retiring }: ManagedLink,
  own: ReadonlyMap<Link, OwnLink>,
): LinkStatus {
  const account = own.get(link)?.account
  return {
    broker: uri,
    isUp: link.peer !== undefined,
    isLeaving: retiring || link.leaving,
    problem: link.problem,
    leased: account?.leased ?? 0,
    received: account?.received ?? 0,
  }
}

/** Callers hear that it failed and not why: somebody has to. */
function writeHandlerError(error: unknown, { service, method }: IncomingRequest): void {
  // biome-ignore lint/suspicious/noConsole: where programs without a handler of their own look
  console.error(`@weft/rsocket: the handler of ${service}.${method} failed:`, error)
}

/** What a program does with news is its own: it must not break what is under way here. */
function told(tell: () => void): void {
  try {
    tell()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
