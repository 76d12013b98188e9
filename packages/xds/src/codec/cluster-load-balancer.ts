/**
 * Load balancers ⇄ Envoy's `lb_policy`.
 *
 * Clusters without endpoints of their own (original destination, forward proxy) must have
 * `CLUSTER_PROVIDED` in Envoy; the model's choice travels in the metadata.
 */
import type { JsonObject } from '@bufbuild/protobuf'
import type { Cluster, LoadBalancer } from '@weft/model'
import {
  Cluster_LeastRequestLbConfigSchema,
  Cluster_MaglevLbConfigSchema,
  Cluster_RingHashLbConfigSchema,
  type Cluster as ClusterProto,
  type ClusterSchema,
  Cluster_RingHashLbConfig_HashFunction as HashFunction,
  Cluster_LbPolicy as LbPolicy,
} from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { type Extras, type Init, isObject } from './values.ts'

interface EncodedBalancer {
  readonly init: Pick<Init<typeof ClusterSchema>, 'lbPolicy' | 'lbConfig'>
  readonly extras: Extras
  /** Whether localities get traffic by the weight that the endpoints give them. */
  readonly weighsLocalities: boolean
}

export function encodeLoadBalancer({ discovery, loadBalancer }: Cluster): EncodedBalancer {
  if (discovery.kind === 'originalDst' || discovery.kind === 'forwardProxy') {
    return {
      init: { lbPolicy: LbPolicy.CLUSTER_PROVIDED },
      extras: loadBalancer.kind === 'roundRobin' ? {} : { loadBalancer: { ...loadBalancer } },
      weighsLocalities: false,
    }
  }
  return { init: encodePolicy(loadBalancer), extras: {}, weighsLocalities: true }
}

function encodePolicy(balancer: LoadBalancer): EncodedBalancer['init'] {
  switch (balancer.kind) {
    case 'roundRobin':
      return { lbPolicy: LbPolicy.ROUND_ROBIN }
    case 'leastRequest':
      return {
        lbPolicy: LbPolicy.LEAST_REQUEST,
        lbConfig: { case: 'leastRequestLbConfig', value: { choiceCount: balancer.choices } },
      }
    case 'random':
      return { lbPolicy: LbPolicy.RANDOM }
    case 'ringHash': {
      const minimumRingSize = BigInt(balancer.minRingSize)
      return {
        lbPolicy: LbPolicy.RING_HASH,
        lbConfig: { case: 'ringHashLbConfig', value: { minimumRingSize } },
      }
    }
    case 'maglev':
      return {
        lbPolicy: LbPolicy.MAGLEV,
        lbConfig: { case: 'maglevLbConfig', value: { tableSize: BigInt(balancer.tableSize) } },
      }
  }
}

const LEAST_REQUEST = covers(
  Cluster_LeastRequestLbConfigSchema,
  ...['choice_count', 'active_request_bias'],
)
const RING_HASH = covers(
  Cluster_RingHashLbConfigSchema,
  ...['minimum_ring_size', 'maximum_ring_size', 'hash_function'],
)
const MAGLEV = covers(Cluster_MaglevLbConfigSchema, 'table_size')

/** Envoy's defaults. */
const DEFAULTS = { choices: 2, minRingSize: 1_024, tableSize: 65_537 } as const

export function decodeLoadBalancer(
  proto: ClusterProto,
  extras: JsonObject,
  path: string,
  problems: Problems,
): LoadBalancer {
  const config = proto.lbConfig
  switch (proto.lbPolicy) {
    case LbPolicy.ROUND_ROBIN:
      return { kind: 'roundRobin' }
    case LbPolicy.RANDOM:
      return { kind: 'random' }
    case LbPolicy.LEAST_REQUEST: {
      if (config.case !== 'leastRequestLbConfig') {
        return { kind: 'leastRequest', choices: DEFAULTS.choices }
      }
      refuseOthers(LEAST_REQUEST, config.value, `${path}.least_request_lb_config`, problems)
      return { kind: 'leastRequest', choices: config.value.choiceCount ?? DEFAULTS.choices }
    }
    case LbPolicy.RING_HASH: {
      if (config.case !== 'ringHashLbConfig') {
        return { kind: 'ringHash', minRingSize: DEFAULTS.minRingSize }
      }
      refuseOthers(RING_HASH, config.value, `${path}.ring_hash_lb_config`, problems)
      if (config.value.hashFunction !== HashFunction.XX_HASH) {
        problems.add(`${path}.ring_hash_lb_config.hash_function`, 'only XX_HASH is supported')
      }
      const size = config.value.minimumRingSize ?? BigInt(DEFAULTS.minRingSize)
      return { kind: 'ringHash', minRingSize: Number(size) }
    }
    case LbPolicy.MAGLEV: {
      if (config.case !== 'maglevLbConfig') return { kind: 'maglev', tableSize: DEFAULTS.tableSize }
      refuseOthers(MAGLEV, config.value, `${path}.maglev_lb_config`, problems)
      const size = config.value.tableSize ?? BigInt(DEFAULTS.tableSize)
      return { kind: 'maglev', tableSize: Number(size) }
    }
    case LbPolicy.CLUSTER_PROVIDED:
      return decodeProvided(extras)
    default:
      problems.add(`${path}.lb_policy`, `${LbPolicy[proto.lbPolicy]} is not supported`)
      return { kind: 'roundRobin' }
  }
}

function decodeProvided({ loadBalancer }: JsonObject): LoadBalancer {
  if (!isObject(loadBalancer)) return { kind: 'roundRobin' }
  const { kind, choices, minRingSize, tableSize } = loadBalancer
  if (kind === 'random') return { kind }
  if (kind === 'leastRequest' && typeof choices === 'number') return { kind, choices }
  if (kind === 'ringHash' && typeof minRingSize === 'number') return { kind, minRingSize }
  if (kind === 'maglev' && typeof tableSize === 'number') return { kind, tableSize }
  return { kind: 'roundRobin' }
}
