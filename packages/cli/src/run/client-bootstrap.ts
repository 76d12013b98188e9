/** Bootstraps of data planes that are not ours: Envoy (`bootstrap.v3`) and gRPC (gRFC A27, A29). */
import type { Workload } from '@weft/model'
import { CERTIFICATE_FILES } from '@weft/proxy'
import { parseAddress } from './addresses.ts'

export interface ClientNode {
  readonly workload: Workload
  /** As node ids begin. */
  readonly kind: 'sidecar' | 'router'
  /** Tells replicas apart. */
  readonly instance: string
  /** By which others reach it. */
  readonly address: string
  readonly hasIdentity: boolean
}

/** Name of the cluster behind which secrets are (Istio's). */
const SECRETS_CLUSTER = 'sds-grpc'
const XDS_CLUSTER = 'xds-grpc'
/** gRPC's own default; files change half-way through a certificate's life. */
const REFRESH = '60s'

export function grpcBootstrap(
  node: ClientNode,
  control: string,
  fileIn: ((name: string) => string) | undefined | '',
): object {
  const { chain, key, roots } = CERTIFICATE_FILES
  const providers =
    typeof fileIn !== 'function'
      ? {}
      : {
          certificate_providers: {
            default: {
              plugin_name: 'file_watcher',
              config: {
                certificate_file: fileIn(chain),
                private_key_file: fileIn(key),
                ca_certificate_file: fileIn(roots),
                refresh_interval: REFRESH,
              },
            },
          },
        }
  return {
    xds_servers: [
      {
        server_uri: control,
        channel_creds: [{ type: 'insecure' }],
        server_features: ['xds_v3'],
      },
    ],
    node: nodeOf(node, { WEFT_KIND: 'grpc' }),
    ...providers,
    server_listener_resource_name_template: 'grpc/server?xds.resource.listening_address=%s',
  }
}

export function envoyBootstrap(
  node: ClientNode,
  control: string,
  socket: string | undefined,
  adminPort: number | undefined,
): object {
  const { host, port } = parseAddress('control', control)
  const ads = { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' }
  const xds = grpcCluster(XDS_CLUSTER, {
    socket_address: { address: host, port_value: port },
  })
  const secrets =
    socket === undefined ? [] : [grpcCluster(SECRETS_CLUSTER, { pipe: { path: socket } })]
  return {
    node: nodeOf(node, {}),
    ...(adminPort === undefined
      ? {}
      : {
          admin: { address: { socket_address: { address: '127.0.0.1', port_value: adminPort } } },
        }),
    dynamic_resources: {
      lds_config: ads,
      cds_config: ads,
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: XDS_CLUSTER } }],
      },
    },
    static_resources: { clusters: [xds, ...secrets] },
  }
}

function grpcCluster(name: string, address: object): object {
  const http2 = {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  }
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': http2,
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
    },
  }
}

function nodeOf(
  { workload, kind, instance, address, hasIdentity }: ClientNode,
  more: Readonly<Record<string, string>>,
): object {
  const { name, namespace, serviceAccount, labels, cluster } = workload
  const { region, zone, subZone } = workload.locality
  return {
    id: `${kind}~${address}~${instance}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: `${name}.${namespace}`,
    locality: { region, zone, sub_zone: subZone },
    metadata: {
      ...more,
      NAMESPACE: namespace,
      WORKLOAD_NAME: name,
      SERVICE_ACCOUNT: serviceAccount,
      LABELS: labels,
      CLUSTER_ID: cluster,
      // That it has one; which, its certificate says.
      ...(hasIdentity ? { WEFT_IDENTITY: 'pending' } : {}),
    },
  }
}
