/** Where a cluster's endpoints come from ⇄ Envoy's discovery types. */
import type { Cluster, Discovery } from '@weft/model'
import {
  type Cluster as ClusterProto,
  type ClusterSchema,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_DnsLookupFamily as DnsLookupFamily,
} from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import { ClusterConfigSchema as ForwardProxySchema } from '../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js'
import { decodeEndpoints, encodeEndpoints } from './endpoints.ts'
import type { Problems } from './problems.ts'
import { checkFromAds, FROM_ADS, type Init, packAny, unpackAny } from './values.ts'

const FORWARD_PROXY = 'envoy.clusters.dynamic_forward_proxy'
/** One cache for all clusters of a proxy: Envoy keys caches by name and wants equal settings. */
const DNS_CACHE = 'weft'

type DiscoveryInit = Pick<
  Init<typeof ClusterSchema>,
  | 'clusterDiscoveryType'
  | 'edsClusterConfig'
  | 'loadAssignment'
  | 'dnsLookupFamily'
  | 'respectDnsTtl'
>

export function encodeDiscovery({ name, discovery }: Cluster): DiscoveryInit {
  switch (discovery.kind) {
    case 'eds': {
      // Unset, the name of the cluster counts.
      const serviceName = discovery.name === name ? '' : discovery.name
      return {
        ...ofType(DiscoveryType.EDS),
        edsClusterConfig: { edsConfig: FROM_ADS, serviceName },
      }
    }
    case 'static':
      return {
        ...ofType(DiscoveryType.STATIC),
        loadAssignment: encodeEndpoints(discovery.endpoints),
      }
    case 'strictDns':
      return { ...ofType(DiscoveryType.STRICT_DNS), ...byName(discovery) }
    case 'logicalDns':
      return { ...ofType(DiscoveryType.LOGICAL_DNS), ...byName(discovery) }
    case 'originalDst':
      return ofType(DiscoveryType.ORIGINAL_DST)
    case 'forwardProxy': {
      const value = packAny(ForwardProxySchema, {
        clusterImplementationSpecifier: {
          case: 'dnsCacheConfig',
          value: { name: DNS_CACHE, dnsLookupFamily: DnsLookupFamily.V4_PREFERRED },
        },
        // Plain text has no SNI that Envoy could insist on.
        allowInsecureClusterOptions: true,
      })
      const clusterType = { name: FORWARD_PROXY, typedConfig: value }
      return { clusterDiscoveryType: { case: 'clusterType', value: clusterType } }
    }
  }
}

function ofType(value: DiscoveryType): Pick<DiscoveryInit, 'clusterDiscoveryType'> {
  return { clusterDiscoveryType: { case: 'type', value } }
}

function byName({ endpoints }: Extract<Discovery, { endpoints: unknown }>): DiscoveryInit {
  return {
    loadAssignment: encodeEndpoints(endpoints),
    dnsLookupFamily: DnsLookupFamily.V4_PREFERRED,
    respectDnsTtl: true,
  }
}

export function decodeDiscovery(proto: ClusterProto, path: string, problems: Problems): Discovery {
  const type = proto.clusterDiscoveryType
  if (type.case === 'clusterType') {
    const config = unpackAny(type.value.typedConfig, ForwardProxySchema)
    if (config === undefined) {
      problems.add(`${path}.cluster_type`, `${type.value.name} is not supported`)
    }
    return { kind: 'forwardProxy' }
  }
  switch (type.value ?? DiscoveryType.STATIC) {
    case DiscoveryType.EDS: {
      const config = proto.edsClusterConfig
      checkFromAds(config?.edsConfig, `${path}.eds_cluster_config.eds_config`, problems)
      const serviceName = config?.serviceName ?? ''
      return { kind: 'eds', name: serviceName === '' ? proto.name : serviceName }
    }
    case DiscoveryType.STRICT_DNS:
      return { kind: 'strictDns', endpoints: inlineEndpoints(proto, problems) }
    case DiscoveryType.LOGICAL_DNS:
      return { kind: 'logicalDns', endpoints: inlineEndpoints(proto, problems) }
    case DiscoveryType.ORIGINAL_DST:
      return { kind: 'originalDst' }
    default:
      return { kind: 'static', endpoints: inlineEndpoints(proto, problems) }
  }
}

function inlineEndpoints(proto: ClusterProto, problems: Problems) {
  if (proto.loadAssignment === undefined) return { name: proto.name, localities: [] }
  return decodeEndpoints(proto.loadAssignment, problems)
}
