/**
 * Load balancers ⇄ Envoy's `lb_policy`.
 *
 * Clusters without endpoints of their own (original destination, forward proxy) must have
 * `CLUSTER_PROVIDED` in Envoy; the model's choice travels in the metadata. So does what no Envoy
 * has a policy for: stock ones get the nearest that they know.
 */
import type { JsonObject } from '@bufbuild/protobuf'
import type { Cluster, LoadBalancer, SlowStart } from '@weft/model'
import {
  Cluster_LeastRequestLbConfigSchema,
  Cluster_MaglevLbConfigSchema,
  Cluster_RingHashLbConfigSchema,
  Cluster_RoundRobinLbConfigSchema,
  Cluster_SlowStartConfigSchema,
  type Cluster as ClusterProto,
  type ClusterSchema,
  Cluster_RingHashLbConfig_HashFunction as HashFunction,
  Cluster_LbPolicy as LbPolicy,
} from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import { decodeSlowStart, encodeSlowStart } from './common-lb-config.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { type Extras, type Init, isObject } from './values.ts'

/** Envoy's defaults. */
const DEFAULTS = { choices: 2, minRingSize: 1_024, tableSize: 65_537 } as const

interface EncodedBalancer {
  readonly init: Pick<Init<typeof ClusterSchema>, 'lbPolicy' | 'lbConfig'>
  readonly extras: Extras
}

export function encodeLoadBalancer(cluster: Cluster): EncodedBalancer {
  const { discovery, loadBalancer, slowStart } = cluster
  const provided = discovery.kind === 'originalDst' || discovery.kind === 'forwardProxy'
  const { kind } = loadBalancer
  const hasRamp = !provided && (kind === 'roundRobin' || kind === 'leastRequest')
  const inMetadata = provided ? kind !== 'roundRobin' : kind === 'peakEwma'
  return {
    init: provided
      ? { lbPolicy: LbPolicy.CLUSTER_PROVIDED }
      : encodePolicy(loadBalancer, slowStart),
    extras: {
      ...(inMetadata ? { loadBalancer: { ...loadBalancer } } : {}),
      ...(slowStart === undefined || hasRamp ? {} : { slowStart: { ...slowStart } }),
    },
  }
}

function encodePolicy(
  balancer: LoadBalancer,
  slowStart: SlowStart | undefined,
): EncodedBalancer['init'] {
  const ramp = slowStart === undefined ? {} : { slowStartConfig: encodeSlowStart(slowStart) }
  switch (balancer.kind) {
    case 'roundRobin':
      return {
        lbPolicy: LbPolicy.ROUND_ROBIN,
        ...(slowStart === undefined
          ? {}
          : { lbConfig: { case: 'roundRobinLbConfig', value: ramp } }),
      }
    case 'leastRequest':
      return {
        lbPolicy: LbPolicy.LEAST_REQUEST,
        lbConfig: {
          case: 'leastRequestLbConfig',
          value: { choiceCount: balancer.choices, ...ramp },
        },
      }
    case 'peakEwma':
      return {
        lbPolicy: LbPolicy.LEAST_REQUEST,
        lbConfig: { case: 'leastRequestLbConfig', value: { choiceCount: DEFAULTS.choices } },
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
  ...['choice_count', 'active_request_bias', 'slow_start_config'],
)
const ROUND_ROBIN = covers(Cluster_RoundRobinLbConfigSchema, 'slow_start_config')
const SLOW_START = covers(
  Cluster_SlowStartConfigSchema,
  ...['slow_start_window', 'aggression', 'min_weight_percent'],
)
const RING_HASH = covers(
  Cluster_RingHashLbConfigSchema,
  ...['minimum_ring_size', 'maximum_ring_size', 'hash_function'],
)
const MAGLEV = covers(Cluster_MaglevLbConfigSchema, 'table_size')

export function decodeLoadBalancer(
  proto: ClusterProto,
  extras: JsonObject,
  path: string,
  problems: Problems,
): Pick<Cluster, 'loadBalancer' | 'slowStart'> {
  const { lbConfig } = proto
  const ramp =
    lbConfig.case === 'roundRobinLbConfig' || lbConfig.case === 'leastRequestLbConfig'
      ? lbConfig.value.slowStartConfig
      : undefined
  if (ramp !== undefined) refuseOthers(SLOW_START, ramp, `${path}.slow_start_config`, problems)
  if (lbConfig.case === 'roundRobinLbConfig') {
    refuseOthers(ROUND_ROBIN, lbConfig.value, `${path}.round_robin_lb_config`, problems)
  }
  const slowStart = decodeSlowStart(ramp, extras)
  return {
    loadBalancer: decodePolicy(proto, extras, path, problems),
    ...(slowStart === undefined ? {} : { slowStart }),
  }
}

function decodePolicy(
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
      const named = readPolicy(extras)
      if (named?.kind === 'peakEwma') return named
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
      return readPolicy(extras) ?? { kind: 'roundRobin' }
    default:
      problems.add(`${path}.lb_policy`, `${LbPolicy[proto.lbPolicy]} is not supported`)
      return { kind: 'roundRobin' }
  }
}

/** What the metadata names; `undefined` when that is nothing we know. */
function readPolicy({ loadBalancer }: JsonObject): LoadBalancer | undefined {
  if (!isObject(loadBalancer)) return undefined
  const { kind, choices, decayMs, minRingSize, tableSize } = loadBalancer
  if (kind === 'random') return { kind }
  if (kind === 'leastRequest' && typeof choices === 'number') return { kind, choices }
  if (kind === 'peakEwma' && typeof decayMs === 'number' && decayMs > 0) return { kind, decayMs }
  if (kind === 'ringHash' && typeof minRingSize === 'number') return { kind, minRingSize }
  if (kind === 'maglev' && typeof tableSize === 'number') return { kind, tableSize }
  return undefined
}
