/**
 * Pieces of Envoy resources that scenarios put together. Weft and Envoy are given the
 * same ones; only where secrets come from differs (ADS there, the bootstrap here).
 */

const EXTENSIONS = 'type.googleapis.com/envoy.extensions'
const TLS = `${EXTENSIONS}.transport_sockets.tls.v3`
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'

export type Json = Readonly<Record<string, unknown>>

export interface ResourceFiles {
  readonly listeners: readonly Json[]
  readonly clusters: readonly Json[]
  readonly secrets: readonly Json[]
}

export interface TlsUse {
  readonly certificate: string
  readonly validation: string
  readonly alpn: readonly string[]
}

export function socketAddress(port: number): Json {
  return { socket_address: { address: '127.0.0.1', port_value: port } }
}

/** Everything that comes in goes to one cluster. */
export function httpListener(
  port: number,
  cluster: string,
  options: {
    readonly tls?: TlsUse & { readonly requireClient: boolean }
    readonly codec?: 'HTTP1' | 'HTTP2' | 'AUTO'
    readonly direction?: 'INBOUND' | 'OUTBOUND'
  } = {},
): Json {
  const manager = {
    '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'bench',
    codec_type: options.codec ?? 'HTTP1',
    use_remote_address: true,
    generate_request_id: true,
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` },
      },
    ],
    route_config: {
      name: 'bench',
      virtual_hosts: [
        {
          name: 'bench',
          domains: ['*'],
          routes: [{ name: 'all', match: { prefix: '/' }, route: { cluster, timeout: '0s' } }],
        },
      ],
    },
  }
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager }
  return listener(port, filter, options.direction ?? 'OUTBOUND', options.tls)
}

export function tcpListener(port: number, cluster: string): Json {
  const proxy = {
    '@type': `${EXTENSIONS}.filters.network.tcp_proxy.v3.TcpProxy`,
    stat_prefix: 'bench',
    cluster,
  }
  const filter = { name: 'envoy.filters.network.tcp_proxy', typed_config: proxy }
  return listener(port, filter, 'OUTBOUND', undefined)
}

export function cluster(
  name: string,
  ports: readonly number[],
  options: { readonly tls?: TlsUse & { readonly sni: string }; readonly http2?: boolean } = {},
): Json {
  const endpoints = ports.map((port) => ({ endpoint: { address: socketAddress(port) } }))
  const { tls, http2 } = options
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    lb_policy: 'LEAST_REQUEST',
    circuit_breakers: {
      thresholds: [{ max_connections: 1e6, max_pending_requests: 1e6, max_requests: 1e6 }],
    },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] },
    ...(http2 === true
      ? {
          typed_extension_protocol_options: {
            [HTTP_OPTIONS]: {
              '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
        }
      : {}),
    ...(tls === undefined
      ? {}
      : { transport_socket: socket({ sni: tls.sni, ...tlsContext(tls) }, 'UpstreamTlsContext') }),
  }
}

export function certificateSecret(name: string, chainPem: string, keyPem: string): Json {
  const pair = {
    certificate_chain: { inline_string: chainPem },
    private_key: { inline_string: keyPem },
  }
  return { name, tls_certificate: pair }
}

export function validationSecret(name: string, caPem: string): Json {
  return { name, validation_context: { trusted_ca: { inline_string: caPem } } }
}

function listener(
  port: number,
  filter: Json,
  direction: string,
  tls: (TlsUse & { readonly requireClient: boolean }) | undefined,
): Json {
  const secured =
    tls === undefined
      ? {}
      : {
          transport_socket: socket(
            { require_client_certificate: tls.requireClient, ...tlsContext(tls) },
            'DownstreamTlsContext',
          ),
        }
  return {
    name: 'bench',
    address: socketAddress(port),
    traffic_direction: direction,
    filter_chains: [{ name: 'bench', filters: [filter], ...secured }],
  }
}

function tlsContext({ certificate, validation, alpn }: TlsUse): Json {
  return {
    common_tls_context: {
      alpn_protocols: alpn,
      tls_certificate_sds_secret_configs: [secretConfig(certificate)],
      validation_context_sds_secret_config: secretConfig(validation),
    },
  }
}

const FROM_ADS = { ads: {}, resource_api_version: 'V3' }

function secretConfig(name: string): Json {
  return { name, sds_config: FROM_ADS }
}

/** A name alone, which Envoy looks up among the secrets of its bootstrap. */
export function withStaticSecrets<T>(value: T): T {
  return JSON.parse(JSON.stringify(value), (key, each) =>
    key === 'sds_config' ? undefined : each,
  ) as T
}

function socket(context: Json, message: string): Json {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: { '@type': `${TLS}.${message}`, ...context },
  }
}

const IDENTITY = { certificate: 'identity', validation: 'ca', alpn: ['h2'] }

/** Two sidecars with mTLS HTTP/2 between them, at the first two ports; the second one's application is the origin. */
export function sidecarPair(
  {
    ports: [own = 0, peer = 0],
    origin,
  }: { readonly ports: readonly number[]; readonly origin: number },
  secrets: readonly Json[],
): { readonly client: ResourceFiles; readonly server: ResourceFiles } {
  return {
    client: {
      listeners: [httpListener(own, 'peer')],
      clusters: [cluster('peer', [peer], { http2: true, tls: { ...IDENTITY, sni: 'bench' } })],
      secrets,
    },
    server: {
      listeners: [
        httpListener(peer, 'app', {
          tls: { ...IDENTITY, requireClient: true },
          codec: 'HTTP2',
          direction: 'INBOUND',
        }),
      ],
      clusters: [cluster('app', [origin])],
      secrets,
    },
  }
}
