/** An opaque TCP connection on its way to a cluster (Envoy's tcp_proxy). */
import type { SocketAddress } from '@weft/model'
import type { Socket, SocketHandler, Timed } from '@weft/net'
import type { ConnectionRecord, EngineDeps, TcpRuntime } from '../exchange/contract.ts'
import { type Failure, failureFlag } from '../exchange/failures.ts'
import { LogInterval } from './log-interval.ts'
import { TcpDial } from './tcp-dial.ts'
import { Tunnel } from './tunnel.ts'

/** What is known of a connection before it is proxied. */
export interface TcpStart {
  /** What the client sent already. */
  readonly firstBytes?: Buffer | undefined
  /** The client sent its end of stream already. */
  readonly clientEnded?: boolean
  /** A way to the upstream that was begun already, for the same runtime. */
  readonly dial?: TcpDial | undefined
  /** Asked for in a ClientHello that is passed through. */
  readonly serverName?: string | undefined
  /** Why the connection is refused; then it is only told of and closed. */
  readonly denial?: string | undefined
  /** Calls `revoke` when the connection may not go on any more. @returns Stops. */
  watch?(revoke: (denial: string) => void): () => void
}

/** Starts it; `left` is called once when it is gone. Reading is paused until there is an upstream. */
export function proxyTcp(
  socket: Socket,
  runtime: TcpRuntime,
  start: TcpStart,
  left: () => void,
  deps: EngineDeps,
): SocketHandler {
  const connection = new TcpConnection(socket, runtime, start, left, deps)
  connection.start()
  // A way that was begun may have led there already: the tunnel handles the socket then.
  return socket.handler
}

class TcpConnection implements SocketHandler, Timed {
  deadlineTick = 0
  slotTick = 0
  readonly #socket: Socket
  readonly #runtime: TcpRuntime
  readonly #start: TcpStart
  readonly #left: () => void
  readonly #deps: EngineDeps
  readonly #startedMs: number
  readonly #remote: SocketAddress
  readonly #local: SocketAddress
  readonly #dial: TcpDial
  #tunnel: Tunnel | undefined
  #upstreamLocal: SocketAddress | undefined
  #clientEnded: boolean
  #opened = false
  #denial = ''
  #stopWatching: (() => void) | undefined
  #logs: LogInterval | undefined
  #over = false

  constructor(
    socket: Socket,
    runtime: TcpRuntime,
    start: TcpStart,
    left: () => void,
    deps: EngineDeps,
  ) {
    this.#socket = socket
    this.#runtime = runtime
    this.#start = start
    this.#left = left
    this.#deps = deps
    this.#startedMs = deps.clock.monotonicMs()
    this.#remote = socket.remoteAddress
    this.#local = socket.localAddress
    this.#clientEnded = start.clientEnded === true
    this.#dial = start.dial ?? new TcpDial(runtime, socket, NO_EVENTS, deps)
  }

  start(): void {
    const { denial } = this.#start
    if (denial !== undefined) {
      this.#socket.handler = this
      this.#refuse(denial)
      return
    }
    this.#stopWatching = this.#start.watch?.((reason) => this.#refuse(reason))
    const { maxConnectionDurationMs } = this.#runtime.proxy
    if (maxConnectionDurationMs !== undefined) {
      this.#deps.wheel.arm(this, maxConnectionDurationMs, this.#startedMs)
    }
    const { intervalMs } = this.#runtime.proxy.accessLogFlush ?? {}
    if (intervalMs !== undefined) {
      this.#logs = new LogInterval(intervalMs, () => this.#log('TcpPeriodic'), this.#deps)
    }
    this.#socket.handler = this
    this.#socket.pause()
    this.#dial.events = {
      onConnected: () => this.#connected(),
      onFailed: (failure, detail) => this.#fail(failure, detail),
      onServerSpoke() {},
    }
    if (this.#start.dial === undefined) this.#dial.start()
    else if (this.#dial.upstream !== undefined) this.#connected()
  }

  #refuse(denial: string): void {
    this.#denial = denial
    // A tunnel tells of its end itself.
    if (this.#tunnel !== undefined) {
      this.#tunnel.close('')
      return
    }
    this.#dial.giveUp()
    this.#end('-', denial, 0, 0)
    this.#socket.close()
  }

