/** An opaque TCP connection on its way to a cluster (Envoy's tcp_proxy). */
import type { Cluster, Endpoint, SocketAddress } from '@weft/model'
import type { Socket, SocketHandler } from '@weft/net'
import { FIRST_PICK, type Host } from '@weft/traffic'
import type { ConnectionRecord, EngineDeps, TcpRuntime } from '../exchange/contract.ts'
import { type Failure, failureFlag } from '../exchange/failures.ts'
import type { UpstreamCluster } from '../upstream/cluster.ts'
import { rawConnect } from '../upstream/raw-connect.ts'
import { Tunnel } from './tunnel.ts'

/** Starts it; `left` is called once when it is gone. Reading is paused until there is an upstream. */
export function proxyTcp(
  socket: Socket,
  runtime: TcpRuntime,
  firstBytes: Buffer | undefined,
  left: () => void,
  deps: EngineDeps,
): SocketHandler {
  return new TcpConnection(socket, runtime, firstBytes, left, deps)
}

class TcpConnection implements SocketHandler {
  readonly #socket: Socket
  readonly #runtime: TcpRuntime
  readonly #firstBytes: Buffer | undefined
  readonly #left: () => void
  readonly #deps: EngineDeps
  readonly #startedMs: number
  readonly #remote: SocketAddress
  readonly #local: SocketAddress
  #cluster: UpstreamCluster | undefined
  #host: Host | undefined
  #giveUp: (() => void) | undefined
  #over = false

  constructor(
    socket: Socket,
    runtime: TcpRuntime,
    firstBytes: Buffer | undefined,
    left: () => void,
    deps: EngineDeps,
  ) {
    this.#socket = socket
    this.#runtime = runtime
    this.#firstBytes = firstBytes
    this.#left = left
    this.#deps = deps
    this.#startedMs = deps.clock.monotonicMs()
    this.#remote = socket.remoteAddress
    this.#local = socket.localAddress
    socket.handler = this
    socket.pause()
    this.#connect()
  }

  #connect(): void {
    const { clusters, proxy } = this.#runtime
    const name = pickWeighted(proxy.targets, this.#deps.random)
    const cluster = clusters.get(name)
    this.#cluster = cluster
    if (cluster === undefined) {
      this.#fail('noCluster', `no cluster is called ${name}`)
      return
    }
    const host =
      cluster.model.discovery.kind === 'originalDst'
        ? cluster.named(this.#local, '')
        : cluster.pick(FIRST_PICK)
    if (host === undefined) {
      this.#fail('noHealthyEndpoint', `no endpoint of ${name}`)
      return
    }
    this.#host = host
    host.activeRequests++
    this.#giveUp = rawConnect(
      cluster,
      host,
      {
        onConnected: (upstream) => this.#tunnel(cluster, host, upstream),
        onFailed: (failure, detail) => {
          host.activeRequests--
          this.#host = undefined
          this.#fail(failure, detail)
        },
      },
      this.#deps,
    )
  }

  #tunnel(cluster: UpstreamCluster, host: Host, upstream: Socket): void {
    this.#giveUp = undefined
    const tunnel = new Tunnel(
      this.#socket,
      upstream,
      {
        idleTimeoutMs: this.#runtime.proxy.idleTimeoutMs,
        onEnd: ({ receivedBytes, sentBytes }, flag) => {
          host.activeRequests--
          cluster.limits.release('connections')
          this.#end(flag === '' ? '-' : flag, '', host.endpoint, receivedBytes, sentBytes)
        },
      },
      this.#deps,
    )
    tunnel.start(this.#firstBytes, undefined)
  }

  #fail(failure: Failure, detail: string): void {
    this.#giveUp = undefined
    this.#end(failureFlag(failure), detail, undefined, 0, 0)
    this.#socket.close()
  }

  #end(
    responseFlags: string,
    failureDetail: string,
    endpoint: Endpoint | undefined,
    receivedBytes: number,
    sentBytes: number,
  ): void {
    if (this.#over) return
    this.#over = true
    const { clock } = this.#deps
    const durationMs = clock.monotonicMs() - this.#startedMs
    const cluster: Cluster | undefined = this.#cluster?.model
    const record: ConnectionRecord = {
      direction: this.#runtime.direction,
      listener: this.#runtime.listener,
      responseFlags,
      failureDetail,
      receivedBytes,
      sentBytes,
      startedAtMs: clock.nowMs() - durationMs,
      durationMs,
      cluster,
      endpoint,
      upstreamAddress: endpoint?.address,
      downstreamRemote: this.#remote,
      downstreamLocal: this.#local,
    }
    this.#runtime.observer.onConnectionEnd(record)
    this.#left()
  }

  onOpen(): void {}
  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}

  /** The client went before there was an upstream. */
  onClose(): void {
    this.#giveUp?.()
    if (this.#host !== undefined && !this.#over) this.#host.activeRequests--
    this.#end('DC', 'the client closed the connection', undefined, 0, 0)
  }
}

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
