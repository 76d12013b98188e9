/**
 * What a VirtualService must satisfy beyond its schema: the rules of Istio's
 * admission. The parts of an `http` route are in `http-route.ts`; rules that can
 * never be reached are found in `unreachable-routes.ts`.
 */

import type { VirtualService } from '../kinds/virtual-service.ts'
import { childPath, itemPath } from '../text/places.ts'
import { ipFamily, isIpOrCidr } from './addresses.ts'
import { checkGatewayNames } from './gateway-names.ts'
import { isClaimHeader } from './headers.ts'
import { checkDestination, checkHttpRoute, checkSource, checkWeights } from './http-route.ts'
import { checkExportTo, checkIstioAnnotations } from './istio-common.ts'
import { hostsOverlap, isHostWithin, wildcardDomainProblem } from './names.ts'
import type { Findings, RuledObject } from './rules.ts'
import { findUnreachable } from './unreachable-routes.ts'

/** The gateway name that stands for all sidecars. */
const MESH = 'mesh'

export function checkVirtualService(object: RuledObject, findings: Findings): void {
  const spec = object.spec as VirtualService
  checkIstioAnnotations(object.metadata.annotations, findings)
  checkGatewayNames(spec.gateways, 'spec.gateways', findings)
  checkDelegate(spec, findings)
  checkHosts(spec, findings)
  checkClaims(spec, findings)

  const { http = [], tls = [], tcp = [] } = spec
  if (http.length + tls.length + tcp.length === 0) {
    findings.error('spec', 'missing-field', 'one of http, tls or tcp must have at least one route')
  }
  for (const [index, route] of http.entries()) {
    checkHttpRoute(route, itemPath('spec.http', index), isDelegate(spec), findings)
  }
  for (const [index, route] of tls.entries()) {
    checkTlsRoute(route, itemPath('spec.tls', index), spec, findings)
  }
  for (const [index, route] of tcp.entries()) {
    checkTcpRoute(route, itemPath('spec.tcp', index), findings)
  }
  const { namespace } = object.metadata
  checkExportTo(spec.exportTo, 'spec.exportTo', { namespace }, findings)
  findUnreachable('spec.http', http, findings)
  findUnreachable('spec.tls', tls, findings)
  findUnreachable('spec.tcp', tcp, findings)
}

/** Without hosts it is a part that another VirtualService delegates to. */
function isDelegate(spec: VirtualService): boolean {
  return (spec.hosts ?? []).length === 0
}

function checkDelegate(spec: VirtualService, findings: Findings): void {
  if (!isDelegate(spec)) return
  for (const field of ['gateways', 'tls', 'tcp'] as const) {
    if ((spec[field] ?? []).length === 0) continue
    const message = `without spec.hosts this is a delegate, which may not have ${field}; add hosts or remove ${field}`
    findings.error(`spec.${field}`, 'conflicting-fields', message)
  }
}

function isForGatewaysOnly({ gateways = [] }: VirtualService): boolean {
  return gateways.length > 0 && !gateways.includes(MESH)
}

function checkHosts(spec: VirtualService, findings: Findings): void {
  const { hosts = [] } = spec
  let areAllRight = true
  for (const [index, host] of hosts.entries()) {
    const at = itemPath('spec.hosts', index)
    const problem = hostProblem(host, spec)
    if (problem !== undefined && ipFamily(host) === undefined) {
      findings.error(at, 'bad-host', problem)
      areAllRight = false
    } else if (host === '*' && !isForGatewaysOnly(spec)) {
      const message =
        'host "*" is not allowed for the mesh; name the hosts, or bind to a gateway only'
      findings.error(at, 'bad-host', message)
      areAllRight = false
    }
  }
  if (areAllRight) checkOverlaps(hosts, findings)
}

function checkOverlaps(hosts: readonly string[], findings: Findings): void {
  for (const [index, host] of hosts.entries()) {
    const earlier = hosts.findIndex((other) => hostsOverlap(other, host))
    if (earlier >= index || earlier === -1) continue
    const message = `"${host}" overlaps "${hosts[earlier]}" of the same list; remove one of them`
    findings.error(itemPath('spec.hosts', index), 'duplicate', message)
  }
}

