/**
 * Looks at what may run out, every `refreshMs`, and sets how much the data path gives up:
 *
 *     monitors ─► pressures ─► strength of each action ─► OverloadState, read by every request
 *                                          └► what acts at once: idle timeouts, heap, heavy streams
 */
import type { Clock, Logger } from '@weft/base'
import { cutHeaviest, type Holding } from './heaviest.ts'
import type { LoopPressure } from './loop-delay.ts'
import {
  type ActionName,
  type MonitorName,
  type OverloadOptions,
  strengthOf,
} from './overload-options.ts'
import type { OverloadState } from './overload-state.ts'

/** What it acts on. */
export interface OverloadTargets {
  /** Idle connections count their time anew, with what the state says now. */
  shortenIdle(): void
  /** HTTP/2 connections make their streams wait from so many waiting bytes on. */
  bufferAtMost(bytes: number): void
  /** What the requests under way hold. */
  holdings(): readonly Holding[]
}

export interface OverloadDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly state: OverloadState
  readonly targets: OverloadTargets
  /** Pressure from 0 to 1; `undefined` while it cannot be told. Absent: there is no such monitor here. */
  readonly monitors: ReadonlyMap<MonitorName, () => number | undefined>
  /** A memory pressure of 1, in bytes; absent: there is no limit. */
  readonly memoryBytes?: number | undefined
  readonly loop?: LoopPressure
  /** Collects garbage; absent where the process may not. */
  readonly shrinkHeap?: (() => void) | undefined
}

/** A full collection stops everything for a moment; more often it would be the overload. */
const SHRINK_EVERY_MS = 5_000
const SHRINK_AFTER_CUT_MS = 20

/** From this pressure on it looks so many times as often: memory can be gone within a refresh. */
const NEAR = 0.5
const NEAR_FASTER = 10
const MIN_REFRESH_MS = 10

/** A full frame each way; more waits in the upstream's sockets. */
const MIN_BUFFER_BYTES = 32_768
const MAX_BUFFER_BYTES = 1_048_576
/** So many connections may keep their fill waiting before the free memory is gone. */
const CONNECTIONS = 1_024
/** Of the free memory, until the next look: what is let go is free only after it was collected. */
const ROOM_SHARE = 1 / 2

export class OverloadManager {
  readonly #options: OverloadOptions
  readonly #deps: OverloadDeps
  readonly #pressures = new Map<MonitorName, number>()
  readonly #strengths = new Map<ActionName, number>()
  readonly #failed = new Map<MonitorName, number>()
  #shrunkAtMs = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | undefined
  #cancelShrink: (() => void) | undefined

  constructor(options: OverloadOptions, deps: OverloadDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** From 0 to 1, or more; absent: never told. */
  get pressures(): ReadonlyMap<MonitorName, number> {
    return this.#pressures
  }

  /** From 0 to 1, of the actions that are configured. */
  get strengths(): ReadonlyMap<ActionName, number> {
    return this.#strengths
  }

  /** How often each monitor could not tell. */
  get failed(): ReadonlyMap<MonitorName, number> {
    return this.#failed
  }

  get state(): OverloadState {
    return this.#deps.state
  }

  get loop(): LoopPressure | undefined {
    return this.#deps.loop
  }

  start(): void {
    this.refresh()
    this.#again()
  }

  stop(): void {
    this.#cancel?.()
    this.#cancelShrink?.()
    this.#deps.loop?.stop()
  }

  #again(): void {
    const { refreshMs } = this.#options
    const delayMs = this.#isNear() ? Math.max(MIN_REFRESH_MS, refreshMs / NEAR_FASTER) : refreshMs
    this.#cancel = this.#deps.clock.after(delayMs, () => {
      this.refresh()
      this.#again()
    })
  }

  #isNear(): boolean {
    for (const pressure of this.#pressures.values()) if (pressure >= NEAR) return true
    return false
  }

  /** One look, and what follows from it. */
  refresh(): void {
    for (const [name, read] of this.#deps.monitors) {
      const pressure = read()
      if (pressure === undefined) this.#failed.set(name, (this.#failed.get(name) ?? 0) + 1)
      else this.#pressures.set(name, pressure)
    }
    this.#setRoom()
    for (const action of this.#options.actions) {
      const { name } = action
      const before = this.#strengths.get(name) ?? 0
      const strength = strengthOf(action, (monitor) => this.#pressures.get(monitor))
      this.#strengths.set(name, strength)
      if ((before === 0) !== (strength === 0)) this.#tell(name, strength > 0)
      this.#act(name, strength)
    }
  }

  #setRoom(): void {
    const { state, memoryBytes, targets } = this.#deps
    if (memoryBytes === undefined) {
      targets.bufferAtMost(MAX_BUFFER_BYTES)
      return
    }
    const pressure = this.#pressures.get('envoy.resource_monitors.cgroup_memory') ?? 0
    const freeBytes = Math.max(0, 1 - pressure) * memoryBytes
    // Also while there is plenty: a burst of clients fills it between two looks.
    state.roomBytes = freeBytes * ROOM_SHARE
    const shareBytes = Math.floor(freeBytes / CONNECTIONS)
    targets.bufferAtMost(Math.max(MIN_BUFFER_BYTES, Math.min(MAX_BUFFER_BYTES, shareBytes)))
  }

  #act(name: ActionName, strength: number): void {
    const { state, targets } = this.#deps
    switch (name) {
      case 'envoy.overload_actions.shrink_heap':
        if (strength === 0) return
        targets.bufferAtMost(MIN_BUFFER_BYTES)
        this.#shrink(SHRINK_EVERY_MS)
        return
      case 'envoy.overload_actions.reduce_timeouts': {
        const isMore = strength > state.idleReduction
        state.idleReduction = strength
        if (isMore) targets.shortenIdle()
        return
      }
      case 'envoy.overload_actions.disable_http_keepalive':
        state.dropsKeepAlive = strength === 1
        return
      case 'envoy.overload_actions.stop_accepting_requests':
        state.refusePercent = percentOf(strength)
        return
      case 'envoy.overload_actions.reject_incoming_connections':
        state.rejectPercent = percentOf(strength)
        return
      case 'envoy.overload_actions.reset_high_memory_stream':
        if (strength > 0) this.#cut()
    }
  }

  #cut(): void {
    const { clock, log, state, targets } = this.#deps
    const isUrgent = [...this.#pressures.values()].some((pressure) => pressure > 1)
    const cuts = cutHeaviest(targets.holdings(), isUrgent)
    state.counts.streams += cuts
    if (cuts === 0) return
    log.warn('reset the requests that held most memory', { requests: cuts })
    // What they held is free when their sockets are closed and it is collected: no time to wait.
    this.#cancelShrink?.()
    this.#cancelShrink = clock.after(SHRINK_AFTER_CUT_MS, () => this.#shrink(SHRINK_AFTER_CUT_MS))
  }

  #shrink(everyMs: number): void {
    const { clock, shrinkHeap } = this.#deps
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#shrunkAtMs < everyMs) return
    this.#shrunkAtMs = nowMs
    shrinkHeap?.()
  }

  #tell(action: ActionName, isActive: boolean): void {
    const pressures = Object.fromEntries(
      [...this.#pressures].map(([name, pressure]) => [name, Math.round(pressure * 100) / 100]),
    )
    const what = isActive ? 'overload action begins' : 'overload action is over'
    this.#deps.log.warn(what, { action, ...pressures })
  }
}

/** Whatever is more than nothing is at least one of a hundred. */
function percentOf(strength: number): number {
  return strength === 0 ? 0 : Math.max(1, Math.round(strength * 100))
}
