/** Starts, swaps and drains a proxy. */
import type { Clock, LogScopes } from '@weft/base'
import type { OfferedPort, SocketAddress } from '@weft/model'
import type { Transport } from '@weft/net'
import type { ProxyOptions } from './proxy-options.ts'

export interface ProxyDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly logs: LogScopes
  /** Absent: the fastest that passes its self-test here. */
  readonly transport?: Transport
  /** `POST /quitquitquit`, and what a fatal error ends in; default: `close()` only. */
  readonly onQuit?: () => void
}

export interface ProxyHandle {
  /** Resolves when the first configuration is in force: every listener of it is open. */
  readonly ready: Promise<void>
  /** With the port the kernel chose. */
  readonly admin: SocketAddress | undefined
  readonly outbound: SocketAddress | undefined
  /** With the ports the kernel chose. */
  readonly offers: readonly OfferedPort[]
  /** Every open listener by name; addresses as bound. */
  listeners(): ReadonlyMap<string, SocketAddress>
  /** Reports unhealthy, lets what runs end, then closes. Resolves when closed. */
  drain(): Promise<void>
  /** Closes at once. */
  close(): Promise<void>
}

export async function startProxy(_options: ProxyOptions, _deps: ProxyDeps): Promise<ProxyHandle> {
  throw new Error('Cannot start a proxy: not built yet')
}
