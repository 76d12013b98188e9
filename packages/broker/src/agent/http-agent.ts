/**
 * An ordinary HTTP application in the mesh without a port of its own: its links dial out to the
 * brokers, what comes in over them is asked of the application on this machine, and what the
 * application asks through its HTTP proxy goes out over them.
 *
 *     application ──HTTP_PROXY──► server ──► one of the links that are up ──► broker
 *     application ◄──HTTP──────── callHttp ◄── link ◄──────────────────────── broker
 */
import { Agent } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Clock, type Logger, sleep } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import {
  type BrokerTarget,
  hearOfBrokers,
  Link,
  LinkSet,
  type ManagedLink,
  openCarrier,
  RetryTokens,
  renderTarget,
  type TokenSource,
  Tokens,
  usablePlaces,
} from '@weft/rsocket/link'
import type { RSocketPayload, RSocketPeer, RSocketStream } from '@weft/wire'
import { RSOCKET_ERROR } from '@weft/wire'
import type { ApplicationAddress } from '../http/application-address.ts'
import { callHttp } from '../http/call-http.ts'
import { Http2Application } from '../http/call-http2.ts'
import { createEitherServer, type EitherServer } from '../http/either-version.ts'
import { type HttpPeers, serveHttp } from '../http/serve-http.ts'
import { serveUpgrade } from '../http/upgrade.ts'
import { readMetricsRequest } from '../scrape/metrics-call.ts'
import { answerMetrics, type MetricsSource } from './local-metrics.ts'
import { watchPort } from './watch-port.ts'

export interface HttpAgentOptions {
  /** Where the first links go, at least one; later where brokers say that brokers are. */
  readonly brokers: readonly [BrokerTarget, ...BrokerTarget[]]
  /** How a broker is dialled that others tell of; undefined: not at all. Absent: only `brokers` are. */
  readonly targetOf?: (uri: string) => BrokerTarget | undefined
  /** To so many brokers if there are so many, in different zones if there are; at least 1. */
  readonly links: number
  /** Unique to this process, for its life. */
  readonly instance: string
  readonly app: string
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly zone: string
  /** Under which names callers of the mesh know it; none: it only calls. */
  readonly services: readonly { readonly name: string; readonly port: number }[]
  /** Who answers; absent: it only calls. */
  readonly application?: ApplicationAddress
  /** What it speaks; `h2c`: HTTP/2 in the clear, as gRPC servers do. Default: HTTP/1.1. */
  readonly applicationProtocol?: 'http1' | 'h2c'
  /** Where the application's metrics are; absent: Prometheus does not get them through brokers. */
  readonly metrics?: MetricsSource
  /** Where the application's HTTP proxy listens, loopback; absent: nowhere. */
  readonly outbound?: SocketAddress
  /** A function is asked for each connection, and for the next token before one ends. */
  readonly token?: TokenSource
}

export interface HttpAgentDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Something about `status()` is different. */
  onChange?(): void
}

export interface HttpAgentStatus {
  readonly links: readonly {
    readonly broker: string
    readonly isUp: boolean
    /** Why it is not up, as far as anybody said. */
    readonly problem: string | undefined
  }[]
  /** Whether the application answers; absent: there is none to ask. */
  readonly isApplicationUp: boolean | undefined
  /** Requests of others that it has under way. */
  readonly serving: number
}

const DRAIN_LOOK_MS = 20
/** That `targetOf` may be asked for. */
const SCHEMES = ['tcp', 'tls', 'tcps', 'ws', 'wss']

export class HttpAgent implements HttpPeers {
  readonly #options: HttpAgentOptions
  readonly #deps: HttpAgentDeps
  readonly #links: LinkSet
  readonly #targets: ReadonlyMap<string, BrokerTarget>
  readonly #agent = new Agent({ keepAlive: true })
  readonly #http2: Http2Application | undefined
  #server: EitherServer | undefined
  #stopWatching: (() => void) | undefined
  #isApplicationUp = false
  #draining = false
  #serving = 0
  readonly #retries = new RetryTokens()
  readonly #tokens: Tokens | undefined

