/**
 * The bundles of the trust domains that the operator federates with, kept fresh:
 *
 *     disk, else what was configured ──► asked for ──► taken, stored ──► after its refresh hint …
 *                                            │ not had, not read, older than what is known
 *                                            └──► the one before stays; loud; backoff, jittered
 */
import { join } from 'node:path'
import { backoffMs, type Clock, type Logger } from '@weft/base'
import { readSpiffeBundle, renderSpiffeBundle, type SpiffeBundle } from '@weft/identity'
import { readIfThere, writePrivately } from '../private-files.ts'
import type { FederatedDomain } from './federation-options.ts'
import { type FetchedBundle, fetchBundle } from './fetch-bundle.ts'

export interface ForeignBundlesDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Logger
  onChange(): void
  /** Default: over the network. */
  readonly fetch?: typeof fetchBundle
}

export interface ForeignStatus {
  readonly trustDomain: string
  /** Absent: none is known; nobody of that trust domain is believed. */
  readonly sequence?: number
  readonly hasBundle: boolean
  /** ISO 8601, of the last time that it was heard of. */
  readonly refreshed?: string
  /** Why the last try failed; absent after a success. */
  readonly problem?: string
}

interface Known {
  readonly domain: FederatedDomain
  bundle: SpiffeBundle | undefined
  /** Monotonic and wall clock. */
  refreshedAtMs: number | undefined
  failures: number
  problem: string | undefined
  cancel: () => void
}

const BACKOFF = { baseMs: 2_000, maxMs: 300_000 }
/** SPIFFE's recommendation where the publisher says nothing. */
const DEFAULT_REFRESH_MS = 300_000
const MIN_REFRESH_MS = 1_000
const MAX_REFRESH_MS = 3_600_000
const JITTER = 0.1

export class ForeignBundles {
  readonly #folder: string | undefined
  readonly #deps: ForeignBundlesDeps
  readonly #known: readonly Known[]
  #isClosed = false

  private constructor(
    domains: readonly FederatedDomain[],
    folder: string | undefined,
    deps: ForeignBundlesDeps,
  ) {
    this.#folder = folder
    this.#deps = deps
    this.#known = domains.map((domain) => ({
      domain,
      bundle: undefined,
      refreshedAtMs: undefined,
      failures: 0,
      problem: undefined,
      cancel: () => undefined,
    }))
  }

  /** Resolves with what is known without asking anybody; what is asked for comes by `onChange`. */
  static async open(
    domains: readonly FederatedDomain[],
    folder: string | undefined,
    deps: ForeignBundlesDeps,
  ): Promise<ForeignBundles> {
    const opened = new ForeignBundles(domains, folder, deps)
    for (const known of opened.#known) {
      await opened.#restore(known)
      if (known.domain.bundleUrl !== undefined) void opened.#refresh(known)
    }
    return opened
  }

  bundles(): readonly SpiffeBundle[] {
    return this.#known.flatMap(({ bundle }) => bundle ?? [])
  }

  status(): readonly ForeignStatus[] {
    return this.#known.map(({ domain, bundle, refreshedAtMs, problem }) => ({
      trustDomain: domain.trustDomain,
      hasBundle: bundle !== undefined,
      ...(bundle?.sequence === undefined ? {} : { sequence: bundle.sequence }),
      ...(refreshedAtMs === undefined ? {} : { refreshed: new Date(refreshedAtMs).toISOString() }),
      ...(problem === undefined ? {} : { problem }),
    }))
  }

  close(): void {
    this.#isClosed = true
    for (const { cancel } of this.#known) cancel()
  }

  async #restore(known: Known): Promise<void> {
    const { trustDomain, bundle } = known.domain
    const path = this.#pathOf(known)
    const kept = path === undefined ? undefined : await readIfThere(path).catch(() => undefined)
    for (const text of [kept, bundle]) {
      if (text === undefined || known.bundle !== undefined) continue
      const read = readSpiffeBundle(trustDomain, text)
      if (read.ok) known.bundle = read.bundle
      else this.#deps.log.error('bundle not used', { trustDomain, problem: read.problem })
    }
  }

  async #refresh(known: Known): Promise<void> {
    const { clock, fetch = fetchBundle } = this.#deps
    const { bundleUrl = '', profile } = known.domain
    const fetched = await fetch(bundleUrl, profile, known.bundle, clock)
    if (this.#isClosed) return
    const problem = await this.#take(known, fetched)
    if (problem === undefined) {
      known.failures = 0
      known.problem = undefined
      known.refreshedAtMs = clock.nowMs()
    } else this.#failed(known, problem)
    if (this.#isClosed) return
    known.cancel = clock.after(this.#delayMs(known), () => void this.#refresh(known))
  }

  /** Why it was not taken. */
  async #take(known: Known, fetched: FetchedBundle): Promise<string | undefined> {
    if (!fetched.ok) return fetched.problem
    const { trustDomain } = known.domain
    const read = readSpiffeBundle(trustDomain, fetched.text)
    if (!read.ok) return read.problem
    const { bundle } = read
    // Without a root nobody of it could be verified: that is an accident, not news.
    if (bundle.roots.length === 0) return 'the bundle has no certificate authority'
    const before = known.bundle
    if (before !== undefined && (bundle.sequence ?? 0) < (before.sequence ?? 0)) {
      return `its sequence ${bundle.sequence ?? 0} is older than ${before.sequence}, which is known`
    }
    const text = renderSpiffeBundle(bundle)
    if (before !== undefined && renderSpiffeBundle(before) === text) return undefined
    known.bundle = bundle
    this.#deps.log.info('bundle came', { trustDomain, sequence: bundle.sequence })
    await this.#keep(known, text)
    this.#deps.onChange()
    return undefined
  }

  async #keep(known: Known, text: string): Promise<void> {
    const path = this.#pathOf(known)
    if (path === undefined) return
    try {
      await writePrivately(path, `${text}\n`)
    } catch (error) {
      this.#deps.log.error('bundle not stored', { path, error })
    }
  }

  #failed(known: Known, problem: string): void {
    known.failures++
    known.problem = problem
    const { trustDomain, bundleUrl } = known.domain
    const facts = { trustDomain, bundleUrl, problem, failures: known.failures }
    if (known.bundle === undefined) {
      this.#deps.log.error('no bundle of a federated trust domain: nobody of it is believed', facts)
    } else this.#deps.log.error('the bundle of a federated trust domain grows old', facts)
  }

  #delayMs({ failures, bundle }: Known): number {
    const { random } = this.#deps
    if (failures > 0) return backoffMs(BACKOFF, Math.min(failures - 1, 10), random) + MIN_REFRESH_MS
    const hintMs = bundle?.refreshHintMs ?? DEFAULT_REFRESH_MS
    const delayMs = Math.min(Math.max(hintMs, MIN_REFRESH_MS), MAX_REFRESH_MS)
    return delayMs * (1 - JITTER * random())
  }

  /** Names of trust domains have no slash. */
  #pathOf({ domain }: Known): string | undefined {
    return this.#folder === undefined
      ? undefined
      : join(this.#folder, 'federation', `${domain.trustDomain}.json`)
  }
}
