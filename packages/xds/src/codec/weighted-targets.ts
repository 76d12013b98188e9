/**
 * The clusters that a route forwards to ⇄ Envoy's `cluster` or `weighted_clusters`.
 *
 * One plain target is a `cluster`; its weight means nothing there and travels in the route's metadata
 * unless it is 100, as does a rewrite that Envoy has only for whole routes.
 */
import type { JsonObject } from '@bufbuild/protobuf'
import type { WeightedTarget } from '@weft/model'
import {
  type RouteAction,
  type RouteActionSchema,
  type WeightedCluster_ClusterWeight,
  WeightedCluster_ClusterWeightSchema,
  WeightedClusterSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.js'
import { decodeHeaderChanges, encodeHeaderChanges, HEADER_CHANGE_FIELDS } from './header-changes.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import type { Extras, Init, OneofInit } from './values.ts'

const PLAIN_WEIGHT = 100

type Targets = readonly [WeightedTarget, ...WeightedTarget[]]

export function encodeTargets(targets: Targets): {
  readonly init: OneofInit<typeof RouteActionSchema, 'clusterSpecifier'>
  readonly extras: Extras
} {
  const [first, ...rest] = targets
  if (rest.length === 0 && isPlain(first)) {
    const extras = first.weight === PLAIN_WEIGHT ? {} : { weight: first.weight }
    return { init: { case: 'cluster', value: first.cluster }, extras }
  }
  const rewritten = targets.flatMap((target, index) =>
    target.hostRewrite?.kind === 'endpoint' ? [index] : [],
  )
  return {
    init: { case: 'weightedClusters', value: { clusters: targets.map(encodeTarget) } },
    extras: rewritten.length === 0 ? {} : { endpointHosts: rewritten },
  }
}

function isPlain({ requestHeaders, responseHeaders, hostRewrite }: WeightedTarget): boolean {
  const { set, add, remove } = requestHeaders
  const changes = [set, add, remove]
  changes.push(responseHeaders.set, responseHeaders.add, responseHeaders.remove)
  return hostRewrite === undefined && changes.every((list) => list.length === 0)
}

function encodeTarget(target: WeightedTarget): Init<typeof WeightedCluster_ClusterWeightSchema> {
  const { hostRewrite } = target
  return {
    name: target.cluster,
    weight: target.weight,
    ...encodeHeaderChanges(target),
    ...(hostRewrite?.kind === 'literal'
      ? { hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: hostRewrite.value } }
      : {}),
  }
}

const WEIGHTED = covers(
  WeightedClusterSchema,
  // Runtime keys are looked up by name; we have no runtime, so the weights hold. The sum is the sum.
  ...['clusters', 'total_weight', 'runtime_key_prefix'],
)
const TARGET = covers(
  WeightedCluster_ClusterWeightSchema,
  ...['name', 'weight', ...HEADER_CHANGE_FIELDS, 'host_rewrite_literal'],
)

export function decodeTargets(
  proto: RouteAction,
  extras: JsonObject,
  path: string,
  problems: Problems,
): Targets {
  const { clusterSpecifier } = proto
  if (clusterSpecifier.case === 'cluster') {
    const weight = typeof extras.weight === 'number' ? extras.weight : PLAIN_WEIGHT
    return [plainTarget(clusterSpecifier.value, weight)]
  }
  if (clusterSpecifier.case === 'weightedClusters') {
    const at = `${path}.weighted_clusters`
    refuseOthers(WEIGHTED, clusterSpecifier.value, at, problems)
    const hosts = Array.isArray(extras.endpointHosts) ? extras.endpointHosts : []
    const [first, ...rest] = clusterSpecifier.value.clusters.map((target, index) =>
      decodeTarget(target, hosts.includes(index), `${at}.clusters[${index}]`, problems),
    )
    if (first !== undefined) return [first, ...rest]
  }
  problems.add(path, 'names no cluster in a way that is known')
  return [plainTarget('', PLAIN_WEIGHT)]
}

function plainTarget(cluster: string, weight: number): WeightedTarget {
  const none = () => ({ set: [], add: [], remove: [] })
  return { cluster, weight, requestHeaders: none(), responseHeaders: none() }
}

function decodeTarget(
  proto: WeightedCluster_ClusterWeight,
  endpointHost: boolean,
  path: string,
  problems: Problems,
): WeightedTarget {
  refuseOthers(TARGET, proto, path, problems)
  const rewrite = proto.hostRewriteSpecifier
  return {
    cluster: proto.name,
    weight: proto.weight ?? 0,
    ...decodeHeaderChanges(proto, path, problems),
    ...(rewrite.case === 'hostRewriteLiteral'
      ? { hostRewrite: { kind: 'literal', value: rewrite.value } }
      : endpointHost
        ? { hostRewrite: { kind: 'endpoint' } }
        : {}),
  }
}
