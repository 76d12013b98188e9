/**
 * Active health checks of a cluster: asks every host at intervals, and sets `failedCheck` as
 * soon as the thresholds say so.
 *
 *     wait interval + jitter ──► connect, ask ──► outcome or timeout ──► wait …
 *
 * Time is monotonic. When our own event loop stood still, a timeout says nothing about the
 * host: its answer may lie in the kernel. It then gets as long again as we were late.
 */
import type { Clock } from '@weft/base'
import type { HealthCheck, SocketAddress } from '@weft/model'
import type { Socket, SocketHandler } from '@weft/net'
import { type CheckOutcome, HealthState, type Host } from '@weft/traffic'
import {
  Http1Conversation,
  type ProbeConversation,
  ProbeSocket,
  TcpConversation,
} from './health-probe.ts'
import { Http2Conversation } from './health-probe-http2.ts'

/** A timer later than this was held up by ourselves. */
const STALL_MS = 50

export interface HealthCheckDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  random(): number
  /** Connects as requests do, TLS included. */
  connect(host: Host, address: SocketAddress, handler: SocketHandler): Socket
  /** The cluster's name, for probes that name no host. */
  readonly cluster: string
  /** Whether the cluster was ever used: else checks may be rarer. */
  hasTraffic(): boolean
  /** `failedCheck` of a host changed, or a check passed on an ejected one. */
  onChange(host: Host): void
}

/** The checks of a cluster's hosts. */
export class HealthChecker {
  readonly #deps: HealthCheckDeps
  readonly #checks: readonly HealthCheck[]
  readonly #running = new Map<Host, readonly HostCheck[]>()

  /** @param hosts Those that are there are trusted until their first check. */
  constructor(checks: readonly HealthCheck[], hosts: readonly Host[], deps: HealthCheckDeps) {
    this.#checks = checks
    this.#deps = deps
    for (const host of hosts) this.#start(host)
  }

  /** Newest hosts. One that comes now gets no requests before its first check. */
  update(hosts: readonly Host[]): void {
    const kept = new Set(hosts)
    for (const [host, checks] of this.#running) {
      if (kept.has(host)) continue
      for (const check of checks) check.stop()
      this.#running.delete(host)
    }
    for (const host of hosts) {
      if (this.#running.has(host)) continue
      host.failedCheck = true
      this.#start(host)
    }
  }

  stop(): void {
    for (const checks of this.#running.values()) for (const check of checks) check.stop()
    this.#running.clear()
  }

  #start(host: Host): void {
    const checks = this.#checks.map(
      (check) => new HostCheck(check, host, this.#deps, (outcome) => this.#judge(host, outcome)),
    )
    this.#running.set(host, checks)
    for (const check of checks) check.run()
  }

  /** A host is healthy when every check says so. */
  #judge(host: Host, outcome: CheckOutcome): void {
    const failed = this.#running.get(host)?.some((check) => !check.healthy) ?? false
    const changed = failed !== host.failedCheck
    host.failedCheck = failed
    if (changed && !failed) host.startedAtMs = this.#deps.clock.monotonicMs()
    if (changed || (outcome === 'passed' && host.ejected)) this.#deps.onChange(host)
  }
}

/** One check of one host, again and again. */
class HostCheck {
  readonly #check: HealthCheck
  readonly #host: Host
  readonly #deps: HealthCheckDeps
  readonly #report: (outcome: CheckOutcome) => void
  readonly #state: HealthState
  #socket: Socket | undefined
  #cancel: (() => void) | undefined
  /** Tells the conversation that runs from those before it. */
  #round = 0

  constructor(
    check: HealthCheck,
    host: Host,
    deps: HealthCheckDeps,
    report: (outcome: CheckOutcome) => void,
  ) {
    this.#check = check
    this.#host = host
    this.#deps = deps
    this.#report = report
    this.#state = new HealthState(!host.failedCheck)
  }

  get healthy(): boolean {
    return this.#state.healthy
  }

  run(): void {
    const round = ++this.#round
    const { clock } = this.#deps
    const handler = new ProbeSocket(this.#converse((outcome) => this.#conclude(round, outcome)))
    const { host, port } = this.#host.endpoint.address
    const address = { host, port: this.#check.port ?? port }
    this.#socket = this.#deps.connect(this.#host, address, handler)
    handler.attach(this.#socket)
    this.#expire(round, clock.monotonicMs() + this.#check.timeoutMs)
  }

  stop(): void {
    this.#round++
    this.#cancel?.()
    this.#socket?.close()
  }

  #expire(round: number, deadlineMs: number): void {
    const { clock } = this.#deps
    this.#cancel = clock.after(Math.max(0, deadlineMs - clock.monotonicMs()), () => {
      const nowMs = clock.monotonicMs()
      const lateMs = nowMs - deadlineMs
      if (lateMs < STALL_MS) this.#conclude(round, 'failed')
      else this.#expire(round, nowMs + Math.min(lateMs, this.#check.timeoutMs))
    })
  }

  #converse(conclude: (outcome: CheckOutcome) => void): ProbeConversation {
    const { probe } = this.#check
    const { cluster, clock } = this.#deps
    const nowMs = () => clock.monotonicMs()
    switch (probe.kind) {
      case 'tcp':
        return new TcpConversation(probe, conclude)
      case 'grpc':
        return new Http2Conversation(probe, probe.authority ?? cluster, conclude, nowMs)
      case 'http':
        return probe.protocol === 'http2'
          ? new Http2Conversation(probe, probe.host ?? cluster, conclude, nowMs)
          : new Http1Conversation(probe, probe.host ?? cluster, conclude)
    }
  }

  #conclude(round: number, outcome: CheckOutcome): void {
    if (round !== this.#round) return
    this.#round++
    this.#cancel?.()
    this.#socket?.close()
    this.#socket = undefined
    this.#state.note(outcome, this.#check)
    this.#cancel = this.#deps.clock.after(this.#pauseMs(), () => this.run())
    this.#report(outcome)
  }

  #pauseMs(): number {
    const { intervalMs, idleIntervalMs, jitterMs } = this.#check
    const pause = this.#deps.hasTraffic() ? intervalMs : (idleIntervalMs ?? intervalMs)
    return pause + this.#deps.random() * jitterMs
  }
}
