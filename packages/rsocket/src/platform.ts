/** What differs between Node and a browser. */
import type { Clock } from '@weft/base'
import type { Carrier, CarrierHandler } from './link/carrier.ts'
import type { TlsOptions } from './types.ts'

export interface Platform {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Schemes that can be dialled, as in `tcp`. */
  readonly schemes: readonly string[]
  /** Calls back at the end of this turn of the event loop. */
  schedule(fire: () => void): void
  /** @throws If the certificates cannot be read. */
  dial(uri: string, tls: TlsOptions, handler: CarrierHandler): Carrier
  /** The program stays while there is no connection, until this is called. */
  stay(): () => void
  /** How late the event loop was at worst since it was last asked, in milliseconds. */
  openLagMeter(): LagMeter
}

export interface LagMeter {
  takeMs(): number
  close(): void
}
