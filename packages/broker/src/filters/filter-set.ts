/**
 * The filters of a broker: loaded from files and folders, watched, and replaced as a whole. A
 * file that does not load leaves its last good load at work, and says so.
 *
 *     files ─► loadFilter ─► open ─► chain, in order of phase and priority ─► next stream
 *                                    streams that are open keep the chain they began with
 */
import { readdir, stat } from 'node:fs/promises'
import { basename, join, sep } from 'node:path'
import type { Clock, Logger } from '@weft/base'
import type { FilterHost } from './filter.ts'
import { FilterHealth } from './filter-health.ts'
import { configFileOf, type LoadedFile, loadFilter } from './load-filter.ts'
import { LoadedFilter } from './loaded-filter.ts'

export interface FilterSetOptions {
  /** Files, and folders whose `.ts`, `.mts`, `.js` and `.mjs` files are filters. */
  readonly paths: readonly string[]
  /** How often files are looked at, in milliseconds. */
  readonly lookMs?: number
}

export interface FilterSetDeps {
  readonly clock: Clock
  readonly log: Logger
}

/** A filter as `weft get filters` shows it. */
export interface FilterRow {
  readonly name: string
  readonly file: string
  readonly state: 'active' | 'resting' | 'failed'
  readonly phase: string
  readonly priority: number
  readonly needs: readonly string[]
  readonly services: readonly string[]
  readonly interactions: readonly string[]
  readonly failStrategy: 'FAIL_CLOSE' | 'FAIL_OPEN'
  readonly timeoutMs: number
  /** How often it was loaded; 0: never. */
  readonly generation: number
  /** Wall clock, in milliseconds. */
  readonly loadedAtMs: number
  /** Why the file as it is now was not taken; the last good load goes on. */
  readonly problem: string | undefined
  readonly streams: number
  /** Open streams that began with an earlier load, of this process. */
  readonly oldStreams: number
  readonly calls: number
  readonly failures: number
  readonly timeouts: number
  readonly bypassed: number
  readonly refusals: number
  readonly answers: number
  readonly changes: number
  readonly drops: number
  readonly lastFailure: string | undefined
}

const DEFAULT_LOOK_MS = 250
/** A file of a folder that stays away longer was removed. */
const MAX_MISSED_LOOKS = 4
const IS_FILTER = /^[^._].*\.[m]?[jt]s$/
const NO_FILTER = /\.(d|test|bench)\.[m]?ts$/
const PHASE_ORDER: readonly string[] = ['authn', 'authz', 'route', 'observe']

interface Slot {
  readonly file: string
  readonly kept: Map<string, unknown>
  readonly health: FilterHealth
  current: LoadedFilter | undefined
  readonly old: Set<LoadedFilter>
  files: readonly string[]
  /** Of the files as they were last tried. */
  tried: string
  /** Of the files as they were at the last look: they are read when they hold still. */
  seen: string
  generation: number
  loadedAtMs: number
  problem: string | undefined
  /** Looks that did not find it. */
  missedLooks: number
}

export class FilterSet {
  readonly #options: FilterSetOptions
  readonly #deps: FilterSetDeps
  #slots = new Map<string, Slot>()
  #chain: readonly LoadedFilter[] = []
  #version = 0
  #cancel: (() => void) | undefined
  #isClosed = false

