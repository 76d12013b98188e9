/**
 * The way in: from a peer's connection to the application beside this proxy.
 *
 *     peer ─► accept ─► match-chain ─► detect ─┬─ http ─► filters ─► route ─► cluster `inbound|9080||`
 *               │                              └─ tcp  ───────────────────► cluster `inbound|9080||`
 *               └ held until the first configuration                              │
 *                                                                                 └─► application
 */
import type { OfferedPort } from '@weft/model'
import type { Peer } from '@weft/telemetry'
import type { ExchangeObserver } from './exchange/contract.ts'
import { createObserver, type ObserverDeps } from './observe/observer.ts'
import type { OpenListeners } from './open-listeners.ts'

/** What the control plane calls the way in to a port of the service. */
export function inboundListener(servicePort: number): string {
  return `weft:inbound|${servicePort}`
}

/**
 * Opens the ports by which peers reach the application, so that they can be
 * announced, and returns them with the ports that the kernel chose.
 */
export async function holdOffers(
  listeners: OpenListeners,
  offers: readonly OfferedPort[],
): Promise<readonly OfferedPort[]> {
  const bound: OfferedPort[] = []
  for (const offer of offers) {
    // Two services at one port have one way in.
    const same = bound.find(({ port }) => port === offer.port)
    if (same !== undefined) {
      bound.push({ ...offer, address: same.address, listenPort: same.listenPort })
      continue
    }
    const wanted = { host: offer.address, port: offer.listenPort }
    const address = await listeners.hold(inboundListener(offer.port), wanted, 'inbound')
    bound.push({ ...offer, listenPort: address.port })
  }
  return bound
}

/** Our workload is the destination; the source is what the caller's proxy said. */
export function observeInbound(self: Peer, deps: ObserverDeps): ExchangeObserver {
  return createObserver({ reporter: 'destination', self, labelsHosts: false }, deps)
}
