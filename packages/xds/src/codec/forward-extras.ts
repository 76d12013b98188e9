/** Mirrors and hash policies of a forward action ⇄ Envoy. */
import type { HashPolicy, Mirror } from '@weft/model'
import {
  type RouteAction_HashPolicy,
  RouteAction_HashPolicy_CookieSchema,
  RouteAction_HashPolicy_HeaderSchema,
  RouteAction_HashPolicySchema,
  type RouteAction_RequestMirrorPolicy,
  RouteAction_RequestMirrorPolicySchema,
} from '../gen/envoy/config/route/v3/route_components_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import {
  decodeDuration,
  decodePercent,
  encodeDuration,
  encodePercent,
  type Init,
  type OneofInit,
} from './values.ts'

export function encodeMirror(mirror: Mirror): Init<typeof RouteAction_RequestMirrorPolicySchema> {
  return {
    cluster: mirror.cluster,
    runtimeFraction: { defaultValue: encodePercent(mirror.percent) },
  }
}

const MIRROR = covers(
  RouteAction_RequestMirrorPolicySchema,
  ...['cluster', 'runtime_fraction', 'trace_sampled', 'disable_shadow_host_suffix_append'],
)

export function decodeMirror(
  proto: RouteAction_RequestMirrorPolicy,
  path: string,
  problems: Problems,
): Mirror {
  refuseOthers(MIRROR, proto, path, problems)
  const fraction = proto.runtimeFraction
  const percent = fraction === undefined ? 100 : decodePercent(fraction.defaultValue)
  return { cluster: proto.cluster, percent }
}

export function encodeHashPolicy(policy: HashPolicy): Init<typeof RouteAction_HashPolicySchema> {
  return { terminal: policy.terminal, policySpecifier: encodeSpecifier(policy) }
}

function encodeSpecifier(
  policy: HashPolicy,
): OneofInit<typeof RouteAction_HashPolicySchema, 'policySpecifier'> {
  switch (policy.kind) {
    case 'header':
      return { case: 'header', value: { headerName: policy.name } }
    case 'cookie': {
      const ttl = policy.ttlMs === undefined ? {} : { ttl: encodeDuration(policy.ttlMs) }
      return { case: 'cookie', value: { name: policy.name, path: policy.path, ...ttl } }
    }
    case 'sourceIp':
      return { case: 'connectionProperties', value: { sourceIp: true } }
    case 'query':
      return { case: 'queryParameter', value: { name: policy.name } }
  }
}

const HASH = covers(
  RouteAction_HashPolicySchema,
  ...['header', 'cookie', 'connection_properties', 'query_parameter', 'terminal'],
)
const HASH_HEADER = covers(RouteAction_HashPolicy_HeaderSchema, 'header_name')
const HASH_COOKIE = covers(RouteAction_HashPolicy_CookieSchema, 'name', 'ttl', 'path')

export function decodeHashPolicy(
  proto: RouteAction_HashPolicy,
  path: string,
  problems: Problems,
): HashPolicy {
  refuseOthers(HASH, proto, path, problems)
  const { terminal, policySpecifier } = proto
  switch (policySpecifier.case) {
    case 'header':
      refuseOthers(HASH_HEADER, policySpecifier.value, `${path}.header`, problems)
      return { kind: 'header', name: policySpecifier.value.headerName.toLowerCase(), terminal }
    case 'cookie': {
      const cookie = policySpecifier.value
      refuseOthers(HASH_COOKIE, cookie, `${path}.cookie`, problems)
      const ttl = cookie.ttl === undefined ? {} : { ttlMs: decodeDuration(cookie.ttl, 0) }
      return { kind: 'cookie', name: cookie.name, path: cookie.path, ...ttl, terminal }
    }
    case 'queryParameter':
      return { kind: 'query', name: policySpecifier.value.name, terminal }
    case 'connectionProperties':
      return { kind: 'sourceIp', terminal }
    default:
      problems.add(path, 'has no policy that is known')
      return { kind: 'sourceIp', terminal }
  }
}