  private constructor(options: FilterSetOptions, deps: FilterSetDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** @throws {Error} When a path is not there or a filter does not load: at the start all must. */
  static async open(options: FilterSetOptions, deps: FilterSetDeps): Promise<FilterSet> {
    const set = new FilterSet(options, deps)
    await set.#look(true)
    const bad = [...set.#slots.values()].find(({ problem }) => problem !== undefined)
    if (bad !== undefined) {
      set.close()
      throw new Error(`the filter ${bad.file} does not load: ${bad.problem}`)
    }
    set.#later()
    return set
  }

  /** Grows when the chain is another one. */
  get version(): number {
    return this.#version
  }

  /** In the order in which requests pass them. */
  get chain(): readonly LoadedFilter[] {
    return this.#chain
  }

  #later(): void {
    if (this.#isClosed) return
    this.#cancel = this.#deps.clock.after(this.#options.lookMs ?? DEFAULT_LOOK_MS, () => {
      this.#look(false)
        .catch((error: unknown) => this.#deps.log.warn('filters cannot be looked at', { error }))
        .finally(() => this.#later())
    })
  }

  /** @param isFirst At the start files are read as they are. */
  async #look(isFirst: boolean): Promise<void> {
    const files = await this.#findFiles(isFirst)
    let isChanged = false
    for (const [file, slot] of this.#slots) {
      if (files.includes(file) || !this.#isGone(slot)) continue
      this.#slots.delete(file)
      this.#retire(slot)
      this.#deps.log.info('a filter is gone', { file })
      isChanged = true
    }
    for (const file of files) {
      if (await this.#lookAt(file, isFirst)) isChanged = true
    }
    if (isChanged && !this.#isClosed) this.#arrange()
  }

  /**
   * Editors save by removing what was there, and a filter that refuses must not be absent
   * meanwhile: in a folder a file is gone when it stays away, one that was named never is.
   */
  #isGone(slot: Slot): boolean {
    slot.tried = ''
    if (!this.#options.paths.includes(slot.file)) return ++slot.missedLooks > MAX_MISSED_LOOKS
    if (slot.missedLooks++ === 0) {
      slot.problem = 'the file is gone'
      this.#deps.log.warn('a filter that was named is gone, its last good load goes on', {
        file: slot.file,
      })
    }
    return false
  }

  async #findFiles(isFirst: boolean): Promise<string[]> {
    const found = new Set<string>()
    for (const path of this.#options.paths) {
      const entries = await this.#entriesOf(path, isFirst)
      for (const entry of entries ?? this.#knownBelow(path)) found.add(entry)
    }
    return [...found]
  }

  /** Undefined: it cannot be read now. */
  async #entriesOf(path: string, isFirst: boolean): Promise<readonly string[] | undefined> {
    try {
      if (!(await stat(path)).isDirectory()) return [path]
      const names = await readdir(path)
      return names
        .filter((name) => IS_FILTER.test(name) && !NO_FILTER.test(name))
        .map((name) => join(path, name))
    } catch (error) {
      if (isFirst) throw error
      const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT'
      return isGone && this.#slots.has(path) ? [] : undefined
    }
  }

  #knownBelow(path: string): readonly string[] {
    return [...this.#slots.keys()].filter((file) => file === path || file.startsWith(path + sep))
  }

  async #lookAt(file: string, isFirst: boolean): Promise<boolean> {
    const slot = this.#slots.get(file) ?? newSlot(file)
    this.#slots.set(file, slot)
    slot.missedLooks = 0
    const state = await signatureOf(slot.files)
    const holdsStill = isFirst || state === slot.seen
    slot.seen = state
    if (!holdsStill || state === slot.tried) return false
    slot.tried = state
    return this.#load(slot)
  }

  /** Whether the filter is another one now. */
  async #load(slot: Slot): Promise<boolean> {
    const { log } = this.#deps
    try {
      const loaded = await loadFilter(slot.file)
      this.#checkName(slot, loaded.settings.name)
      const next = new LoadedFilter(loaded.settings, loaded, slot.health, this.#deps)
      await this.#open(slot, loaded)
      slot.files = loaded.files
      slot.tried = await signatureOf(slot.files)
      slot.seen = slot.tried
      this.#retire(slot)
      slot.current = next
      slot.generation++
      slot.loadedAtMs = this.#deps.clock.nowMs()
      slot.problem = undefined
      log.info('a filter is loaded', { file: slot.file, generation: slot.generation })
      return true
    } catch (error) {
      slot.problem = error instanceof Error ? error.message : String(error)
      const goesOn = slot.current === undefined ? 'it is not at work' : 'its last good load goes on'
      log.warn('a filter does not load', { file: slot.file, why: slot.problem, goesOn })
      return false
    }
  }

