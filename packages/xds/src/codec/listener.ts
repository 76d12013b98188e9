/** Listeners and their filter chains ⇄ Envoy's `Listener`. */
import type { FilterChain, FilterChainMatch, Listener, NetworkRbac } from '@weft/model'
import type { CidrRange, CidrRangeSchema } from '../gen/envoy/config/core/v3/address_pb.js'
import { TrafficDirection } from '../gen/envoy/config/core/v3/base_pb.js'
import {
  type FilterChainMatch as FilterChainMatchProto,
  FilterChainMatchSchema,
  type FilterChain as FilterChainProto,
  FilterChainSchema,
  type FilterSchema,
  type ListenerFilterSchema,
} from '../gen/envoy/config/listener/v3/listener_components_pb.js'
import {
  type Listener as ListenerProto,
  ListenerSchema,
} from '../gen/envoy/config/listener/v3/listener_pb.js'
import { HttpInspectorSchema } from '../gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js'
import { OriginalDstSchema } from '../gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js'
import { ProxyProtocolSchema } from '../gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js'
import { TlsInspectorSchema } from '../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js'
import { HttpConnectionManagerSchema } from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import { RBACSchema } from '../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js'
import { TcpProxySchema } from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js'
import {
  decodeHttpConnectionManager,
  encodeHttpConnectionManager,
} from './http-connection-manager.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeProxyFilter, encodeProxyFilter } from './proxy-header.ts'
import { encodeProxyless } from './proxyless-listener.ts'
import { decodeNetworkRbac, encodeNetworkRbac, policyOrigins, withPolicyOrigins } from './rbac.ts'
import { decodeTcpProxy, encodeTcpProxy } from './tcp-proxy.ts'
import { decodeDownstreamTls, encodeDownstreamTls } from './tls.ts'
import {
  decodeAddress,
  decodeOrigins,
  type EncodeOptions,
  encodeAddress,
  encodeMetadata,
  type Init,
  packAny,
  unpackAny,
  weftMetadata,
} from './values.ts'

const DIRECTIONS = {
  inbound: TrafficDirection.INBOUND,
  outbound: TrafficDirection.OUTBOUND,
  unspecified: TrafficDirection.UNSPECIFIED,
} as const satisfies Record<Listener['direction'], TrafficDirection>

export function encodeListener(
  listener: Listener,
  options: EncodeOptions,
): Init<typeof ListenerSchema> {
  if (listener.proxyless !== undefined) return encodeProxyless(listener, options)
  const { defaultFilterChain } = listener
  const metadata = encodeMetadata(listener.origins, {}, options)
  const inspectors = encodeInspectors(listener)
  return {
    name: listener.name,
    address: encodeAddress(listener.address),
    trafficDirection: DIRECTIONS[listener.direction],
    ...(listener.bindToPort ? {} : { bindToPort: false }),
    ...(listener.useOriginalDst ? { useOriginalDst: true } : {}),
    filterChains: listener.filterChains.map((chain) => encodeFilterChain(chain, options)),
    ...(defaultFilterChain === undefined
      ? {}
      : { defaultFilterChain: encodeFilterChain(defaultFilterChain, options) }),
    listenerFilters: [...encodeProxyProtocol(listener), ...inspectors],
    // A client that waits for the server to speak first must not wait for ever.
    continueOnListenerFiltersTimeout: inspectors.length > 0,
    ...(metadata === undefined ? {} : { metadata }),
  }
}

/** Comes first: what the inspectors look at is behind the header. */
function encodeProxyProtocol(listener: Listener): Init<typeof ListenerFilterSchema>[] {
  if (listener.proxyProtocol === undefined) return []
  return [inspector('proxy_protocol', packAny(ProxyProtocolSchema, encodeProxyFilter(listener)))]
}

/** Our own proxy looks at the first bytes when a match needs it; an Envoy has to be told. */
function encodeInspectors({ filterChains }: Listener): Init<typeof ListenerFilterSchema>[] {
  const matches = filterChains.map((chain) => chain.match)
  const tls = matches.some(
    (match) => match.serverNames.length > 0 || match.transportProtocol !== undefined,
  )
  const protocols = matches.some((match) => match.applicationProtocols.length > 0)
  const plain = matches.some((match) =>
    match.applicationProtocols.some((protocol) => /^(http\/1\.[01]|h2c)$/.test(protocol)),
  )
  const inspectors: Init<typeof ListenerFilterSchema>[] = []
  if (tls || protocols) inspectors.push(inspector('tls_inspector', packAny(TlsInspectorSchema, {})))
  if (plain) inspectors.push(inspector('http_inspector', packAny(HttpInspectorSchema, {})))
  return inspectors
}

function inspector(
  name: string,
  value: ReturnType<typeof packAny>,
): Init<typeof ListenerFilterSchema> {
  return { name: `envoy.filters.listener.${name}`, configType: { case: 'typedConfig', value } }
}

