/**
 * The way in from outside the mesh: a gateway serves nobody's application.
 *
 *     client ─► accept ─► match-chain ─► detect ─┬─ http ─► filters ─► route ─► cluster ─► endpoint
 *                                                └─ tcp  ───────────────────► cluster ─► endpoint
 *
 * Nothing is held open beforehand: which ports a gateway has is configuration.
 */
import type { SocketAddress } from '@weft/model'
import type { Peer } from '@weft/telemetry'
import type { ExchangeObserver } from './exchange/contract.ts'
import { createObserver, type ObserverDeps } from './observe/observer.ts'
import type { ProxyOptions } from './proxy-options.ts'

const WILDCARDS: readonly string[] = ['0.0.0.0', '::']

/**
 * Where a listener really binds. A control plane was told of `portMap` and
 * `bindHost` and has heeded them; files know nothing of this machine.
 */
export function bindAddress(
  address: SocketAddress,
  { source, portMap, bindHost }: ProxyOptions,
): SocketAddress {
  const port =
    source.kind === 'files' ? (portMap?.[String(address.port)] ?? address.port) : address.port
  const host = bindHost !== undefined && WILDCARDS.includes(address.host) ? bindHost : address.host
  return { host, port }
}

/** The gateway is the source; hosts are written by anybody and become no labels. */
export function observeGateway(self: Peer, deps: ObserverDeps): ExchangeObserver {
  return createObserver({ reporter: 'source', self, labelsHosts: false }, deps)
}