  #checkName(slot: Slot, name: string): void {
    for (const each of this.#slots.values()) {
      if (each === slot || each.current?.settings.name !== name) continue
      throw new Error(
        `${each.file} is a filter named '${name}', too: give one of them another name`,
      )
    }
  }

  async #open(slot: Slot, { filter, config, settings }: LoadedFile): Promise<void> {
    const { log, clock } = this.#deps
    const host: FilterHost = {
      log: (message, fields) => log.info(message, { filter: settings.name, ...fields }),
      kept: slot.kept,
      now: () => clock.monotonicMs(),
    }
    await filter.open?.(config, host)
  }

  #retire(slot: Slot): void {
    const { current } = slot
    if (current === undefined) return
    slot.old.add(current)
    slot.current = undefined
    current.retire()
  }

  #arrange(): void {
    const all = [...this.#slots.values()].flatMap(({ current }) => current ?? [])
    this.#chain = all.sort((a, b) => compare(a.settings, b.settings))
    this.#version++
  }

  rows(): readonly FilterRow[] {
    const rows = [...this.#slots.values()].map((slot) => rowOf(slot))
    const order = this.#chain.map(({ settings }) => settings.name)
    return rows.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name))
  }

  close(): void {
    this.#isClosed = true
    this.#cancel?.()
    for (const slot of this.#slots.values()) this.#retire(slot)
    this.#chain = []
  }
}

function newSlot(file: string): Slot {
  return {
    file,
    kept: new Map(),
    health: new FilterHealth(),
    current: undefined,
    old: new Set(),
    files: [file, configFileOf(file)],
    tried: '',
    seen: '',
    generation: 0,
    loadedAtMs: 0,
    problem: undefined,
    missedLooks: 0,
  }
}

function compare(a: LoadedFilter['settings'], b: LoadedFilter['settings']): number {
  const phase = PHASE_ORDER.indexOf(a.phase) - PHASE_ORDER.indexOf(b.phase)
  if (phase !== 0) return phase
  if (a.priority !== b.priority) return b.priority - a.priority
  return a.name < b.name ? -1 : 1
}

/** Changes when one of the files does. */
async function signatureOf(files: readonly string[]): Promise<string> {
  const states = await Promise.all(
    files.map(async (file) => {
      const found = await stat(file).catch(() => undefined)
      return found === undefined ? '-' : `${found.mtimeMs}:${found.size}:${found.ino}`
    }),
  )
  return states.join(' ')
}

function rowOf(slot: Slot): FilterRow {
  const { current, health, file, generation, loadedAtMs, problem } = slot
  for (const each of slot.old) if (each.streams === 0) slot.old.delete(each)
  let oldStreams = 0
  for (const { streams } of slot.old) oldStreams += streams
  const { settings } = current ?? {}
  const { calls, failures, timeouts, bypassed, refusals, answers, changes, drops } = health
  return {
    name: settings?.name ?? basename(file).replace(/\.[m]?[jt]s$/, ''),
    file,
    state: current === undefined ? 'failed' : health.isResting ? 'resting' : 'active',
    phase: settings?.phase ?? '',
    priority: settings?.priority ?? 0,
    needs: [...(settings?.needs ?? [])],
    services: settings?.match.services ?? ['*'],
    interactions: settings?.match.interactions ?? ['rr', 'fnf', 'stream', 'channel'],
    failStrategy: settings?.failsOpen === true ? 'FAIL_OPEN' : 'FAIL_CLOSE',
    timeoutMs: settings?.timeoutMs ?? 0,
    ...{ generation, loadedAtMs, problem },
    streams: health.streams,
    oldStreams,
    ...{ calls, failures, timeouts, bypassed, refusals, answers, changes, drops },
    lastFailure: health.lastFailure,
  }
}