  #connected(): void {
    const dial = this.#dial
    const { upstream } = dial
    if (upstream === undefined) return
    dial.takeOver()
    this.#upstreamLocal = upstream.localAddress
    this.#opened = true
    this.#runtime.observer.onConnectionStart?.(this.#record('-', '', 0, 0))
    if (this.#runtime.proxy.accessLogFlush?.onConnected === true) this.#log('TcpUpstreamConnected')
    const tunnel = new Tunnel(
      this.#socket,
      upstream,
      {
        idleTimeoutMs: this.#runtime.proxy.idleTimeoutMs,
        onEnd: ({ receivedBytes, sentBytes }, flag) => {
          dial.release()
          const detail = flag === 'DT' ? 'max connection duration reached' : this.#denial
          this.#end(flag === '' ? '-' : flag, detail, receivedBytes, sentBytes)
        },
      },
      this.#deps,
    )
    this.#tunnel = tunnel
    tunnel.start(this.#start.firstBytes, dial.early)
    if (dial.ended) tunnel.upstreamEnded()
    if (this.#clientEnded) tunnel.clientEnded()
  }

  #fail(failure: Failure, detail: string): void {
    this.#end(tcpFlag(failure), detail, 0, 0)
    this.#socket.close()
  }

  #log(logType: NonNullable<ConnectionRecord['logType']>): void {
    const { receivedBytes = 0, sentBytes = 0 } = this.#tunnel ?? {}
    const record = { ...this.#record('-', '', receivedBytes, sentBytes), logType }
    this.#runtime.observer.onConnectionLog?.(record)
  }

  onDeadline(): void {
    if (this.#tunnel !== undefined) {
      this.#tunnel.close('DT')
      return
    }
    this.#dial.giveUp()
    this.#end('DT', 'max connection duration reached', 0, 0)
    this.#socket.close()
  }

  #end(flags: string, detail: string, receivedBytes: number, sentBytes: number): void {
    if (this.#over) return
    this.#over = true
    this.#deps.wheel.disarm(this)
    this.#logs?.stop()
    this.#stopWatching?.()
    this.#runtime.observer.onConnectionEnd(this.#record(flags, detail, receivedBytes, sentBytes))
    this.#left()
  }

  #record(
    responseFlags: string,
    failureDetail: string,
    receivedBytes: number,
    sentBytes: number,
  ): ConnectionRecord {
    const { clock } = this.#deps
    const durationMs = clock.monotonicMs() - this.#startedMs
    const { cluster, host, attempts } = this.#dial
    return {
      direction: this.#runtime.direction,
      listener: this.#runtime.listener,
      responseFlags,
      failureDetail,
      receivedBytes,
      sentBytes,
      startedAtMs: clock.nowMs() - durationMs,
      durationMs,
      cluster: cluster?.model,
      endpoint: host?.endpoint,
      upstreamAddress: host?.endpoint.address,
      upstreamLocal: this.#upstreamLocal,
      downstreamRemote: this.#remote,
      downstreamDirect: this.#socket.directAddress,
      downstreamLocal: this.#local,
      opened: this.#opened,
      attempts,
      serverName: this.#start.serverName ?? this.#socket.tls?.serverName,
      downstreamTls: this.#socket.tls,
    }
  }

  onOpen(): void {}
  onData(): void {}
  onDrain(): void {}

  onEnd(): void {
    this.#clientEnded = true
  }

  /** The client went before there was an upstream. */
  onClose(): void {
    this.#dial.giveUp()
    this.#end('DC', 'the client closed the connection', 0, 0)
  }
}

const NO_EVENTS = { onConnected() {}, onFailed() {}, onServerSpoke() {} }

/** As Envoy's TCP proxy says it: without a further try a failed one is also the last. */
function tcpFlag(failure: Failure): string {
  const isConnect = failure === 'connectFailure' || failure === 'connectTimeout'
  return isConnect ? `${failureFlag(failure)},URX` : failureFlag(failure)
}
