/**
 * Takes snapshots to connected proxies: builds the newest one from what sources
 * and registries last said, and publishes it to every view.
 *
 * One push runs at a time; what changes meanwhile is in the next one. Between
 * views the event loop gets its turn, so that ACKs and new connections do not
 * wait for a thousand translations.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock, Logger } from '@weft/base'
import type { MeshSnapshot } from '../snapshot/mesh-snapshot.ts'
import { PushDebounce, type PushLane } from './debounce.ts'
import type { Views } from './views.ts'

export interface PushDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly views: Views
  /** Builds from what is known now, sharing with the one before. */
  build(previous: MeshSnapshot | undefined): MeshSnapshot
  /** After every view has it. */
  onPushed?(snapshot: MeshSnapshot, durationMs: number): void
}

/** How long views are translated in one go, in milliseconds. */
const SLICE_MS = 8

export class Push {
  readonly #deps: PushDeps
  readonly #debounce: PushDebounce
  #snapshot: MeshSnapshot | undefined
  #running: Promise<void> | undefined
  #isDirty = false
  #isClosed = false

  constructor(deps: PushDeps) {
    this.#deps = deps
    this.#debounce = new PushDebounce(deps.clock, () => void this.now())
  }

  /** The newest, published or about to be. */
  get snapshot(): MeshSnapshot | undefined {
    return this.#snapshot
  }

  request(lane: PushLane): void {
    if (!this.#isClosed) this.#debounce.request(lane)
  }

  /** Resolves when what is known now is published. */
  async now(): Promise<void> {
    this.#isDirty = true
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#debounce.cancel()
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#isDirty && !this.#isClosed) {
      this.#isDirty = false
      try {
        await this.#push()
      } catch (error) {
        // A fault of ours must not stop the mesh: proxies keep what they have.
        this.#deps.log.error('cannot push, proxies keep their configuration', { error })
      }
    }
  }

  async #push(): Promise<void> {
    const { clock, views, log } = this.#deps
    const startedMs = clock.monotonicMs()
    const before = this.#snapshot
    const snapshot = this.#deps.build(before)
    if (snapshot === before) return
    this.#snapshot = snapshot
    let sliceMs = clock.monotonicMs()
    for (const _view of views.publish(snapshot)) {
      if (clock.monotonicMs() - sliceMs < SLICE_MS) continue
      await nextTurn()
      if (this.#isClosed) return
      sliceMs = clock.monotonicMs()
    }
    const durationMs = clock.monotonicMs() - startedMs
    log.info('pushed', { generation: snapshot.generation, views: views.size, durationMs })
    this.#deps.onPushed?.(snapshot, durationMs)
  }
}
