/** `defaultEndpoint` of a Gateway's server or of a Sidecar's ingress: where on this host an application listens. */
import { type Cluster, type SocketAddress, unixSocketOf } from '@weft/model'
import type { ProxyScope } from '../scope.ts'
import { inboundAppCluster } from './explicit.ts'
import type { GatewayDoor, GatewayPort } from './gateway-ports.ts'

/**
 * `127.0.0.1:8080`, `:8080`, `[::1]:8080`; any address means this host. Empty: `port` itself.
 * `unix:///run/app.sock` is that socket. `undefined` for what has no port.
 */
export function loopbackEndpoint(endpoint: string, port: number): SocketAddress | undefined {
  if (endpoint === '') return { host: '127.0.0.1', port }
  const socket = unixSocketOf(endpoint)
  if (socket !== undefined) return socket
  const [, host, written] = /^(.*):(\d+)$/.exec(endpoint) ?? []
  const number = Number(written)
  if (host === undefined) return undefined
  if (number < 1 || number > 65_535) return undefined
  const isIpv6 = host === '[::1]' || host === '[::]' || host === '::1'
  return { host: isIpv6 ? '::1' : '127.0.0.1', port: number }
}

/** The cluster that takes what no route of a server does; absent: such requests are answered 404. */
export function fallbackCluster(door: GatewayDoor): string | undefined {
  if (door.kind !== 'istio' || (door.server.defaultEndpoint ?? '') === '') return undefined
  const { defaultEndpoint = '', port } = door.server
  const address = loopbackEndpoint(defaultEndpoint, port.number)
  return address === undefined ? undefined : `inbound|${port.number}||${defaultEndpoint}`
}

export function fallbackClusters(
  scope: ProxyScope,
  ports: readonly GatewayPort[],
): readonly Cluster[] {
  return ports.flatMap(({ doors }) =>
    doors.flatMap((door) => {
      const name = fallbackCluster(door)
      if (name === undefined || door.kind !== 'istio') return []
      const { defaultEndpoint = '', port } = door.server
      const address = loopbackEndpoint(defaultEndpoint, port.number)
      if (address === undefined) return []
      const { discovery, ...cluster } = inboundAppCluster(
        scope,
        port.number,
        address.host,
        address.port,
      )
      if (discovery.kind !== 'static') return []
      const endpoints = { ...discovery.endpoints, name }
      return [{ ...cluster, name, discovery: { kind: 'static', endpoints } }]
    }),
  )
}
