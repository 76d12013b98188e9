/** What VirtualServices refer to: destinations, their subsets and ports, gateways. */

import type { DocumentOf } from '../document.ts'
import type { Destination } from '../kinds/virtual-service.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

type VirtualServiceDocument = DocumentOf<'VirtualService'>

export function checkRoutes(index: AnalysisIndex, warn: Warn): void {
  for (const document of index.all('VirtualService')) {
    for (const { destination, path } of destinationsOf(document)) {
      checkDestination(document, destination, path, index, warn)
    }
    checkGateways(document, index, warn)
    checkDelegates(document, index, warn)
  }
}

interface PlacedDestination {
  readonly destination: Destination
  readonly path: string
}

function destinationsOf({ spec }: VirtualServiceDocument): readonly PlacedDestination[] {
  const { http = [], tls = [], tcp = [] } = spec
  const http_ = http.flatMap(({ route = [], mirror, mirrors = [] }, index) => {
    const at = itemPath('spec.http', index)
    return [
      ...routed(route, `${at}.route`),
      ...routed(mirrors, `${at}.mirrors`),
      ...(mirror === undefined ? [] : [{ destination: mirror, path: `${at}.mirror` }]),
    ]
  })
  const others = Object.entries({ tls, tcp }).flatMap(([field, routes]) =>
    routes.flatMap(({ route = [] }, index) =>
      routed(route, `${itemPath(`spec.${field}`, index)}.route`),
    ),
  )
  return [...http_, ...others]
}

function routed(
  routes: readonly { readonly destination: Destination }[],
  path: string,
): readonly PlacedDestination[] {
  return routes.map(({ destination }, index) => ({
    destination,
    path: `${itemPath(path, index)}.destination`,
  }))
}

function checkDestination(
  document: VirtualServiceDocument,
  destination: Destination,
  path: string,
  index: AnalysisIndex,
  warn: Warn,
): void {
  const host = index.resolveHost(destination.host, document.metadata.namespace)
  const services = index.servicesOf(host)
  if (services.length === 0) {
    if (index.hasServices()) {
      const message = `no Service or ServiceEntry has the host "${host}"; create it or correct the name`
      warn(document, `${path}.host`, 'missing-host', message, 'IST0101')
    }
    // Without the service nothing more can be said, but a rule may still define the subset.
    checkSubset(document, destination, path, host, index, warn)
    return
  }
  checkSubset(document, destination, path, host, index, warn)
  const ports = services.flatMap((service) => service.ports)
  const wanted = destination.port?.number
  if (wanted === undefined && ports.length > 1) {
    const numbers = ports.map(({ number }) => number).join(', ')
    const message = `"${host}" has several ports (${numbers}); say which: port: { number: … }`
    warn(document, path, 'port-required', message, 'IST0112')
  }
  if (wanted !== undefined && ports.length > 0 && !ports.some(({ number }) => number === wanted)) {
    const numbers = ports.map(({ number }) => number).join(', ')
    const message = `"${host}" has no port ${wanted}; it has ${numbers}`
    warn(document, `${path}.port.number`, 'missing-port', message, 'IST0101')
  }
}

function checkSubset(
  document: VirtualServiceDocument,
  { subset = '' }: Destination,
  path: string,
  host: string,
  index: AnalysisIndex,
  warn: Warn,
): void {
  if (subset === '') return
  const rules = index.rulesOf(host)
  if (rules.some(({ spec }) => (spec.subsets ?? []).some(({ name }) => name === subset))) return
  if (rules.length === 0 && !index.hasServices()) return
  const known = rules.flatMap(({ spec }) => (spec.subsets ?? []).map(({ name }) => name))
  const hint =
    known.length === 0 ? 'no DestinationRule defines any' : `defined are ${known.join(', ')}`
  const message = `"${host}" has no subset "${subset}": ${hint}`
  warn(document, `${path}.subset`, 'missing-subset', message, 'IST0101')
}

function checkGateways(document: VirtualServiceDocument, index: AnalysisIndex, warn: Warn): void {
  const { gateways = [], hosts = [] } = document.spec
  const { namespace } = document.metadata
  if (index.all('IstioGateway').length === 0 && !index.hasServices()) return
  for (const [position, reference] of gateways.entries()) {
    if (reference === 'mesh') continue
    const [owner, name] = gatewayName(reference, namespace)
    const gateway = index.find('IstioGateway', owner, name)
    const at = itemPath('spec.gateways', position)
    if (gateway === undefined) {
      const message = `there is no Gateway ${owner}/${name}; create it or correct the name`
      warn(document, at, 'missing-gateway', message, 'IST0101')
      continue
    }
    const served = (gateway.spec.servers ?? []).flatMap((server) => server.hosts)
    for (const [hostPosition, host] of hosts.entries()) {
      if (served.some((entry) => mayServe(entry, host, gateway.metadata.namespace, namespace))) {
        continue
      }
      const message = `"${host}" is not served by Gateway ${owner}/${name}, whose hosts are ${served.join(', ')}`
      warn(document, itemPath('spec.hosts', hostPosition), 'host-not-served', message, 'IST0132')
    }
  }
}

/** `name`, `namespace/name`, or the old `name.namespace.svc.cluster.local`. */
function gatewayName(reference: string, namespace: string): readonly [string, string] {
  const [first = '', second] = reference.split('/')
  if (second !== undefined) return [first, second]
  const [name = '', owner] = reference.split('.')
  return [owner ?? namespace, name]
}

function mayServe(entry: string, host: string, owner: string, namespace: string): boolean {
  const slash = entry.indexOf('/')
  const scope = slash === -1 ? '*' : entry.slice(0, slash)
  if (scope !== '*' && (scope === '.' ? owner : scope) !== namespace) return false
  const served = entry.slice(slash + 1)
  if (served === '*' || host === '*') return true
  if (served === host) return true
  if (served.startsWith('*') && host.endsWith(served.slice(1))) return true
  return host.startsWith('*') && served.endsWith(host.slice(1))
}

function checkDelegates(document: VirtualServiceDocument, index: AnalysisIndex, warn: Warn): void {
  for (const [position, { delegate }] of (document.spec.http ?? []).entries()) {
    const { name = '', namespace = '' } = delegate ?? {}
    if (name === '') continue
    const owner = namespace === '' ? document.metadata.namespace : namespace
    if (index.find('VirtualService', owner, name) !== undefined) continue
    const at = `${itemPath('spec.http', position)}.delegate.name`
    const message = `there is no VirtualService ${owner}/${name}; create it or correct the name`
    warn(document, at, 'missing-delegate', message, 'IST0101')
  }
}
