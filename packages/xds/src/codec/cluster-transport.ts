/**
 * What stands between a cluster's HTTP and the network ⇄ Envoy's `transport_socket`: TLS, and
 * the PROXY protocol header before it, which in Envoy is a socket around the other one.
 */
import type { Cluster } from '@weft/model'
import type {
  Cluster as ClusterProto,
  ClusterSchema,
} from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import type { TransportSocket, TransportSocketSchema } from '../gen/envoy/config/core/v3/base_pb.js'
import { ProxyProtocolConfigSchema } from '../gen/envoy/config/core/v3/proxy_protocol_pb.js'
import { ProxyProtocolUpstreamTransportSchema } from '../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js'
import { RawBufferSchema } from '../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeProxyConfig, encodeProxyConfig } from './proxy-header.ts'
import { decodeUpstreamTls, encodeUpstreamTls } from './tls.ts'
import { type Init, packAny, unpackAny } from './values.ts'

const PROXY_PROTOCOL_SOCKET = 'envoy.transport_sockets.upstream_proxy_protocol'
const RAW_SOCKET = 'envoy.transport_sockets.raw_buffer'

/** Istio's names; tools show them. */
const MUTUAL_TLS = 'tlsMode-istio'
const PLAINTEXT = 'tlsMode-disabled'

export function encodeTransport({
  tls,
  autoTls,
  ...proxy
}: Cluster): Pick<Init<typeof ClusterSchema>, 'transportSocket' | 'transportSocketMatches'> {
  const inner = tls === undefined ? undefined : encodeUpstreamTls(tls)
  if (inner !== undefined && autoTls === true) {
    return {
      transportSocketMatches: [
        {
          name: MUTUAL_TLS,
          match: { tlsMode: 'istio' },
          transportSocket: announced(inner, proxy),
        },
        { name: PLAINTEXT, match: {}, transportSocket: announced(rawSocket(), proxy) },
      ],
    }
  }
  if (proxy.proxyProtocol === undefined)
    return inner === undefined ? {} : { transportSocket: inner }
  return { transportSocket: announced(inner ?? rawSocket(), proxy) }
}

type SocketInit = Init<typeof TransportSocketSchema>

function rawSocket(): SocketInit {
  const value = packAny(RawBufferSchema, {})
  return { name: RAW_SOCKET, configType: { case: 'typedConfig', value } }
}

/** Behind a PROXY header, where there is one. */
function announced(
  inner: SocketInit,
  { proxyProtocol, proxyTlvs }: Pick<Cluster, 'proxyProtocol' | 'proxyTlvs'>,
): SocketInit {
  if (proxyProtocol === undefined) return inner
  const value = packAny(ProxyProtocolUpstreamTransportSchema, {
    config: encodeProxyConfig(proxyProtocol, proxyTlvs),
    transportSocket: inner,
  })
  return { name: PROXY_PROTOCOL_SOCKET, configType: { case: 'typedConfig', value } }
}

const WRAPPER = covers(ProxyProtocolUpstreamTransportSchema, 'config', 'transport_socket')
const CONFIG = covers(ProxyProtocolConfigSchema, 'version', 'pass_through_tlvs', 'added_tlvs')

type TransportParts = Pick<Cluster, 'tls' | 'proxyProtocol' | 'proxyTlvs' | 'autoTls'>

export function decodeTransport(
  { transportSocket, transportSocketMatches }: ClusterProto,
  path: string,
  problems: Problems,
): TransportParts {
  if (transportSocketMatches.length === 0) {
    return decodeSocket(transportSocket, `${path}.transport_socket`, problems)
  }
  const at = `${path}.transport_socket_matches`
  const [mutual, plain, ...others] = transportSocketMatches
  const isAuto =
    JSON.stringify(mutual?.match) === '{"tlsMode":"istio"}' &&
    (plain === undefined || Object.keys(plain.match ?? {}).length === 0) &&
    others.length === 0
  if (!isAuto) {
    problems.add(at, 'only mutual TLS for tlsMode istio, then plaintext, is supported')
    return {}
  }
  const rest = decodeSocket(plain?.transportSocket ?? transportSocket, `${at}[1]`, problems)
  if (rest.tls !== undefined) problems.add(`${at}[1]`, 'only plaintext is supported')
  return { ...decodeSocket(mutual?.transportSocket, `${at}[0]`, problems), autoTls: true }
}

function decodeSocket(
  socket: TransportSocket | undefined,
  path: string,
  problems: Problems,
): Omit<TransportParts, 'autoTls'> {
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
    ...(wrapper === undefined ? {} : decodeProxyConfig(wrapper.config, `${path}.config`, problems)),
  }
}
