/** The rules of Istio's admission for one `http` route of a VirtualService. */

import type {
  Destination,
  HttpMatch,
  HttpRouteRule,
  StringMatch,
} from '../kinds/virtual-service.ts'
import { childPath, itemPath } from '../text/places.ts'
import { checkGatewayNames } from './gateway-names.ts'
import { checkHeaderChanges, isAuthorityHeader, matchedHeaderProblem } from './headers.ts'
import { checkAction } from './http-route-actions.ts'
import { checkDuration, checkLabels, checkPort } from './istio-common.ts'
import { isDnsLabel, wildcardDomainProblem } from './names.ts'
import { regexProblem } from './regex.ts'
import type { Findings } from './rules.ts'

export function checkHttpRoute(
  route: HttpRouteRule,
  path: string,
  isInDelegate: boolean,
  findings: Findings,
): void {
  checkConflicts(route, path, isInDelegate, findings)
  for (const [index, match] of (route.match ?? []).entries()) {
    checkMatch(match, itemPath(`${path}.match`, index), findings)
  }
  checkHeaderChanges(route.headers, `${path}.headers`, findings)
  checkAuthority(route, path, findings)
  checkDuration(route.timeout, `${path}.timeout`, findings)
  checkMirrors(route, path, findings)
  checkAction(route, path, findings)
  checkRoute(route, path, findings)
}

function checkConflicts(
  route: HttpRouteRule,
  path: string,
  isInDelegate: boolean,
  findings: Findings,
): void {
  for (const [field, owner] of conflictsOf(route, isInDelegate)) {
    const message = `cannot be combined with ${owner} in one route; remove one of them or use two routes`
    findings.error(`${path}.${field}`, 'conflicting-fields', message)
  }
  const { delegate, redirect, directResponse } = route
  if (delegate !== undefined && isInDelegate) {
    const message =
      'a VirtualService without hosts is a delegate itself and cannot delegate further'
    findings.error(`${path}.delegate`, 'conflicting-fields', message)
  }
  const isRoot = delegate !== undefined && !isInDelegate
  const hasAction = isRoot || redirect !== undefined || directResponse !== undefined
  if (!hasAction && !hasDestinations(route)) {
    const message = 'one of route, redirect, directResponse or delegate is required'
    findings.error(`${path}.route`, 'missing-field', message)
  }
}

function hasDestinations({ route = [] }: HttpRouteRule): boolean {
  return route.length > 0
}

/** Pairs of fields that exclude each other: the one to name, and the one it meets. */
function conflictsOf(
  route: HttpRouteRule,
  isInDelegate: boolean,
): readonly (readonly [field: string, owner: string])[] {
  const isSet = (field: keyof HttpRouteRule) =>
    field === 'route' ? hasDestinations(route) : route[field] !== undefined
  if (route.delegate !== undefined && !isInDelegate) {
    return (['redirect', 'route'] as const)
      .filter((field) => route[field] !== undefined)
      .map((field) => [field, 'delegate'] as const)
  }
  const owner = (['redirect', 'directResponse'] as const).find(isSet)
  const excluded =
    owner === undefined ? [] : (['route', 'fault', 'rewrite', 'directResponse'] as const)
  const conflicts = excluded
    .filter((field) => field !== owner && isSet(field))
    .map((field) => [field, owner ?? ''] as const)
  const hasBothMirrors = route.mirror !== undefined && (route.mirrors ?? []).length > 0
  return hasBothMirrors ? [...conflicts, ['mirrors', 'mirror'] as const] : conflicts
}

function checkMatch(match: HttpMatch, path: string, findings: Findings): void {
  // Envoy accepts an empty prefix for paths, but not for the other parts of a request.
  checkRegex(match.uri, `${path}.uri`, findings)
  for (const part of ['scheme', 'method', 'authority'] as const) {
    checkStringMatch(match[part], `${path}.${part}`, findings)
  }
  for (const [name, value] of Object.entries(match.queryParams ?? {})) {
    checkStringMatch(value, childPath(`${path}.queryParams`, name), findings)
  }
  for (const field of ['headers', 'withoutHeaders'] as const) {
    for (const [name, value] of Object.entries(match[field] ?? {})) {
      const at = childPath(`${path}.${field}`, name)
      const problem = matchedHeaderProblem(name)
      if (problem !== undefined) findings.error(at, 'bad-header', problem)
      // Here `regex: "*"` means "present" and is no expression.
      if (field === 'headers' || value.regex !== '*') checkStringMatch(value, at, findings)
    }
  }
  checkSource(match, path, findings)
}

type SourceMatch = Pick<HttpMatch, 'port' | 'sourceLabels' | 'gateways' | 'sourceNamespace'>

