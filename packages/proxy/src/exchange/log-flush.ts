/**
 * Lines about an exchange that goes on (Envoy's `access_log_options`): when it begins, when it
 * became a tunnel, and at an interval.
 */
import type { HttpConnectionManager } from '@weft/model'
import { LogInterval } from '../downstream/log-interval.ts'
import type { Tunnel } from '../downstream/tunnel.ts'
import type { ExchangeLogType } from './contract.ts'
import type { Exchange } from './exchange.ts'

type Flush = NonNullable<HttpConnectionManager['accessLogFlush']>

export class LogFlush {
  readonly #x: Exchange
  readonly #flush: Flush
  readonly #interval: LogInterval | undefined
  /** Of the line that is written at this moment; absent: the last one. */
  logType: ExchangeLogType | undefined
  /** What the exchange has become. */
  #tunnel: Pick<Tunnel, 'receivedBytes' | 'sentBytes'> | undefined

  constructor(x: Exchange, flush: Flush) {
    this.#x = x
    this.#flush = flush
    const { intervalMs } = flush
    if (intervalMs === undefined) return
    this.#interval = new LogInterval(intervalMs, () => this.#log('DownstreamPeriodic'), x.deps)
  }

  /** The head is judged, and filters have not seen it yet. */
  begun(): void {
    if (this.#flush.onNewRequest === true) this.#log('DownstreamStart')
  }

  tunnelled(tunnel: Pick<Tunnel, 'receivedBytes' | 'sentBytes'>): void {
    this.#tunnel = tunnel
    if (this.#flush.onTunnel === true) this.#log('DownstreamTunnelSuccessfullyEstablished')
  }

  /** The exchange has ended. */
  stop(): void {
    this.#x.logFlush = undefined
    this.#interval?.stop()
  }

  #log(logType: ExchangeLogType): void {
    const x = this.#x
    if (this.#tunnel !== undefined) {
      x.request.bytes = this.#tunnel.receivedBytes
      x.responseBodyBytes = this.#tunnel.sentBytes
    }
    // Of what goes on, records tell as if it ended here.
    x.endedMs = x.deps.clock.monotonicMs()
    this.logType = logType
    x.runtime.observer.onExchangeLog?.(x.view)
    this.logType = undefined
  }
}

export function startLogs(x: Exchange, flush: Flush): void {
  x.logFlush = new LogFlush(x, flush)
  x.logFlush.begun()
}
