/**
 * What the DestinationRules for one host add up to, and which policy they give
 * a port of a subset. Istio's rules: a subset's settings replace the host's
 * group by group; settings for a port replace all groups, with defaults for
 * those they leave out.
 */
import {
  type DocumentOf,
  type PathOrder,
  type PortTrafficPolicy,
  readPaths,
  type Subset,
  type TrafficPolicy,
} from '@weft/config'
import type { Origin } from '@weft/model'
import { type OwnBalancer, readOwnBalancer } from '../../registries/declared/own-balancer.ts'

export interface AppliedRule {
  readonly policy: TrafficPolicy | undefined
  readonly subsets: ReadonlyMap<string, AppliedSubset>
  readonly origins: readonly Origin[]
  /** A balancer that Istio's kinds have no value for, asked for by annotation. */
  readonly balancer?: OwnBalancer
  /** By which ways the service is called, by annotation. */
  readonly paths?: PathOrder
}

export interface AppliedSubset {
  readonly subset: Subset
  readonly origins: readonly Origin[]
}

export type PolicyGroups = Pick<
  PortTrafficPolicy,
  'connectionPool' | 'loadBalancer' | 'outlierDetection' | 'tls'
> &
  Pick<TrafficPolicy, 'proxyProtocol' | 'retryBudget' | 'tunnel'>

/** Several rules for one host: the first policy holds, subsets come together, the first of a name wins. */
export function applyRules(rules: readonly DocumentOf<'DestinationRule'>[]): AppliedRule {
  const subsets = new Map<string, AppliedSubset>()
  for (const rule of rules) {
    for (const [i, subset] of (rule.spec.subsets ?? []).entries()) {
      if (subsets.has(subset.name)) continue
      const path = `spec.subsets[${i}]`
      subsets.set(subset.name, {
        subset,
        origins: [{ ...rule.origin, path, line: rule.lineOf(path) }],
      })
    }
  }
  return {
    policy: rules.find((rule) => rule.spec.trafficPolicy !== undefined)?.spec.trafficPolicy,
    subsets,
    origins: rules.map((rule) => rule.origin),
    ...balancerOf(rules),
    ...pathsOf(rules),
  }
}

function balancerOf(
  rules: readonly DocumentOf<'DestinationRule'>[],
): Pick<AppliedRule, 'balancer'> {
  for (const { metadata } of rules) {
    const balancer = readOwnBalancer(metadata.annotations)
    if (balancer !== undefined) return { balancer }
  }
  return {}
}

function pathsOf(rules: readonly DocumentOf<'DestinationRule'>[]): Pick<AppliedRule, 'paths'> {
  for (const { metadata } of rules) {
    const paths = readPaths(metadata.annotations)
    if (paths !== undefined) return { paths }
  }
  return {}
}

export function policyFor(rule: AppliedRule, port: number, subset?: string): PolicyGroups {
  const host = overlay({}, rule.policy, port)
  const own = subset === undefined ? undefined : rule.subsets.get(subset)?.subset.trafficPolicy
  return own === undefined ? host : overlay(host, own, port)
}

function overlay(
  below: PolicyGroups,
  policy: TrafficPolicy | undefined,
  port: number,
): PolicyGroups {
  if (policy === undefined) return below
  const whole = wholeHost({ ...below, ...policy })
  const ofPort = policy.portLevelSettings?.find((one) => one.port?.number === port)
  if (ofPort !== undefined) return { ...groups(ofPort), ...whole }
  return { ...below, ...groups(policy), ...whole }
}

/** What no port has settings of its own for. */
function wholeHost({ proxyProtocol, retryBudget, tunnel }: PolicyGroups): PolicyGroups {
  return {
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(retryBudget === undefined ? {} : { retryBudget }),
    ...(tunnel === undefined ? {} : { tunnel }),
  }
}

function groups(policy: PortTrafficPolicy): PolicyGroups {
  const { connectionPool, loadBalancer, outlierDetection, tls } = policy
  return {
    ...(connectionPool === undefined ? {} : { connectionPool }),
    ...(loadBalancer === undefined ? {} : { loadBalancer }),
    ...(outlierDetection === undefined ? {} : { outlierDetection }),
    ...(tls === undefined ? {} : { tls }),
  }
}
