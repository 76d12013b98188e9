/**
 * `localityLbSetting` of DestinationRules and of the mesh: which localities a
 * caller prefers. As in Istio: `distribute` gives localities their shares; else
 * endpoints that fail let traffic go further away, which needs outlier detection.
 */
import type { LocalityLbSettings } from '@weft/config'
import type { Locality, LocalityBalancing } from '@weft/model'
import type { ServiceInstance } from '../../registries/registry.ts'
import type { MeshSettings } from '../../snapshot/mesh-settings.ts'
import type { PolicyGroups } from '../clusters/applied-rule.ts'
import type { ProxyView } from '../proxy-view.ts'

/** What decides order and share of a cluster's localities. */
export type LocalityPreference =
  /** Shares of 100 by locality pattern; what no pattern names gets nothing. */
  | { readonly kind: 'distribute'; readonly to: readonly (readonly [string, number])[] }
  | {
      readonly kind: 'failover'
      readonly from: Locality
      readonly failover: readonly { readonly from?: string; readonly to?: string }[]
    }
  | {
      readonly kind: 'labels'
      /** Label and value that an endpoint needs; each is worth more than all after it. */
      readonly wanted: readonly (readonly [string, string])[]
      readonly from: Locality
      readonly failover: readonly { readonly from?: string; readonly to?: string }[]
    }

export function localityPreference(
  policy: PolicyGroups,
  mesh: MeshSettings,
  proxy: Pick<ProxyView, 'cluster' | 'labels' | 'locality'>,
): LocalityPreference | undefined {
  const setting = policy.loadBalancer?.localityLbSetting ?? mesh.localityLb
  if (setting === undefined || setting.enabled === false) return undefined
  const { locality } = proxy
  const { distribute = [], failover = [], failoverPriority = [] } = setting
  if (distribute.length > 0) return distribution(setting, locality)
  // Nothing else tells that endpoints fail, and a lower priority would never be used.
  if (policy.outlierDetection === undefined) return undefined
  if (failoverPriority.length > 0) {
    const own = placeLabels(proxy.labels, locality, proxy.cluster)
    const wanted = failoverPriority.map((text) => {
      const at = text.indexOf('=')
      return at < 0
        ? ([text, own[text] ?? ''] as const)
        : ([text.slice(0, at), text.slice(at + 1)] as const)
    })
    return { kind: 'labels', wanted, from: locality, failover }
  }
  return locality.region === '' ? undefined : { kind: 'failover', from: locality, failover }
}

function distribution(
  { distribute = [] }: LocalityLbSettings,
  locality: Locality,
): LocalityPreference | undefined {
  const own = distribute.find(({ from = '' }) => localityMatches(locality, from))
  return own === undefined ? undefined : { kind: 'distribute', to: Object.entries(own.to ?? {}) }
}

/** Endpoints whose number is lower are preferred; the caller closes gaps. */
export function priorityOf(preference: LocalityPreference, instance: ServiceInstance): number {
  switch (preference.kind) {
    case 'distribute':
      return 0
    case 'failover':
      return distance(preference, instance.locality)
    case 'labels': {
      const { locality, labels, workload } = instance
      const place = placeLabels(labels, locality, workload?.cluster ?? '')
      const missed = preference.wanted.findIndex(([key, value]) => (place[key] ?? '') !== value)
      const byLabels = missed < 0 ? 0 : preference.wanted.length - missed
      const further = preference.failover.length === 0 ? 0 : distance(preference, locality)
      return byLabels * DISTANCES + further
    }
  }
}

/** The number of answers that `distance` has. */
const DISTANCES = 5

function distance(
  { from, failover }: Pick<LocalityPreference & { kind: 'failover' }, 'failover' | 'from'>,
  to: Locality,
): number {
  if (from.region === to.region) {
    if (from.zone !== to.zone) return 2
    return from.subZone === to.subZone ? 0 : 1
  }
  const rule = failover.find((one) => one.from === from.region)
  return rule !== undefined && rule.to !== to.region ? 4 : 3
}

/** `region`, `region/zone`, `region/zone/subzone`; `*` and what is left out match all. */
export function localityMatches(locality: Locality, pattern: string): boolean {
  if (pattern === '*') return true
  const [region, zone = '*', ...rest] = pattern.split('/')
  if (region !== locality.region) return false
  if (zone === '*' || zone === '') return true
  if (zone !== locality.zone) return false
  const subZone = rest.join('/')
  return subZone === '' || subZone === '*' || subZone === locality.subZone
}

/**
 * The weights of localities, in their order; 0 where none is left. Localities
 * that one pattern names share by the weights they had.
 */
export function distributedWeights(
  to: readonly (readonly [string, number])[],
  localities: readonly { readonly locality: Locality; readonly weight: number }[],
): readonly number[] {
  const weights = localities.map(() => 0)
  const free = new Set(localities.keys())
  for (const [pattern, share] of to) {
    const matched = localities
      .map(({ locality, weight }, index) => ({ locality, weight, index }))
      .filter(({ locality, index }) => free.has(index) && localityMatches(locality, pattern))
    const total = matched.reduce((sum, { weight }) => sum + weight, 0)
    for (const { weight, index } of matched) {
      free.delete(index)
      weights[index] = Math.ceil((weight * share) / total)
    }
  }
  return weights
}

export function localityBalancing(
  policy: PolicyGroups,
  preference: LocalityPreference | undefined,
): LocalityBalancing | undefined {
  if (preference?.kind === 'distribute') return { kind: 'weighted' }
  const zone = policy.loadBalancer?.zoneAwareLbSetting
  if (zone?.enabled !== true) return undefined
  const minEndpoints = zone.minClusterSize ?? MIN_ZONE_AWARE_ENDPOINTS
  return { kind: 'zoneAware', routedPercent: 100, minEndpoints }
}

/** Envoy's default `min_cluster_size`. */
const MIN_ZONE_AWARE_ENDPOINTS = 6

/** Labels that say where something runs hold even where nobody wrote them on it. */
function placeLabels(
  labels: Readonly<Record<string, string>>,
  locality: Locality,
  cluster: string,
): Readonly<Record<string, string>> {
  return {
    'topology.kubernetes.io/region': locality.region,
    'topology.kubernetes.io/zone': locality.zone,
    'topology.istio.io/subzone': locality.subZone,
    'topology.istio.io/cluster': cluster,
    ...labels,
  }
}
