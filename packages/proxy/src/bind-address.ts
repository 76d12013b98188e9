/**
 * Where a listener of the configuration really binds.
 *
 * What this proxy opened itself keeps its place whatever the configuration says:
 * one from the disk of an earlier run names ports that the kernel chose then.
 */
import type { Listener, SocketAddress } from '@weft/model'
import { inboundListener } from './inbound.ts'
import type { BoundPorts } from './node-identity.ts'
import { OUTBOUND_LISTENER } from './outbound.ts'
import type { ProxyOptions } from './proxy-options.ts'

const WILDCARDS: readonly string[] = ['0.0.0.0', '::']

export function bindAddress(
  { name, address }: Listener,
  options: Pick<ProxyOptions, 'source' | 'portMap' | 'bindHost'>,
  bound: BoundPorts,
): SocketAddress {
  if (name === OUTBOUND_LISTENER && bound.outbound !== undefined) return bound.outbound
  const offer = bound.offers.find(({ port }) => inboundListener(port) === name)
  if (offer !== undefined) return { host: offer.address, port: offer.listenPort }
  const { source, portMap, bindHost } = options
  // A control plane was told of the map and has heeded it; files know nothing of this machine.
  const mapped = source.kind === 'files' ? portMap?.[String(address.port)] : undefined
  const host = bindHost !== undefined && WILDCARDS.includes(address.host) ? bindHost : address.host
  return { host, port: mapped ?? address.port }
}