  constructor(options: HttpAgentOptions, deps: HttpAgentDeps) {
    this.#options = options
    this.#deps = deps
    const { brokers, links, token, application, applicationProtocol } = options
    const isHttp2 = application !== undefined && applicationProtocol === 'h2c'
    this.#http2 = isHttp2 ? new Http2Application(application) : undefined
    // Links stay up when their tokens end: they show the next one.
    const show = (jwt: string) => {
      for (const { link } of this.#links.all) link.tell({ token: { jwt } })
    }
    this.#tokens = token === undefined ? undefined : new Tokens(token, deps.clock, show)
    this.#targets = new Map(brokers.map((target) => [renderTarget(target), target]))
    const places = [...this.#targets.keys()].map((uri) => ({ uri, zone: '' }))
    this.#links = new LinkSet(
      { instance: options.instance, brokers: places, links },
      { ...deps, make: (uri, slot) => this.#make(uri, slot) },
    )
  }

  #make(uri: string, slot: number): ManagedLink {
    const tokens = this.#tokens
    const link = new Link(
      {
        broker: uri,
        dial: (handler) => {
          const target = this.#targetOf(uri)
          if (target === undefined) throw new Error('it cannot be dialled from here')
          return openCarrier(target, handler)
        },
        hello: () => this.#hello(slot),
        token: tokens && (() => tokens.take()),
      },
      {
        ...this.#deps,
        onRequest: (stream, payload) => this.#onRequest(stream, payload),
        onState: () => {
          this.#links.onState(managed)
          this.#onLinkState()
        },
        onFailed: () => {
          this.#links.onState(managed)
          this.#deps.onChange?.()
        },
        onEvent: (event) => hearOfBrokers(this.#links, managed, event, this.#places),
      },
    )
    const managed: ManagedLink = { link, uri, slot, retiring: false }
    return managed
  }

  #targetOf(uri: string): BrokerTarget | undefined {
    return this.#targets.get(uri) ?? this.#options.targetOf?.(uri)
  }

  /** Those of a pushed list that may be dialled. */
  readonly #places = (uris: unknown, zones?: unknown) => {
    if (this.#options.targetOf === undefined) return []
    const first = [...this.#targets.keys()].map((uri) => ({ uri, zone: '' }))
    const usable = usablePlaces(uris, zones, first, SCHEMES)
    return usable.filter(({ uri }) => this.#targetOf(uri) !== undefined)
  }

  /** Where the application's HTTP proxy is. */
  get outbound(): SocketAddress | undefined {
    const bound = this.#server?.address as AddressInfo | string | null | undefined
    if (bound === undefined || bound === null || typeof bound === 'string') return undefined
    return { host: bound.address, port: bound.port }
  }

  status(): HttpAgentStatus {
    return {
      links: [...this.#links.all].map(({ uri, link: { peer, problem } }) => ({
        broker: uri,
        isUp: peer !== undefined,
        problem,
      })),
      isApplicationUp: this.#options.application === undefined ? undefined : this.#isApplicationUp,
      serving: this.#serving,
    }
  }

  /** Opens the proxy and dials. @throws The system's error when the proxy cannot listen. */
  async open(): Promise<void> {
    const { outbound, application } = this.#options
    if (outbound !== undefined) this.#server = await this.#listen(outbound)
    this.#links.open()
    if (application === undefined) return
    this.#stopWatching = watchPort(application, this.#deps.clock, (isUp) => {
      this.#isApplicationUp = isUp
      this.#deps.log.info(isUp ? 'the application answers' : 'the application does not answer')
      this.#tell()
      this.#deps.onChange?.()
    })
  }

  async #listen({ host, port }: SocketAddress): Promise<EitherServer> {
    const server = createEitherServer((request, response) => serveHttp(request, response, this))
    server.http1.on('connect', (_request, socket) => {
      socket.end(
        'HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\nconnection: close\r\n' +
          'x-weft-error: the mesh encrypts by itself: call http://, not https://\r\n\r\n',
      )
    })
    server.http1.on('upgrade', (request, socket, early) =>
      serveUpgrade(request, socket, early, this),
    )
    await server.listen({ host, port })
    return server
  }

  #hello(slot: number): Readonly<Record<string, unknown>> {
    const { instance, app, namespace, labels, zone, services, metrics } = this.#options
    return {
      v: 1,
      ...{ instance, app, ns: namespace, link: slot, labels, zone, services },
      features: ['http', 'mpush', 'goaway', ...(metrics === undefined ? [] : ['metrics'])],
      status: this.#wantsRequests ? 'serving' : 'draining',
    }
  }

  get #wantsRequests(): boolean {
    return this.#isApplicationUp && !this.#draining
  }

  /** What a link said when it opened may be old news by now. */
  #onLinkState(): void {
    this.#tell()
    this.#deps.onChange?.()
  }

  #tell(): Promise<unknown> {
    if (this.#options.services.length === 0) return Promise.resolve()
    const status = this.#wantsRequests ? 'serving' : 'draining'
    const staying = [...this.#links.all].filter(({ retiring }) => !retiring)
    return Promise.all(staying.map(({ link }) => link.say(status)))
  }

  #onRequest(stream: RSocketStream, payload: RSocketPayload): void {
    const { application, metrics } = this.#options
    const mimes = metrics && readMetricsRequest(payload.metadata)
    if (metrics !== undefined && mimes !== undefined) {
      answerMetrics(stream, metrics, mimes, this.#agent)
      return
    }
    if (application === undefined || this.#draining) {
      stream.fail(RSOCKET_ERROR.rejected, 'WEFT-503 the application takes no requests')
      return
    }
    this.#serving++
    callHttp(stream, payload, {
      application,
      agent: this.#agent,
      http2: this.#http2,
      onEnd: () => {
        this.#serving--
      },
    })
  }

  // HttpPeers

  /** At random among the links that are up; those of brokers that go come last. */
  pick(tried: readonly RSocketPeer[]): RSocketPeer | undefined {
    if (tried.length === 0) this.#retries.onRequest()
    const up = [...this.#links.all].flatMap((each) => {
      const { peer, leaving } = each.link
      if (peer === undefined || tried.includes(peer)) return []
      return [{ peer, isStaying: !leaving && !each.retiring }]
    })
    const staying = up.filter(({ isStaying }) => isStaying)
    const from = staying.length > 0 ? staying : up
    return from[Math.floor(this.#deps.random() * from.length)]?.peer
  }

  admitRetry(): boolean {
    return this.#retries.admit()
  }

  /** Takes no more requests, waits for those that are under way, then closes. */
  async drain(deadlineMs: number): Promise<void> {
    await this.rest(deadlineMs)
    this.close()
  }

  /**
   * Takes no more requests and resolves when those that are under way have ended; the
   * application's own calls go on.
   *
   * @param deadlineMs After so long it resolves all the same, in milliseconds.
   */
  async rest(deadlineMs: number): Promise<void> {
    const { clock } = this.#deps
    const endMs = clock.monotonicMs() + deadlineMs
    this.#stopWatching?.()
    // First the brokers, so that none of them sends anything to who refuses it.
    this.#isApplicationUp = false
    await Promise.race([this.#tell(), sleep(clock, deadlineMs)])
    this.#draining = true
    while (this.#serving > 0 && clock.monotonicMs() < endMs) await sleep(clock, DRAIN_LOOK_MS)
  }

  /** Closes at once. */
  close(): void {
    this.#draining = true
    this.#stopWatching?.()
    this.#tokens?.close()
    this.#links.close()
    this.#server?.close()
    this.#http2?.close()
    this.#agent.destroy()
  }
}
