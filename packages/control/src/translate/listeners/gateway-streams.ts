/**
 * Chains of TLS and TCP listeners of Gateway API: one per TLSRoute, by its server
 * names, and one for the TCPRoute of a listener. Of several TCPRoutes the first
 * holds: nothing tells their connections apart.
 */
import { type FilterChain, MATCH_ALL } from '@weft/model'
import type { StreamRouteAttachment } from '../../snapshot/gateway-api/attachment.ts'
import { streamTargets } from '../routes/stream-routes.ts'
import type { ProxyScope } from '../scope.ts'
import { doorProtocol, type GatewayDoor, type GatewayPort } from './gateway-ports.ts'
import { downstreamTls } from './gateway-tls.ts'
import { tcpProxy } from './http-manager.ts'
import { settingsOfTargets } from './stream-settings.ts'

type ListenerDoor = Extract<GatewayDoor, { kind: 'kubernetes' }>

export function listenerTcpChains(
  scope: ProxyScope,
  port: GatewayPort,
  door: ListenerDoor,
): readonly FilterChain[] {
  return attachedStreams(scope, door)
    .filter(({ attachment }) => attachment.document.type === 'TCPRoute')
    .slice(0, 1)
    .map(({ attachment }) => chainOf(scope, port, 'tcp', attachment, MATCH_ALL))
}

/** Passes TLS on as it is, or ends it and passes on what was inside. */
export function listenerTlsChains(
  scope: ProxyScope,
  port: GatewayPort,
  door: ListenerDoor,
): readonly FilterChain[] {
  const isTerminated = doorProtocol(door) === 'tls'
  const tls = isTerminated ? downstreamTls(scope, door, false) : undefined
  if (isTerminated && tls === undefined) return []
  const taken = new Set<string>()
  return attachedStreams(scope, door).flatMap(({ attachment, hosts }) => {
    // Of two routes for one server name the one of higher precedence has it.
    const free = hosts.filter((host) => !taken.has(host))
    if (free.length === 0) return []
    for (const host of free) taken.add(host)
    const serverNames = free.includes('*') ? [] : free
    const match = { ...MATCH_ALL, transportProtocol: 'tls' as const, serverNames }
    const chain = chainOf(scope, port, 'tls', attachment, match)
    return [tls === undefined ? chain : { ...chain, tls }]
  })
}

function chainOf(
  scope: ProxyScope,
  port: GatewayPort,
  prefix: string,
  attachment: StreamRouteAttachment,
  match: FilterChain['match'],
): FilterChain {
  const { namespace, name } = attachment.document.metadata
  const targets = streamTargets(attachment)
  return {
    name: `${prefix}.${port.port}.${namespace}.${name}`,
    match,
    filter: tcpProxy(
      scope.mesh,
      `${prefix}.${port.port}`,
      targets,
      settingsOfTargets(scope, targets),
    ),
  }
}

function attachedStreams(scope: ProxyScope, { listener }: ListenerDoor) {
  return scope.snapshot.streamRoutes.flatMap((attachment) =>
    attachment.parents.flatMap((parent) =>
      parent.kind === 'gateway' && parent.listener === listener && parent.hosts.length > 0
        ? [{ attachment, hosts: parent.hosts }]
        : [],
    ),
  )
}