/** What matches of all three route lists have in common. */
export function checkSource(match: SourceMatch, path: string, findings: Findings): void {
  if (match.port !== undefined && match.port !== 0) checkPort(match.port, `${path}.port`, findings)
  checkLabels(match.sourceLabels, `${path}.sourceLabels`, findings)
  checkGatewayNames(match.gateways, `${path}.gateways`, findings)
  const { sourceNamespace = '' } = match
  if (sourceNamespace !== '' && !isDnsLabel(sourceNamespace)) {
    const message = `must be the name of a namespace, got "${sourceNamespace}"`
    findings.error(`${path}.sourceNamespace`, 'bad-name', message)
  }
}

function checkStringMatch(match: StringMatch | undefined, path: string, findings: Findings): void {
  if (match?.prefix === '') {
    findings.error(
      `${path}.prefix`,
      'bad-format',
      'must not be empty; leave the match out to match all',
    )
  }
  checkRegex(match, path, findings)
}

function checkRegex(match: StringMatch | undefined, path: string, findings: Findings): void {
  if (match?.regex === undefined) return
  const problem = regexProblem(match.regex)
  if (problem !== undefined) findings.error(`${path}.regex`, 'bad-regex', problem)
}

/** The authority may be set in one place: `rewrite`, or one header operation. */
function checkAuthority(route: HttpRouteRule, path: string, findings: Findings): void {
  const { set = {}, add = {} } = route.headers?.request ?? {}
  const places = [
    ...(route.rewrite?.authority ? [`${path}.rewrite.authority`] : []),
    ...Object.keys(set).flatMap((name) => placeOf(name, `${path}.headers.request.set`)),
    ...Object.keys(add).flatMap((name) => placeOf(name, `${path}.headers.request.add`)),
  ]
  const [first, second] = places
  if (second === undefined) return
  findings.error(second, 'conflicting-fields', `the authority is set by ${first} already; keep one`)
}

function placeOf(name: string, path: string): readonly string[] {
  return isAuthorityHeader(name) ? [childPath(path, name)] : []
}

function checkMirrors(route: HttpRouteRule, path: string, findings: Findings): void {
  for (const field of ['mirrorPercent', 'mirror_percent'] as const) {
    const percent = route[field]
    if (percent === undefined) continue
    if (percent > 100) {
      findings.error(`${path}.${field}`, 'out-of-range', `must be at most 100, got ${percent}`)
    }
    findings.warning(`${path}.${field}`, 'deprecated', 'deprecated; write mirrorPercentage.value')
  }
  checkShare(route.mirrorPercentage, `${path}.mirrorPercentage`, findings)
  if (route.mirror !== undefined) checkDestination(route.mirror, `${path}.mirror`, findings)
  for (const [index, { destination, percentage }] of (route.mirrors ?? []).entries()) {
    const at = itemPath(`${path}.mirrors`, index)
    checkDestination(destination, `${at}.destination`, findings)
    checkShare(percentage, `${at}.percentage`, findings)
  }
}

function checkShare(
  share: { readonly value?: number } | undefined,
  path: string,
  findings: Findings,
): void {
  const { value = 0 } = share ?? {}
  if (value >= 0 && value <= 100) return
  findings.error(`${path}.value`, 'out-of-range', `must be between 0 and 100, got ${value}`)
}

function checkRoute(route: HttpRouteRule, path: string, findings: Findings): void {
  const destinations = route.route ?? []
  for (const [index, { destination, headers }] of destinations.entries()) {
    const at = itemPath(`${path}.route`, index)
    checkDestination(destination, `${at}.destination`, findings)
    checkHeaderChanges(headers, `${at}.headers`, findings)
  }
  checkWeights(destinations, `${path}.route`, findings)
}

export function checkWeights(
  destinations: readonly { readonly weight?: number }[],
  path: string,
  findings: Findings,
): void {
  let total = 0
  for (const [index, { weight = 0 }] of destinations.entries()) {
    if (weight < 0) {
      const at = `${itemPath(path, index)}.weight`
      findings.error(at, 'out-of-range', `must not be negative, got ${weight}`)
    }
    total += weight
  }
  if (destinations.length > 1 && total === 0) {
    const message = 'the weights of several destinations must not all be 0; give each a weight'
    findings.error(path, 'bad-weights', message)
  } else if (total > 4_294_967_295) {
    findings.error(path, 'bad-weights', `the weights add up to ${total}; at most 4294967295`)
  }
}

export function checkDestination(destination: Destination, path: string, findings: Findings): void {
  const { host, subset = '', port } = destination
  const problem =
    host === '*' ? '"*" is not a destination; name one host' : wildcardDomainProblem(host)
  if (problem !== undefined) findings.error(`${path}.host`, 'bad-host', problem)
  if (subset !== '' && !isDnsLabel(subset)) {
    const message = `must be the name of a subset, got "${subset}"`
    findings.error(`${path}.subset`, 'bad-name', message)
  }
  if (port !== undefined) checkPort(port.number ?? 0, `${path}.port.number`, findings)
}