function encodeFilterChain(
  chain: FilterChain,
  options: EncodeOptions,
): Init<typeof FilterChainSchema> {
  const { filter, tls } = chain
  const http = filter.kind === 'http' ? encodeHttpConnectionManager(filter, options) : undefined
  const extras = { ...http?.extras, ...policyOrigins(chain, options) }
  const metadata = encodeMetadata([], extras, options)
  const rbac = (chain.rbac ?? []).map((one) =>
    networkFilter('rbac', packAny(RBACSchema, encodeNetworkRbac(one))),
  )
  const typed: Init<typeof FilterSchema> =
    filter.kind === 'tcp'
      ? networkFilter('tcp_proxy', packAny(TcpProxySchema, encodeTcpProxy(filter)))
      : networkFilter(
          'http_connection_manager',
          packAny(HttpConnectionManagerSchema, http?.init ?? {}),
        )
  return {
    name: chain.name,
    filterChainMatch: encodeChainMatch(chain.match),
    filters: [...rbac, typed],
    ...(tls === undefined ? {} : { transportSocket: encodeDownstreamTls(tls) }),
    ...(metadata === undefined ? {} : { metadata }),
  }
}

function networkFilter(name: string, value: ReturnType<typeof packAny>): Init<typeof FilterSchema> {
  return { name: `envoy.filters.network.${name}`, configType: { case: 'typedConfig', value } }
}

function encodeChainMatch(match: FilterChainMatch): Init<typeof FilterChainMatchSchema> {
  return {
    ...(match.destinationPort === undefined ? {} : { destinationPort: match.destinationPort }),
    prefixRanges: match.destinationPrefixes.map(encodeCidr),
    sourcePrefixRanges: match.sourcePrefixes.map(encodeCidr),
    serverNames: [...match.serverNames],
    transportProtocol: match.transportProtocol ?? '',
    applicationProtocols: [...match.applicationProtocols],
  }
}

function encodeCidr(text: string): Init<typeof CidrRangeSchema> {
  const [addressPrefix = '', length] = text.split('/')
  const bits = addressPrefix.includes(':') ? 128 : 32
  return { addressPrefix, prefixLen: length === undefined ? bits : Number(length) }
}

const LISTENER = covers(
  ListenerSchema,
  ...['name', 'address', 'filter_chains', 'use_original_dst', 'default_filter_chain', 'metadata'],
  ...['listener_filters', 'traffic_direction', 'bind_to_port'],
  // How the kernel's socket is set up and what is counted.
  ...['stat_prefix', 'per_connection_buffer_limit_bytes', 'drain_type', 'listener_filters_timeout'],
  ...['continue_on_listener_filters_timeout', 'freebind', 'tcp_fast_open_queue_length'],
  ...['connection_balance_config', 'reuse_port', 'enable_reuse_port', 'tcp_backlog_size'],
  ...['max_connections_to_accept_per_socket_event', 'enable_mptcp', 'ignore_global_conn_limit'],
  ...['bypass_overload_manager', 'socket_options', 'tcp_keepalive'],
)

export function decodeListener(proto: ListenerProto, problems: Problems): Listener {
  const path = `listener ${proto.name}`
  refuseOthers(LISTENER, proto, path, problems)
  checkListenerFilters(proto, path, problems)
  const chain = proto.defaultFilterChain
  return {
    name: proto.name,
    address: decodeAddress(proto.address, `${path}.address`, problems),
    direction: decodeDirection(proto.trafficDirection),
    bindToPort: proto.bindToPort ?? true,
    useOriginalDst: proto.useOriginalDst ?? hasOriginalDst(proto),
    ...decodeProxyProtocol(proto, path, problems),
    filterChains: proto.filterChains.map((one, index) =>
      decodeFilterChain(one, `${path}.filter_chains[${index}]`, problems),
    ),
    ...(chain === undefined
      ? {}
      : { defaultFilterChain: decodeFilterChain(chain, `${path}.default_filter_chain`, problems) }),
    origins: decodeOrigins(proto.metadata),
  }
}

function decodeDirection(direction: TrafficDirection): Listener['direction'] {
  if (direction === TrafficDirection.INBOUND) return 'inbound'
  return direction === TrafficDirection.OUTBOUND ? 'outbound' : 'unspecified'
}

function hasOriginalDst(proto: ListenerProto): boolean {
  return proto.listenerFilters.some(
    ({ configType }) =>
      configType.case === 'typedConfig' &&
      unpackAny(configType.value, OriginalDstSchema) !== undefined,
  )
}

function decodeProxyProtocol(
  { listenerFilters }: ListenerProto,
  path: string,
  problems: Problems,
): Pick<Listener, 'proxyProtocol' | 'proxyHeader'> {
  let found: Pick<Listener, 'proxyProtocol' | 'proxyHeader'> | undefined
  for (const [index, { configType }] of listenerFilters.entries()) {
    if (configType.case !== 'typedConfig') continue
    const filter = unpackAny(configType.value, ProxyProtocolSchema)
    if (filter === undefined) continue
    const at = `${path}.listener_filters[${index}]`
    if (found !== undefined) problems.add(at, 'only one PROXY protocol filter is supported')
    found = decodeProxyFilter(filter, at, problems)
  }
  return found ?? {}
}

