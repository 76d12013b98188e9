/**
 * Leases that this side gives to brokers, from how late its event loop is. A process that is late
 * has taken more than it can do: it lets brokers send less, and they send to others. A process
 * that stands still renews nothing, so at most what is leased piles up.
 */
import type { Clock } from '@weft/base'
import type { Lease } from '@weft/wire'
import type { LagMeter } from './platform.ts'
import type { LeaseOptions } from './types.ts'

export const DEFAULT_LEASE: LeaseOptions = { initial: 1_024, min: 16, max: 16_384, highLagMs: 100 }

/** Growth per look while the loop is on time: back to the beginning, and beyond it with use. */
const RETURN = 2
const GROWTH = 1.25
/** One look leaves at least this share. */
const LEAST_LEFT = 0.2

/** Requests at once that the event loop seems fit for. Grows slowly, falls with the lateness. */
export class Capacity {
  readonly #options: LeaseOptions
  #requests: number

  constructor(options: LeaseOptions) {
    this.#options = options
    this.#requests = options.initial
  }

  get requests(): number {
    return Math.floor(this.#requests)
  }

  /** @param isUsed At least half of it was, since the last look. */
  look(lagMs: number, isUsed: boolean): void {
    const { initial, min, max, highLagMs } = this.#options
    if (lagMs > highLagMs) {
      const share = Math.max(LEAST_LEFT, highLagMs / lagMs)
      this.#requests = Math.max(min, this.#requests * share)
    } else if (lagMs > highLagMs / 2) return
    else if (this.#requests < initial) {
      this.#requests = Math.min(initial, this.#requests * RETURN)
    } else if (isUsed) this.#requests = Math.min(max, this.#requests * GROWTH + 1)
  }
}

/** One connection's broker, as the lessor sees it. */
export interface Tenant {
  /** The connection that is up or comes up; undefined: none. */
  lease(lease: Lease): void
  readonly isThere: boolean
  readonly account: LeaseAccount
}

export class LeaseAccount {
  /** Requests that the broker was let send on this connection, ever. */
  leased = 0
  /** Requests that it sent. */
  received = 0
  /** Of the newest lease. */
  left = 0
  leasedAtMs = 0

  reset(): void {
    this.leased = 0
    this.received = 0
    this.left = 0
  }
}

export interface LessorDeps {
  readonly clock: Clock
  readonly meter: LagMeter
  /** Calls back at the end of this turn of the event loop. */
  schedule(fire: () => void): void
  tenants(): Iterable<Tenant>
  /** Requests under way. */
  serving(): number
}

const LOOK_MS = 250
const TTL_MS = 5_000
/** What has not changed is renewed so often. */
const RENEW_MS = 2_000

export class Lessor {
  readonly #capacity: Capacity
  readonly #deps: LessorDeps
  #scheduled = false
  #wasUsed = false
  #stopped = false
  #cancel = () => {}
  readonly #renewLow = (): void => {
    this.#scheduled = false
    for (const tenant of this.#deps.tenants()) {
      if (tenant.isThere && tenant.account.left * 2 < this.#share()) this.#grant(tenant)
    }
  }

  constructor(options: LeaseOptions, deps: LessorDeps) {
    this.#capacity = new Capacity(options)
    this.#deps = deps
    this.#tick()
  }

  get capacity(): number {
    return this.#capacity.requests
  }

  /** A connection comes up: its broker waits for a first lease. */
  open(tenant: Tenant): void {
    tenant.account.reset()
    // How late the loop was while the program loaded says nothing about its load.
    this.#deps.meter.takeMs()
    this.#grant(tenant)
  }

  /** A request came. False: nobody let the broker send it. */
  admit({ account }: Tenant): boolean {
    account.received++
    account.left = Math.max(0, account.left - 1)
    this.onCount()
    return account.received <= account.leased
  }

  /** A request began or ended: there may be more or less to give. */
  onCount(): void {
    if (this.#deps.serving() * 2 >= this.#capacity.requests) this.#wasUsed = true
    if (this.#scheduled || this.#stopped) return
    this.#scheduled = true
    this.#deps.schedule(this.#renewLow)
  }

  /** No more requests, please. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#cancel()
    this.#deps.meter.close()
    for (const tenant of this.#deps.tenants()) if (tenant.isThere) this.#grant(tenant)
  }

  #tick(): void {
    this.#cancel = this.#deps.clock.after(LOOK_MS, () => {
      this.#capacity.look(this.#deps.meter.takeMs(), this.#wasUsed)
      this.#wasUsed = false
      const nowMs = this.#deps.clock.monotonicMs()
      for (const tenant of this.#deps.tenants()) {
        if (!tenant.isThere) continue
        const { left, leasedAtMs } = tenant.account
        const share = this.#share()
        if (left > share || left * 2 < share || nowMs - leasedAtMs >= RENEW_MS) this.#grant(tenant)
      }
      this.#tick()
    })
  }

  /** What one broker may send, of what is free. */
  #share(): number {
    if (this.#stopped) return 0
    let tenants = 0
    for (const { isThere } of this.#deps.tenants()) if (isThere) tenants++
    const free = Math.max(0, this.#capacity.requests - this.#deps.serving())
    return Math.ceil(free / Math.max(1, tenants))
  }

  #grant(tenant: Tenant): void {
    const { account } = tenant
    const requests = this.#share()
    account.left = requests
    account.leased += requests
    account.leasedAtMs = this.#deps.clock.monotonicMs()
    tenant.lease({ requests, ttlMs: requests === 0 ? 0 : TTL_MS })
  }
}
