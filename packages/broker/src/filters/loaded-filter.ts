/** One load of a filter's file, with the ways to call its hooks: guarded, counted, within their time. */
import type { Clock, Logger } from '@weft/base'
import type { BrokerFilter, FilterMatch, FilterNeed, FilterPhase } from './filter.ts'
import type { FilterHealth } from './filter-health.ts'

/** A hook failed and the stream must not go on. */
export const FAILED = Symbol('failed')

export interface FilterSettings {
  readonly name: string
  readonly phase: FilterPhase
  readonly priority: number
  readonly match: FilterMatch
  readonly needs: ReadonlySet<FilterNeed>
  readonly failsOpen: boolean
  readonly timeoutMs: number
}

interface Deps {
  readonly clock: Clock
  readonly log: Logger
}

export class LoadedFilter {
  readonly settings: FilterSettings
  readonly filter: BrokerFilter
  readonly config: unknown
  readonly health: FilterHealth
  /** Streams that began with it and have not ended. */
  streams = 0
  #retired = false
  readonly #deps: Deps

  constructor(
    settings: FilterSettings,
    { filter, config }: { readonly filter: BrokerFilter; readonly config: unknown },
    health: FilterHealth,
    deps: Deps,
  ) {
    this.settings = settings
    this.filter = filter
    this.config = config
    this.health = health
    this.#deps = deps
  }

  /** What the hook said; undefined also when it failed and fails open. */
  call<T>(
    hook: () => T | undefined | Promise<T | undefined>,
  ): T | undefined | typeof FAILED | Promise<T | undefined | typeof FAILED> {
    const nowMs = this.#deps.clock.monotonicMs()
    if (!this.health.admits(nowMs)) return this.#failure
    try {
      const said = hook()
      if (said instanceof Promise) return this.#wait(said)
      const tookMs = this.#deps.clock.monotonicMs() - nowMs
      if (tookMs > this.settings.timeoutMs) return this.#late(tookMs)
      this.health.onGood()
      return said
    } catch (error) {
      return this.fail(error)
    }
  }

  /** Of hooks that only look. An async one may fail later: that is its failure, nobody waits for it. */
  tell(hook: () => unknown): void {
    void this.call(() => {
      const said = hook()
      return said instanceof Promise ? said.then(() => undefined) : undefined
    })
  }

  /** Nothing can stop a hook that does not return, but it can be left alone from then on. */
  #late(tookMs: number): typeof FAILED | undefined {
    return this.fail(new Error(`the whole broker waited ${Math.round(tookMs)} ms for it`), true)
  }

  #wait<T>(said: Promise<T | undefined>): Promise<T | undefined | typeof FAILED> {
    const { timeoutMs } = this.settings
    return new Promise((resolve) => {
      let isOver = false
      const cancel = this.#deps.clock.after(timeoutMs, () => {
        isOver = true
        resolve(this.fail(new Error(`no answer within ${timeoutMs} ms`), true))
      })
      said.then(
        (value) => {
          if (isOver) return
          cancel()
          this.health.onGood()
          resolve(value)
        },
        (error: unknown) => {
          if (isOver) return
          cancel()
          resolve(this.fail(error))
        },
      )
    })
  }

  /** Counts a failure; returns what the stream is told. */
  fail(error: unknown, isTimeout = false): typeof FAILED | undefined {
    const why = error instanceof Error ? error.message : String(error)
    const nowMs = this.#deps.clock.monotonicMs()
    // The first of its kind is told; the rest is counted.
    const isNews = this.health.lastFailure !== why
    this.health.onBad(nowMs, why, isTimeout)
    if (isNews) this.#deps.log.warn('a filter failed', { filter: this.settings.name, why })
    return this.#failure
  }

  get #failure(): typeof FAILED | undefined {
    return this.settings.failsOpen ? undefined : FAILED
  }

  begin(): void {
    this.streams++
    this.health.streams++
  }

  end(): void {
    this.streams--
    this.#closeWhenDone()
  }

  /** No stream begins with it any more. */
  retire(): void {
    this.#retired = true
    this.#closeWhenDone()
  }

  #closeWhenDone(): void {
    if (!this.#retired || this.streams > 0) return
    try {
      const said: unknown = this.filter.close?.()
      if (said instanceof Promise) said.catch((error: unknown) => this.fail(error))
    } catch (error) {
      this.fail(error)
    }
  }
}

/** Whether streams to this service are for the filter. */
export function matches(
  { services, interactions }: FilterMatch,
  service: string,
  interaction: string,
): boolean {
  if (interactions !== undefined && !interactions.some((each) => each === interaction)) return false
  if (services === undefined) return true
  return services.some((each) =>
    each.endsWith('*') ? service.startsWith(each.slice(0, -1)) : each === service,
  )
}
