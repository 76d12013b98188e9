/** Tokens that this side shows: asked for when needed, and again before they end. */
import type { Clock } from '@weft/base'
import type { TokenSource } from './types.ts'

/** Renewed when so much of a token's life is over. */
const SHARE = 0.8
const MIN_DELAY_MS = 5_000
/** Longest delay that timers take. */
const MAX_DELAY_MS = 0x7fff_ffff

export class Tokens {
  readonly #source: TokenSource
  readonly #clock: Clock
  /** A newer token than the one before is there. */
  readonly #onRenewed: (token: string) => void
  #cancel = () => {}
  #refreshing: Promise<void> | undefined
  #newest: { readonly number: number; readonly token: string } | undefined
  #closed = false

  constructor(source: TokenSource, clock: Clock, onRenewed: (token: string) => void) {
    this.#source = source
    this.#clock = clock
    this.#onRenewed = onRenewed
  }

  /** For a new connection. */
  async take(): Promise<string | undefined> {
    if (typeof this.#source === 'string') return this.#source
    const token = await this.#source()
    if (token !== undefined) this.#watch(token)
    return token
  }

  /** Renewals so far: what was taken before this number is not the newest. */
  get renewals(): number {
    return this.#newest?.number ?? 0
  }

  /** The token of the newest renewal, if that came after so many. */
  newerThan(renewals: number): string | undefined {
    return this.renewals > renewals ? this.#newest?.token : undefined
  }

  /** Several at once are one. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<void> {
    const token = await this.take()
    if (token === undefined || this.#closed) return
    this.#newest = { number: this.renewals + 1, token }
    this.#onRenewed(token)
  }

  close(): void {
    this.#closed = true
    this.#cancel()
  }

  #watch(token: string): void {
    this.#cancel()
    const endMs = expiryMs(token)
    if (endMs === undefined || this.#closed) return
    const delayMs = Math.max(MIN_DELAY_MS, (endMs - this.#clock.nowMs()) * SHARE)
    this.#cancel = this.#clock.after(Math.min(MAX_DELAY_MS, delayMs), () => {
      // A source that fails, or has none, is asked again; meanwhile the token that is there still counts.
      const { renewals } = this
      const again = () => {
        if (this.renewals === renewals) this.#watch(token)
      }
      this.refresh().then(again, again)
    })
  }
}

/** `exp` of a JWT, unverified: when to ask for the next one. Undefined: it is none, or has none. */
export function expiryMs(token: string): number | undefined {
  const [, payload = ''] = token.split('.')
  try {
    const claims: unknown = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')))
    const exp = typeof claims === 'object' && claims !== null && 'exp' in claims ? claims.exp : 0
    return typeof exp === 'number' && exp > 0 ? exp * 1000 : undefined
  } catch {
    return undefined
  }
}
