/**
 * The processes that carry the traffic: starts them, hears what they say, replaces one
 * that dies, hangs or gives itself up.
 *
 *     starting ─► up (its first sockets are open) ─► ready (has a configuration)
 *        ▲                     │
 *        └── at once, or after a while when it did not live long ── dead
 *
 * After a death one more process is kept that has loaded everything and has nothing to do:
 * whoever died once is likely to die again, and then its place is taken at once.
 */
import type { Clock, Logger } from '@weft/base'
import type { FromWorker, ToWorker, WorkerProcess, WorkerStatus } from './messages.ts'

export interface Worker {
  readonly index: number
  readonly process: WorkerProcess
  phase: 'starting' | 'up' | 'ready' | 'leaving'
  /** Monotonic: when it was started, and when it was last heard of. */
  readonly startedAtMs: number
  heardAtMs: number
  status: WorkerStatus | undefined
}

/** A process; a worker once it has a place. */
interface Started {
  readonly process: WorkerProcess
  worker: Worker | undefined
  saidHello: boolean
}

export interface WorkerPoolDeps {
  readonly clock: Clock
  readonly log: Logger
  spawn(
    index: number,
    events: {
      onMessage(message: FromWorker, handle: object | undefined): void
      onExit(how: string): void
    },
  ): WorkerProcess
  onMessage(worker: Worker, message: FromWorker, handle: object | undefined): void
  onGone(worker: Worker): void
}

/** One that lived so long died of something new: its successor starts at once. */
const STABLE_MS = 500
const FIRST_DELAY_MS = 50
const MAX_DELAY_MS = 5_000
/** It costs the memory of an idle process. */
const SPARE_FOR_MS = 600_000
const WATCH_EVERY_MS = 1_000
/** A loop that stalls for longer than this never comes back, as far as clients are concerned. */
const HANGS_AFTER_MS = 5_000

export class WorkerPool {
  /** How many there are to be. */
  readonly count: number
  readonly #deps: WorkerPoolDeps
  readonly #workers = new Set<Worker>()
  /** Deaths in a row, by index. */
  readonly #failures = new Map<number, number>()
  readonly #waiting = new Set<() => void>()
  readonly #restarts: number[]
  /** Waits for a place to become free. */
  #spare: Started | undefined
  #wantsSpare = false
  #cancelSpare: (() => void) | undefined
  #cancelWatch: (() => void) | undefined
  #watchedAtMs = 0
  #isEnding = false
  #whenEmpty: (() => void)[] = []

  constructor(count: number, deps: WorkerPoolDeps) {
    this.count = count
    this.#deps = deps
    this.#restarts = Array.from({ length: count }, () => 0)
  }

  start(): void {
    for (let index = 0; index < this.count; index++) this.#spawn(index)
    this.#watchedAtMs = this.#deps.clock.monotonicMs()
    this.#watch()
  }