/** Inspectors only say what our proxy finds out anyway; anything else changes the bytes. */
function checkListenerFilters(proto: ListenerProto, path: string, problems: Problems): void {
  for (const [index, { name, configType }] of proto.listenerFilters.entries()) {
    const any = configType.case === 'typedConfig' ? configType.value : undefined
    const known = [
      ...[TlsInspectorSchema, HttpInspectorSchema, OriginalDstSchema, ProxyProtocolSchema],
    ].some((schema) => unpackAny(any, schema) !== undefined)
    if (!known) problems.add(`${path}.listener_filters[${index}]`, `${name} is not supported`)
  }
}

const CHAIN = covers(
  FilterChainSchema,
  ...['filter_chain_match', 'filters', 'metadata', 'transport_socket', 'name'],
  'transport_socket_connect_timeout',
)

function decodeFilterChain(proto: FilterChainProto, path: string, problems: Problems): FilterChain {
  refuseOthers(CHAIN, proto, path, problems)
  const tls = decodeDownstreamTls(proto.transportSocket, `${path}.transport_socket`, problems)
  const [first, ...rest] = decodeRbac(proto, path, problems)
  const chain: FilterChain = {
    name: proto.name,
    match: decodeChainMatch(proto.filterChainMatch, `${path}.filter_chain_match`, problems),
    ...(tls === undefined ? {} : { tls }),
    ...(first === undefined ? {} : { rbac: [first, ...rest] }),
    filter: decodeNetworkFilter(proto, path, problems),
  }
  return withPolicyOrigins(chain, weftMetadata(proto.metadata))
}

function rbacOf({ configType }: FilterChainProto['filters'][number]) {
  return unpackAny(configType.case === 'typedConfig' ? configType.value : undefined, RBACSchema)
}

/** They decide before the filter that serves the connection. */
function decodeRbac(proto: FilterChainProto, path: string, problems: Problems): NetworkRbac[] {
  return proto.filters.flatMap((filter, index) => {
    const rbac = rbacOf(filter)
    return rbac === undefined
      ? []
      : [decodeNetworkRbac(rbac, `${path}.filters[${index}]`, problems)]
  })
}

function decodeNetworkFilter(
  proto: FilterChainProto,
  path: string,
  problems: Problems,
): FilterChain['filter'] {
  const from = proto.filters.findIndex((one) => rbacOf(one) === undefined)
  const [filter, second] = from === -1 ? [] : proto.filters.slice(from)
  if (second !== undefined) {
    problems.add(`${path}.filters[${from + 1}]`, `${second.name} is not supported`)
  }
  const any = filter?.configType.case === 'typedConfig' ? filter.configType.value : undefined
  const at = `${path}.filters[${Math.max(0, from)}]`
  const hcm = unpackAny(any, HttpConnectionManagerSchema)
  if (hcm !== undefined) {
    return decodeHttpConnectionManager(hcm, weftMetadata(proto.metadata), at, problems)
  }
  const tcp = unpackAny(any, TcpProxySchema)
  if (tcp !== undefined) return decodeTcpProxy(tcp, at, problems)
  problems.add(at, `${filter?.name ?? '(none)'} is not supported`)
  const targets = [{ cluster: '', weight: 0 }] as const
  return { kind: 'tcp', statPrefix: '', targets, idleTimeoutMs: 0, accessLogs: [] }
}

const CHAIN_MATCH = covers(
  FilterChainMatchSchema,
  ...['destination_port', 'prefix_ranges', 'source_prefix_ranges', 'server_names'],
  ...['transport_protocol', 'application_protocols'],
)

function decodeChainMatch(
  proto: FilterChainMatchProto | undefined,
  path: string,
  problems: Problems,
): FilterChainMatch {
  if (proto !== undefined) refuseOthers(CHAIN_MATCH, proto, path, problems)
  const transport = proto?.transportProtocol ?? ''
  if (transport !== '' && transport !== 'raw_buffer' && transport !== 'tls') {
    problems.add(`${path}.transport_protocol`, `${transport} is not supported`)
  }
  return {
    ...(proto?.destinationPort === undefined ? {} : { destinationPort: proto.destinationPort }),
    destinationPrefixes: (proto?.prefixRanges ?? []).map(decodeCidr),
    sourcePrefixes: (proto?.sourcePrefixRanges ?? []).map(decodeCidr),
    serverNames: proto?.serverNames ?? [],
    ...(transport === 'raw_buffer' || transport === 'tls' ? { transportProtocol: transport } : {}),
    applicationProtocols: proto?.applicationProtocols ?? [],
  }
}

function decodeCidr({ addressPrefix, prefixLen }: CidrRange): string {
  return `${addressPrefix}/${prefixLen ?? 0}`
}
