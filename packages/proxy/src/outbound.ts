/**
 * The way out: from a connection that the application opened to the endpoint
 * that serves it. This file is the map; each step is the file of its name.
 *
 *     application ─► accept ─► match-chain ─► detect ─┬─ http ─► filters ─► route ─► cluster ─► endpoint
 *                      │                              └─ tcp  ───────────────────► cluster ─► endpoint
 *                      └ held until the first configuration
 */
import type { SocketAddress } from '@weft/model'
import type { Peer } from '@weft/telemetry'
import type { ExchangeObserver } from './exchange/contract.ts'
import { createObserver, type ObserverDeps } from './observe/observer.ts'
import type { OpenListeners } from './open-listeners.ts'

/** What the control plane calls the application's HTTP proxy. */
export const OUTBOUND_LISTENER = 'weft:outbound'

/** Opens the application's HTTP proxy; who connects waits for the first configuration. */
export function holdOutbound(
  listeners: OpenListeners,
  address: SocketAddress,
): Promise<SocketAddress> {
  return listeners.hold(OUTBOUND_LISTENER, address, 'outbound')
}

/** Our workload is the source; the destination is what the endpoint says of itself. */
export function observeOutbound(self: Peer, deps: ObserverDeps): ExchangeObserver {
  return createObserver({ reporter: 'source', self, labelsHosts: true }, deps)
}