/** `outbound_.80_._.host`: the names that AUTO_PASSTHROUGH gateways make for SNI. */
const GENERATED_SNI = /^outbound_\.?\d.*_.*_\.?.*[a-zA-Z]/

function hostProblem(host: string, spec: VirtualService): string | undefined {
  const hasSni = (spec.tls ?? []).some((route) =>
    route.match.some((match) => match.sniHosts.length > 0),
  )
  const isGenerated =
    isForGatewaysOnly(spec) && hasSni && host.length <= 255 && GENERATED_SNI.test(host)
  return isGenerated ? undefined : wildcardDomainProblem(host)
}

function checkClaims(spec: VirtualService, findings: Findings): void {
  if (isForGatewaysOnly(spec)) return
  for (const [index, { match = [] }] of (spec.http ?? []).entries()) {
    for (const [matchIndex, { headers = {}, withoutHeaders = {} }] of match.entries()) {
      const at = itemPath(`${itemPath('spec.http', index)}.match`, matchIndex)
      for (const [field, names] of Object.entries({ headers, withoutHeaders })) {
        for (const name of Object.keys(names).filter(isClaimHeader)) {
          const message =
            'routing by JWT claims works at gateways only; set spec.gateways without "mesh"'
          findings.error(childPath(childPath(at, field), name), 'bad-header', message)
        }
      }
    }
  }
}

type TlsRoute = NonNullable<VirtualService['tls']>[number]
type TcpRoute = NonNullable<VirtualService['tcp']>[number]

function checkTlsRoute(
  route: TlsRoute,
  path: string,
  spec: VirtualService,
  findings: Findings,
): void {
  if (route.match.length === 0) {
    findings.error(`${path}.match`, 'missing-field', 'at least one match with sniHosts is required')
  }
  for (const [index, match] of route.match.entries()) {
    const at = itemPath(`${path}.match`, index)
    if (match.sniHosts.length === 0) {
      findings.error(`${at}.sniHosts`, 'missing-field', 'at least one SNI host is required')
    }
    for (const [sniIndex, sni] of match.sniHosts.entries()) {
      checkSni(sni, itemPath(`${at}.sniHosts`, sniIndex), spec, findings)
    }
    checkSubnets(match.destinationSubnets, `${at}.destinationSubnets`, findings)
    checkSource(match, at, findings)
  }
  checkRouteDestinations(route.route, `${path}.route`, findings)
}

function checkSni(sni: string, path: string, spec: VirtualService, findings: Findings): void {
  const problem = hostProblem(sni, spec)
  if (problem !== undefined) {
    if (ipFamily(sni) === undefined) findings.error(path, 'bad-host', problem)
    else
      findings.warning(path, 'bad-host', 'clients do not send IP addresses as SNI; name the host')
    return
  }
  const { hosts = [] } = spec
  if (hosts.some((host) => isHostWithin(sni, host))) return
  const message = `"${sni}" is not within spec.hosts (${hosts.join(', ')}); add it there`
  findings.error(path, 'bad-host', message)
}

function checkTcpRoute(route: TcpRoute, path: string, findings: Findings): void {
  for (const [index, match] of (route.match ?? []).entries()) {
    const at = itemPath(`${path}.match`, index)
    checkSubnets(match.destinationSubnets, `${at}.destinationSubnets`, findings)
    checkSource(match, at, findings)
  }
  checkRouteDestinations(route.route, `${path}.route`, findings)
}

function checkRouteDestinations(
  destinations: TcpRoute['route'],
  path: string,
  findings: Findings,
): void {
  if (destinations === undefined || destinations.length === 0) {
    findings.error(path, 'missing-field', 'at least one destination is required')
    return
  }
  for (const [index, { destination }] of destinations.entries()) {
    checkDestination(destination, `${itemPath(path, index)}.destination`, findings)
  }
  checkWeights(destinations, path, findings)
}

function checkSubnets(
  subnets: readonly string[] | undefined,
  path: string,
  findings: Findings,
): void {
  for (const [index, subnet] of (subnets ?? []).entries()) {
    if (isIpOrCidr(subnet)) continue
    const message = `must be an IP address or a range such as 10.0.0.0/8, got "${subnet}"`
    findings.error(itemPath(path, index), 'bad-address', message)
  }
}