  /** Those that still end something included. */
  get all(): readonly Worker[] {
    return [...this.#workers]
  }

  get current(): readonly Worker[] {
    return this.all.filter(({ phase }) => phase !== 'leaving').sort((a, b) => a.index - b.index)
  }

  /** How often the worker of each index was replaced. */
  get restarts(): readonly number[] {
    return this.#restarts
  }

  send(message: ToWorker): void {
    for (const { process } of this.#workers) process.send(message)
  }

  /** It goes by itself; another takes its place now. */
  replace(worker: Worker): void {
    if (worker.phase === 'leaving') return
    worker.phase = 'leaving'
    this.#startAgain(worker)
  }

  /** No more restarts. Resolves when every process is gone. */
  end(message: ToWorker): Promise<void> {
    this.#stopStarting()
    this.send(message)
    if (this.#workers.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenEmpty.push(resolve)
    })
  }

  /** Without waiting. */
  kill(): void {
    this.#stopStarting()
    for (const { process } of this.#workers) process.kill()
  }

  #stopStarting(): void {
    this.#isEnding = true
    this.#dropSpare()
    this.#cancelWatch?.()
    for (const cancel of this.#waiting) cancel()
    this.#waiting.clear()
  }

  #spawn(index: number): void {
    const { clock, log, onMessage } = this.#deps
    const nowMs = clock.monotonicMs()
    const started = this.#spare ?? this.#start(index)
    this.#spare = undefined
    const { process } = started
    const worker: Worker = {
      ...{ index, process, startedAtMs: nowMs, heardAtMs: nowMs },
      phase: 'starting',
      status: undefined,
    }
    started.worker = worker
    this.#workers.add(worker)
    log.info('worker starts', { worker: index, pid: process.pid })
    if (started.saidHello) onMessage(worker, { kind: 'hello' }, undefined)
  }

  #start(index: number): Started {
    const { clock, spawn } = this.#deps
    const process = spawn(index, {
      onMessage: (message, handle) => {
        const { worker } = started
        if (worker === undefined) {
          started.saidHello = true
          return
        }
        worker.heardAtMs = clock.monotonicMs()
        if (message.kind === 'status') worker.status = message.status
        this.#deps.onMessage(worker, message, handle)
        if (message.kind === 'ready') this.#keepSpare(worker.index)
      },
      onExit: (how) => {
        if (started.worker !== undefined) this.#exited(started.worker, how)
        else if (this.#spare === started) this.#spare = undefined
      },
    })
    const started: Started = { process, worker: undefined, saidHello: false }
    return started
  }

  /** Only when the new worker is through with its start: they would share the processors. */
  #keepSpare(index: number): void {
    if (!this.#wantsSpare || this.#isEnding) return
    this.#spare ??= this.#start(index)
  }

  #wantSpare(): void {
    this.#wantsSpare = true
    this.#cancelSpare?.()
    this.#cancelSpare = this.#deps.clock.after(SPARE_FOR_MS, () => this.#dropSpare())
  }

  #dropSpare(): void {
    this.#wantsSpare = false
    this.#cancelSpare?.()
    this.#spare?.process.kill()
    this.#spare = undefined
  }

  #exited(worker: Worker, how: string): void {
    if (!this.#workers.delete(worker)) return
    const { log, onGone } = this.#deps
    const wasLeaving = worker.phase === 'leaving' || this.#isEnding
    const fields = { worker: worker.index, pid: worker.process.pid, how }
    if (wasLeaving) log.info('worker is gone', fields)
    else log.error('worker died; its connections are lost, another takes its place', fields)
    onGone(worker)
    if (!wasLeaving) this.#startAgain(worker)
    if (this.#workers.size === 0) {
      for (const resolve of this.#whenEmpty.splice(0)) resolve()
    }
  }

  #startAgain({ index, startedAtMs, phase }: Worker): void {
    if (this.#isEnding) return
    const { clock, log } = this.#deps
    this.#restarts[index] = (this.#restarts[index] ?? 0) + 1
    const livedMs = clock.monotonicMs() - startedAtMs
    const isStable = livedMs >= STABLE_MS && phase !== 'starting'
    const failures = isStable ? 0 : (this.#failures.get(index) ?? 0) + 1
    this.#failures.set(index, failures)
    this.#wantSpare()
    if (failures === 0) {
      this.#spawn(index)
      return
    }
    const delayMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1))
    log.error('worker did not live long; the next one waits', { worker: index, failures, delayMs })
    const cancel = clock.after(delayMs, () => {
      this.#waiting.delete(cancel)
      this.#spawn(index)
    })
    this.#waiting.add(cancel)
  }

  #watch(): void {
    const { clock, log } = this.#deps
    this.#cancelWatch = clock.after(WATCH_EVERY_MS, () => {
      const nowMs = clock.monotonicMs()
      // When this process itself was stopped, nobody could be heard.
      const wasAwake = nowMs - this.#watchedAtMs < 2 * WATCH_EVERY_MS
      this.#watchedAtMs = nowMs
      for (const worker of this.#workers) {
        if (!wasAwake) worker.heardAtMs = nowMs
        const silentMs = nowMs - worker.heardAtMs
        if (worker.phase === 'starting' || silentMs < HANGS_AFTER_MS) continue
        log.error('worker hangs and is killed', {
          worker: worker.index,
          pid: worker.process.pid,
          silentMs: Math.round(silentMs),
        })
        worker.process.kill()
      }
      this.#watch()
    })
  }
}
