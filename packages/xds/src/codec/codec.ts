/** All resource types: which proto stands for which noun. */
import {
  create,
  createRegistry,
  type DescMessage,
  fromBinary,
  type MessageShape,
  type Registry,
  toBinary,
  toJson,
} from '@bufbuild/protobuf'
import type { Resources, ResourceType } from '@weft/model'
import { ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import { ClusterLoadAssignmentSchema } from '../gen/envoy/config/endpoint/v3/endpoint_pb.js'
import { ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.js'
import { RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.js'
import { FileAccessLogSchema } from '../gen/envoy/extensions/access_loggers/file/v3/file_pb.js'
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '../gen/envoy/extensions/access_loggers/stream/v3/stream_pb.js'
import { ClusterConfigSchema } from '../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js'
import {
  CorsPolicySchema,
  CorsSchema,
} from '../gen/envoy/extensions/filters/http/cors/v3/cors_pb.js'
import { HTTPFaultSchema } from '../gen/envoy/extensions/filters/http/fault/v3/fault_pb.js'
import { RouterSchema } from '../gen/envoy/extensions/filters/http/router/v3/router_pb.js'
import { HttpInspectorSchema } from '../gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js'
import { ProxyProtocolSchema } from '../gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js'
import { TlsInspectorSchema } from '../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js'
import { HttpConnectionManagerSchema } from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import { TcpProxySchema } from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js'
import { PreviousHostsPredicateSchema } from '../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js'
import { ProxyProtocolUpstreamTransportSchema } from '../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js'
import { RawBufferSchema } from '../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js'
import { SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js'
import { SPIFFECertValidatorConfigSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.js'
import { HttpProtocolOptionsSchema } from '../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js'
import type { JsonValue } from '../node.ts'
import { TYPE_URLS } from '../type-urls.ts'
import { decodeCluster, encodeCluster } from './cluster.ts'
import { decodeEndpoints, encodeEndpoints } from './endpoints.ts'
import { FILTER_TYPES } from './http-filters/any-types.ts'
import { decodeListener, encodeListener } from './listener.ts'
import { Problems } from './problems.ts'
import type { ResourceCodec } from './resource-codec.ts'
import { decodeRouteTable, encodeRouteTable } from './route-table.ts'
import { decodeSecret, encodeSecret } from './secret.ts'
import type { EncodeOptions, Init } from './values.ts'

interface TypeCodec<T, Schema extends DescMessage> {
  readonly schema: Schema
  encode(resource: T, options: EncodeOptions): Init<Schema>
  decode(message: MessageShape<Schema>, problems: Problems): T
}

const TYPES = {
  listener: { schema: ListenerSchema, encode: encodeListener, decode: decodeListener },
  route: { schema: RouteConfigurationSchema, encode: encodeRouteTable, decode: decodeRouteTable },
  cluster: { schema: ClusterSchema, encode: encodeCluster, decode: decodeCluster },
  endpoints: {
    schema: ClusterLoadAssignmentSchema,
    encode: encodeEndpoints,
    decode: decodeEndpoints,
  },
  secret: { schema: SecretSchema, encode: encodeSecret, decode: decodeSecret },
} as const satisfies { [T in ResourceType]: TypeCodec<Resources[T], DescMessage> }

export const codec: ResourceCodec = {
  encode: (type, resource) => encodeWith(type, resource, { origins: true }),

  decode(type, bytes) {
    const { schema, decode } = typeCodec(type)
    try {
      const problems = new Problems()
      const resource = decode(fromBinary(schema, bytes), problems)
      const { texts } = problems
      return texts.length === 0 ? { ok: true, resource } : { ok: false, problems: texts }
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      return { ok: false, problems: [`${type}: cannot be read: ${text}`] }
    }
  },

  renderJson(type, resource) {
    const { schema, encode } = typeCodec(type)
    const message = create(schema, encode(redacted(type, resource), { origins: true }))
    const json = toJson(schema, message, { registry: codecTypes(), useProtoFieldName: true })
    return { '@type': TYPE_URLS[type], ...(json as { readonly [key: string]: JsonValue }) }
  },
}

/** The bytes that the version is a hash of: provenance does not make a new version. */
export function encodeForHash<T extends ResourceType>(type: T, resource: Resources[T]): Uint8Array {
  return encodeWith(type, resource, { origins: false })
}

function encodeWith<T extends ResourceType>(
  type: T,
  resource: Resources[T],
  options: EncodeOptions,
): Uint8Array {
  const { schema, encode } = typeCodec(type)
  return toBinary(schema, create(schema, encode(resource, options)))
}

/** The table's entry, with the correlation between its parts that TypeScript loses on indexing. */
function typeCodec<T extends ResourceType>(type: T): TypeCodec<Resources[T], DescMessage> {
  return TYPES[type] as unknown as TypeCodec<Resources[T], DescMessage>
}

/** Envoy's own word in the place of keys. */
function redacted<T extends ResourceType>(type: T, resource: Resources[T]): Resources[T] {
  if (type !== 'secret') return resource
  const secret = resource as Resources['secret']
  const shown = secret.kind === 'certificate' ? { ...secret, keyPem: '[redacted]' } : secret
  return shown as Resources[T]
}

/** Everything that our encoders put into an `Any`; a new one that is missing here makes JSON fail. */
const ANY_TYPES = [
  ...[HttpConnectionManagerSchema, TcpProxySchema, DownstreamTlsContextSchema],
  ...[ProxyProtocolUpstreamTransportSchema, RawBufferSchema],
  ...[UpstreamTlsContextSchema, FileAccessLogSchema, RouterSchema, CorsSchema, CorsPolicySchema],
  ...FILTER_TYPES,
  ...[
    HTTPFaultSchema,
    ProxyProtocolSchema,
    TlsInspectorSchema,
    HttpInspectorSchema,
    PreviousHostsPredicateSchema,
  ],
  ...[HttpProtocolOptionsSchema, ClusterConfigSchema, SPIFFECertValidatorConfigSchema],
  ...[StdoutAccessLogSchema, StderrAccessLogSchema],
]
let registry: Registry | undefined

/** What an `Any` of ours holds: the resources, and what our encoders put into them. */
export function codecTypes(): Registry {
  const resources = Object.values(TYPES).map(({ schema }) => schema)
  registry ??= createRegistry(...resources, ...ANY_TYPES)
  return registry
}
