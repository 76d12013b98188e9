/**
 * The way in from outside the mesh: a gateway serves nobody's application.
 *
 *     client ─► accept ─► match-chain ─► detect ─┬─ http ─► filters ─► route ─► cluster ─► endpoint
 *                                                └─ tcp  ───────────────────► cluster ─► endpoint
 *
 * Nothing is held open beforehand: which ports a gateway has is configuration.
 */
import type { Peer } from '@weft/telemetry'
import type { ExchangeObserver } from './exchange/contract.ts'
import { createObserver, type ObserverDeps } from './observe/observer.ts'

/** The gateway is the source; hosts are written by anybody and become no labels. */
export function observeGateway(self: Peer, deps: ObserverDeps): ExchangeObserver {
  return createObserver({ reporter: 'source', self, labelsHosts: false }, deps)
}
