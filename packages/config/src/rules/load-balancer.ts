/** The rules of Istio's admission for `loadBalancer` of a traffic policy, localities included. */

import type { LoadBalancerSettings } from '../kinds/destination-rule.ts'
import { childPath, itemPath } from '../text/places.ts'
import { checkDuration } from './istio-common.ts'
import type { Findings } from './rules.ts'

export function checkLoadBalancer(
  settings: LoadBalancerSettings | undefined,
  path: string,
  hasOutlierDetection: boolean,
  findings: Findings,
): void {
  if (settings === undefined) return
  const { consistentHash, localityLbSetting, zoneAwareLbSetting, warmup } = settings
  if (consistentHash !== undefined) {
    checkConsistentHash(consistentHash, `${path}.consistentHash`, findings)
  }
  if (localityLbSetting !== undefined && zoneAwareLbSetting !== undefined) {
    const message = 'cannot be combined with localityLbSetting; remove one of them'
    findings.error(`${path}.zoneAwareLbSetting`, 'conflicting-fields', message)
  }
  if (localityLbSetting !== undefined) {
    const at = `${path}.localityLbSetting`
    checkDistribution(localityLbSetting, at, findings)
    checkFailover(localityLbSetting, at, hasOutlierDetection, findings)
  }
  if (zoneAwareLbSetting !== undefined) {
    const at = `${path}.zoneAwareLbSetting`
    checkTopologyLabels(zoneAwareLbSetting.failoverPriority, `${at}.failoverPriority`, findings)
    checkFailover(zoneAwareLbSetting, at, hasOutlierDetection, findings)
  }
  if (settings.warmupDurationSecs !== undefined) {
    const at = `${path}.warmupDurationSecs`
    findings.warning(at, 'deprecated', 'deprecated; write warmup.duration')
  }
  if (warmup !== undefined) {
    checkDuration(warmup.duration, `${path}.warmup.duration`, findings)
    if (warmup.aggression === 0) {
      findings.error(`${path}.warmup.aggression`, 'out-of-range', 'must be greater than 0')
    }
  }
}

type ConsistentHash = NonNullable<LoadBalancerSettings['consistentHash']>

/** Envoy's bound on the table of Maglev. */
const MAGLEV_BELOW = 5_000_011

function checkConsistentHash(hash: ConsistentHash, path: string, findings: Findings): void {
  const { httpCookie, minimumRingSize = 0, ringHash, maglev } = hash
  if (httpCookie !== undefined) checkCookie(httpCookie, `${path}.httpCookie`, findings)
  if (minimumRingSize !== 0) {
    const at = `${path}.minimumRingSize`
    findings.warning(at, 'deprecated', 'deprecated; write ringHash.minimumRingSize')
    if (ringHash !== undefined || maglev !== undefined) {
      const message = 'cannot be combined with ringHash or maglev; remove it'
      findings.error(at, 'conflicting-fields', message)
    }
  }
  if (maglev === undefined) return
  const { tableSize = 0 } = maglev
  const at = `${path}.maglev.tableSize`
  if (tableSize === 0) findings.error(at, 'missing-field', 'is required for maglev')
  else if (tableSize >= MAGLEV_BELOW) {
    findings.error(at, 'out-of-range', `must be less than ${MAGLEV_BELOW}, got ${tableSize}`)
  } else if (!isPrime(tableSize)) {
    findings.error(at, 'out-of-range', `must be a prime number, got ${tableSize}`)
  }
}

function checkCookie(
  cookie: NonNullable<ConsistentHash['httpCookie']>,
  path: string,
  findings: Findings,
): void {
  if (cookie.name === '') findings.error(`${path}.name`, 'missing-field', 'must not be empty')
  const seen = new Set<string>()
  for (const [index, { name }] of (cookie.attributes ?? []).entries()) {
    const at = `${itemPath(`${path}.attributes`, index)}.name`
    if (name === '') findings.error(at, 'missing-field', 'must not be empty')
    else if (seen.has(name)) findings.error(at, 'duplicate', `attribute "${name}" appears twice`)
    seen.add(name)
  }
}

/** Numbers below 4 count as primes, as in Envoy. */
function isPrime(number: number): boolean {
  if (number < 4) return number > 0
  if (number % 2 === 0) return false
  for (let factor = 3; factor * factor <= number; factor += 2) {
    if (number % factor === 0) return false
  }
  return true
}

type LocalitySetting = NonNullable<LoadBalancerSettings['localityLbSetting']>
type Failover = Pick<LocalitySetting, 'failover' | 'failoverPriority'>

