/**
 * What all load balancers of a cluster share ⇄ Envoy's `CommonLbConfig` and `SlowStartConfig`:
 * localities, panic, slow start. What a cluster's type has no Envoy field for rides in metadata.
 */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf'
import type { Cluster, LocalityBalancing, SlowStart } from '@weft/model'
import {
  Cluster_CommonLbConfig_ZoneAwareLbConfigSchema,
  Cluster_CommonLbConfigSchema,
  type Cluster_SlowStartConfig,
  type Cluster_SlowStartConfigSchema,
  type Cluster as ClusterProto,
} from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeDuration, type Extras, encodeDuration, type Init, isObject } from './values.ts'

/** Envoy's defaults. */
const ROUTED_PERCENT = 100
const MIN_ENDPOINTS = 6

export function encodeCommonLb(cluster: Cluster): {
  readonly init: Init<typeof Cluster_CommonLbConfigSchema>
  readonly extras: Extras
} {
  const { localities, panicPercent } = cluster
  const provided = isProvided(cluster)
  return {
    init: {
      ...(panicPercent === undefined ? {} : { healthyPanicThreshold: { value: panicPercent } }),
      ...(localities === undefined || provided
        ? {}
        : { localityConfigSpecifier: encodeLocalities(localities) }),
    },
    // Envoy refuses localities where the cluster's type brings its own balancer.
    extras: localities !== undefined && provided ? { localities: { ...localities } } : {},
  }
}

function isProvided({ discovery }: Cluster): boolean {
  return discovery.kind === 'originalDst' || discovery.kind === 'forwardProxy'
}

function encodeLocalities(
  localities: LocalityBalancing,
): NonNullable<Init<typeof Cluster_CommonLbConfigSchema>['localityConfigSpecifier']> {
  if (localities.kind === 'weighted') return { case: 'localityWeightedLbConfig', value: {} }
  return {
    case: 'zoneAwareLbConfig',
    value: {
      routingEnabled: { value: localities.routedPercent },
      minClusterSize: BigInt(localities.minEndpoints),
    },
  }
}

const COMMON_LB = covers(
  Cluster_CommonLbConfigSchema,
  ...['healthy_panic_threshold', 'zone_aware_lb_config', 'locality_weighted_lb_config'],
  // When updates are taken in; what becomes of connections then.
  ...['update_merge_window', 'ignore_new_hosts_until_first_hc'],
  ...['close_connections_on_host_set_change', 'override_host_status'],
)
const ZONE_AWARE = covers(
  Cluster_CommonLbConfig_ZoneAwareLbConfigSchema,
  ...['routing_enabled', 'min_cluster_size'],
)

export function decodeCommonLb(
  proto: ClusterProto,
  extras: JsonObject,
  path: string,
  problems: Problems,
): Pick<Cluster, 'localities' | 'panicPercent'> {
  const at = `${path}.common_lb_config`
  const common = proto.commonLbConfig
  if (common !== undefined) refuseOthers(COMMON_LB, common, at, problems)
  const panicPercent = common?.healthyPanicThreshold?.value
  const specifier = common?.localityConfigSpecifier
  if (specifier?.case === 'zoneAwareLbConfig') {
    refuseOthers(ZONE_AWARE, specifier.value, `${at}.zone_aware_lb_config`, problems)
  }
  const localities =
    specifier?.case === 'localityWeightedLbConfig'
      ? ({ kind: 'weighted' } as const)
      : specifier?.case === 'zoneAwareLbConfig'
        ? ({
            kind: 'zoneAware',
            routedPercent: specifier.value.routingEnabled?.value ?? ROUTED_PERCENT,
            minEndpoints: Number(specifier.value.minClusterSize ?? BigInt(MIN_ENDPOINTS)),
          } as const)
        : readLocalities(extras.localities)
  return {
    ...(localities === undefined ? {} : { localities }),
    ...(panicPercent === undefined ? {} : { panicPercent }),
  }
}

function readLocalities(value: JsonValue | undefined): LocalityBalancing | undefined {
  if (!isObject(value)) return undefined
  const { kind, routedPercent, minEndpoints } = value
  if (kind === 'weighted') return { kind }
  if (kind !== 'zoneAware') return undefined
  return {
    kind,
    routedPercent: typeof routedPercent === 'number' ? routedPercent : ROUTED_PERCENT,
    minEndpoints: typeof minEndpoints === 'number' ? minEndpoints : MIN_ENDPOINTS,
  }
}

/** Envoy wants a name for whatever could be overridden at run time. */
const AGGRESSION_KEY = 'weft.slow_start.aggression'

export function encodeSlowStart(slowStart: SlowStart): Init<typeof Cluster_SlowStartConfigSchema> {
  return {
    slowStartWindow: encodeDuration(slowStart.windowMs),
    aggression: { defaultValue: slowStart.aggression, runtimeKey: AGGRESSION_KEY },
    minWeightPercent: { value: slowStart.minPercent },
  }
}

/** Envoy's defaults where nothing is said. */
export function decodeSlowStart(
  proto: Cluster_SlowStartConfig | undefined,
  { slowStart }: JsonObject,
): SlowStart | undefined {
  if (proto !== undefined) {
    const windowMs = decodeDuration(proto.slowStartWindow, 0)
    if (windowMs <= 0) return undefined
    const aggression = proto.aggression?.defaultValue ?? 1
    return { windowMs, aggression, minPercent: proto.minWeightPercent?.value ?? 10 }
  }
  if (!isObject(slowStart)) return undefined
  const { windowMs, aggression, minPercent } = slowStart
  return typeof windowMs === 'number' &&
    typeof aggression === 'number' &&
    typeof minPercent === 'number'
    ? { windowMs, aggression, minPercent }
    : undefined
}
