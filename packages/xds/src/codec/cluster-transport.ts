/**
 * What stands between a cluster's HTTP and the network ⇄ Envoy's `transport_socket`: TLS, and
 * the PROXY protocol header before it, which in Envoy is a socket around the other one.
 */
import type { Cluster } from '@weft/model'
import type { TransportSocket, TransportSocketSchema } from '../gen/envoy/config/core/v3/base_pb.js'
import {
  ProxyProtocolConfig_Version,
  ProxyProtocolConfigSchema,
} from '../gen/envoy/config/core/v3/proxy_protocol_pb.js'
import { ProxyProtocolUpstreamTransportSchema } from '../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js'
import { RawBufferSchema } from '../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeUpstreamTls, encodeUpstreamTls } from './tls.ts'
import { type Init, packAny, unpackAny } from './values.ts'

const PROXY_PROTOCOL_SOCKET = 'envoy.transport_sockets.upstream_proxy_protocol'
const RAW_SOCKET = 'envoy.transport_sockets.raw_buffer'

const VERSIONS = {
  v1: ProxyProtocolConfig_Version.V1,
  v2: ProxyProtocolConfig_Version.V2,
} as const satisfies Record<NonNullable<Cluster['proxyProtocol']>, ProxyProtocolConfig_Version>

export function encodeTransport({
  tls,
  proxyProtocol,
}: Cluster): Init<typeof TransportSocketSchema> | undefined {
  const inner = tls === undefined ? undefined : encodeUpstreamTls(tls)
  if (proxyProtocol === undefined) return inner
  const wrapper = packAny(ProxyProtocolUpstreamTransportSchema, {
    config: { version: VERSIONS[proxyProtocol] },
    transportSocket: inner ?? {
      name: RAW_SOCKET,
      configType: { case: 'typedConfig', value: packAny(RawBufferSchema, {}) },
    },
  })
  return { name: PROXY_PROTOCOL_SOCKET, configType: { case: 'typedConfig', value: wrapper } }
}

const WRAPPER = covers(ProxyProtocolUpstreamTransportSchema, 'config', 'transport_socket')
const CONFIG = covers(ProxyProtocolConfigSchema, 'version')

export function decodeTransport(
  socket: TransportSocket | undefined,
  path: string,
  problems: Problems,
): Pick<Cluster, 'tls' | 'proxyProtocol'> {
  const wrapper =
    socket?.configType.case === 'typedConfig'
      ? unpackAny(socket.configType.value, ProxyProtocolUpstreamTransportSchema)
      : undefined
  const tls = decodeUpstreamTls(
    wrapper === undefined ? socket : wrapper.transportSocket,
    path,
    problems,
  )
  if (wrapper !== undefined) {
    refuseOthers(WRAPPER, wrapper, path, problems)
    if (wrapper.config !== undefined) refuseOthers(CONFIG, wrapper.config, path, problems)
  }
  return {
    ...(tls === undefined ? {} : { tls }),
    ...(wrapper === undefined
      ? {}
      : {
          proxyProtocol:
            wrapper.config?.version === ProxyProtocolConfig_Version.V2 ? ('v2' as const) : 'v1',
        }),
  }
}