function checkDistribution(setting: LocalitySetting, path: string, findings: Findings): void {
  const { distribute = [], failover = [], failoverPriority } = setting
  if (distribute.length > 0 && failover.length > 0) {
    const message = 'cannot be combined with distribute; remove one of them'
    findings.error(`${path}.failover`, 'conflicting-fields', message)
    return
  }
  if (failover.length > 0) {
    checkTopologyLabels(failoverPriority, `${path}.failoverPriority`, findings)
  }
  for (const [index, { to = {} }] of distribute.entries()) {
    checkShares(to, `${itemPath(`${path}.distribute`, index)}.to`, findings)
  }
  const sources = distribute.map(({ from = '' }, index) => ({
    locality: from,
    path: `${itemPath(`${path}.distribute`, index)}.from`,
  }))
  checkLocalities(sources, findings)
}

function checkShares(
  shares: Readonly<Record<string, number>>,
  path: string,
  findings: Findings,
): void {
  let total = 0
  for (const [locality, weight] of Object.entries(shares)) {
    total += weight
    if (weight >= 1 && weight <= 100) continue
    const at = childPath(path, locality)
    findings.error(at, 'out-of-range', `must be between 1 and 100, got ${weight}`)
  }
  if (total !== 100) {
    findings.error(path, 'bad-weights', `the weights must add up to 100, got ${total}`)
  }
  const localities = Object.keys(shares).map((locality) => ({
    locality,
    path: childPath(path, locality),
  }))
  checkLocalities(localities, findings)
}

/** `region`, `region/zone`, `region/zone/subzone`; the last part may be `*`; none may include another. */
function checkLocalities(
  localities: readonly { readonly locality: string; readonly path: string }[],
  findings: Findings,
): void {
  const seen: string[][] = []
  for (const { locality, path } of localities) {
    const parts = partsOf(locality)
    const star = locality.indexOf('*')
    if (parts.includes('')) {
      const message = `must be region, region/zone or region/zone/subzone, got "${locality}"`
      findings.error(path, 'bad-locality', message)
      continue
    }
    if (star !== -1 && star !== locality.length - 1) {
      findings.error(path, 'bad-locality', 'may have one "*", at its end')
      continue
    }
    const other = seen.find((one) => includes(one, parts) || includes(parts, one))
    if (other !== undefined) {
      const message = `overlaps "${other.join('/')}" of the same list; make them disjoint`
      findings.error(path, 'duplicate', message)
    }
    seen.push(parts)
  }
}

/** A subzone may hold slashes: only the first two separate. */
function partsOf(locality: string): string[] {
  const [region = '', zone, ...rest] = locality.split('/')
  if (zone === undefined) return [region]
  return rest.length === 0 ? [region, zone] : [region, zone, rest.join('/')]
}

function includes(wide: readonly string[], narrow: readonly string[]): boolean {
  return wide.every((part, index) => part === '*' || part === narrow[index])
}

const TOPOLOGY_LABELS = new Set([
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'topology.istio.io/subzone',
])

function checkTopologyLabels(
  priorities: readonly string[] | undefined,
  path: string,
  findings: Findings,
): void {
  for (const [index, label] of (priorities ?? []).entries()) {
    if (!TOPOLOGY_LABELS.has(label)) continue
    const message = `label ${label} is taken care of already and cannot be listed here; remove it`
    findings.error(itemPath(path, index), 'conflicting-fields', message)
  }
}

function checkFailover(
  setting: Failover,
  path: string,
  hasOutlierDetection: boolean,
  findings: Findings,
): void {
  const { failover = [], failoverPriority = [] } = setting
  if (failover.length + failoverPriority.length > 0 && !hasOutlierDetection) {
    const message =
      'fails over only when outlierDetection is set too, for nothing else notices failures'
    findings.warning(path, 'no-effect', message)
  }
  for (const [index, { from = '', to = '' }] of failover.entries()) {
    const at = itemPath(`${path}.failover`, index)
    if (from === to) {
      findings.error(`${at}.to`, 'bad-locality', 'must be another region than from')
    }
    for (const [field, region] of Object.entries({ from, to })) {
      if (!/[/*]/.test(region)) continue
      const message = `must be a region, without zone and "*", got "${region}"`
      findings.error(`${at}.${field}`, 'bad-locality', message)
    }
  }
}

/** On a Service or DestinationRule: balancers that Istio's enum does not have. */
export const LOAD_BALANCER_ANNOTATION = 'weft.io/load-balancer'

export function checkLoadBalancerAnnotation(
  annotations: Readonly<Record<string, string>>,
  findings: Findings,
): void {
  const value = annotations[LOAD_BALANCER_ANNOTATION]
  if (value === undefined || value === 'PEAK_EWMA') return
  const at = childPath('metadata.annotations', LOAD_BALANCER_ANNOTATION)
  findings.error(at, 'not-allowed', `must be PEAK_EWMA, got "${value}"`)
}
