/**
 * The way to an endpoint of a TCP proxy: picks a cluster and an endpoint, tries another endpoint
 * when one does not accept, and holds the connection until somebody takes it over. Until then it
 * can listen in: what the server says first is kept.
 *
 *     dialling ─► open (─► spoke) ─► taken over
 *         └──────────┴──────────────► over
 */
import { fnv1a } from '@weft/base'
import type { Socket, SocketHandler } from '@weft/net'
import type { Host, PickRequest } from '@weft/traffic'
import type { EngineDeps, TcpRuntime } from '../exchange/contract.ts'
import type { Failure } from '../exchange/failures.ts'
import type { ClientEnds } from '../tls/connect-upstream.ts'
import type { UpstreamCluster } from '../upstream/cluster.ts'
import { rawConnect } from '../upstream/raw-connect.ts'

export interface DialEvents {
  /** Reading is paused. */
  onConnected(): void
  /** No try succeeded, or the connection was lost before it was taken over. */
  onFailed(failure: Failure, detail: string): void
  /** The server sent bytes, or its end; only while `listenIn` is on. */
  onServerSpoke(): void
}

export class TcpDial implements SocketHandler {
  readonly runtime: TcpRuntime
  events: DialEvents
  attempts = 0
  cluster: UpstreamCluster | undefined
  /** Of the running or successful try, else of the last one. */
  host: Host | undefined
  upstream: Socket | undefined
  /** What the server sent so far. */
  early: Buffer | undefined
  /** The server sent its end of stream. */
  ended = false
  readonly #client: ClientEnds
  readonly #deps: EngineDeps
  readonly #tried = new Set<Host>()
  #giveUp: (() => void) | undefined
  #counts = false

  constructor(runtime: TcpRuntime, client: ClientEnds, events: DialEvents, deps: EngineDeps) {
    this.runtime = runtime
    this.events = events
    this.#client = client
    this.#deps = deps
  }

  /** May call `onFailed` before it returns. */
  start(): void {
    const { clusters, proxy } = this.runtime
    const name = pickWeighted(proxy.targets, this.#deps.random)
    const cluster = clusters.get(name)
    this.cluster = cluster
    if (cluster === undefined) this.events.onFailed('noCluster', `no cluster is called ${name}`)
    else this.#try(cluster)
  }

  #try(cluster: UpstreamCluster): void {
    const host = this.#choose(cluster)
    if (host === undefined) {
      this.events.onFailed('noHealthyEndpoint', `no endpoint of ${cluster.model.name}`)
      return
    }
    this.attempts++
    this.host = host
    this.#tried.add(host)
    host.activeRequests++
    this.#counts = true
    const handler = {
      onConnected: (upstream: Socket) => this.#connected(upstream),
      onFailed: (failure: Failure, detail: string) => {
        this.#giveUp = undefined
        this.#leaveHost()
        const { maxConnectAttempts = 1 } = this.runtime.proxy
        const mayRetry = failure === 'connectFailure' || failure === 'connectTimeout'
        if (mayRetry && this.attempts < maxConnectAttempts) this.#try(cluster)
        else this.events.onFailed(failure, detail)
      },
    }
    const giveUp = rawConnect(cluster, host, handler, this.#deps, { client: this.#client })
    // A refusal may have come at once, and another try begun.
    if (this.#counts && this.host === host && this.upstream === undefined) this.#giveUp ??= giveUp
  }

  #choose(cluster: UpstreamCluster): Host | undefined {
    const { localAddress, remoteAddress } = this.#client
    if (cluster.model.discovery.kind === 'originalDst') return cluster.named(localAddress, '')
    const hash = this.runtime.proxy.hashSourceIp === true ? fnv1a(remoteAddress.host) : undefined
    const request: PickRequest = { hash, tried: this.#tried.size === 0 ? undefined : this.#tried }
    return cluster.pick(request) ?? cluster.pick({ hash, tried: undefined })
  }

  #connected(upstream: Socket): void {
    this.#giveUp = undefined
    this.upstream = upstream
    upstream.handler = this
    this.events.onConnected()
  }

  /** Hears what the server says first. */
  listenIn(): void {
    this.upstream?.resume()
  }

  /** The caller sets the handler of `upstream`, and calls `release` when it is gone. */
  takeOver(): void {
    this.upstream?.pause()
  }

  /** The connection, or the hope of one, is no longer wanted. */
  giveUp(): void {
    const { upstream } = this
    this.events = NOBODY
    if (upstream === undefined) {
      this.#giveUp?.()
      this.#giveUp = undefined
      this.#leaveHost()
    } else upstream.close()
  }

  /** What the connection counted for. */
  release(): void {
    this.#leaveHost()
    this.cluster?.limits.release('connections')
  }

  #leaveHost(): void {
    if (!this.#counts || this.host === undefined) return
    this.#counts = false
    this.host.activeRequests--
  }

  // Until somebody takes over.

  onOpen(): void {}
  onDrain(): void {}

  onData(bytes: Uint8Array, length: number): void {
    const piece = bytes.subarray(0, length)
    this.early = this.early === undefined ? Buffer.from(piece) : Buffer.concat([this.early, piece])
    this.upstream?.pause()
    this.events.onServerSpoke()
  }

  onEnd(): void {
    this.ended = true
    this.events.onServerSpoke()
  }

  onClose(error: Error | undefined): void {
    this.release()
    this.upstream = undefined
    this.events.onFailed('connectFailure', error?.message ?? 'closed by the upstream')
  }
}

const NOBODY: DialEvents = { onConnected() {}, onFailed() {}, onServerSpoke() {} }

function pickWeighted(
  targets: readonly { readonly cluster: string; readonly weight: number }[],
  random: () => number,
): string {
  const total = targets.reduce((sum, { weight }) => sum + weight, 0)
  let rest = random() * total
  let last = targets[0]?.cluster ?? ''
  for (const { cluster, weight } of targets) {
    if (weight === 0) continue
    last = cluster
    rest -= weight
    if (rest < 0) return cluster
  }
  return last
}
