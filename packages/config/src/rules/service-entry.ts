/** What a ServiceEntry and a WorkloadEntry must satisfy beyond their schema: the rules of Istio's admission. */

import type { ServiceEntry, WorkloadEntry } from '../kinds/service-entry.ts'
import { childPath, itemPath } from '../text/places.ts'
import { ipFamily, isIpOrCidr, unixPathProblem } from './addresses.ts'
import {
  checkExportTo,
  checkIstioAnnotations,
  checkLabels,
  checkPort,
  checkSelectorLabels,
  KNOWN_PROTOCOLS,
  protocolFamily,
  UNIX_PREFIX,
} from './istio-common.ts'
import { fqdnProblem, isDnsLabel, isPartialWildcard, wildcardDomainProblem } from './names.ts'
import type { Findings, RuledObject } from './rules.ts'

export function checkServiceEntry(object: RuledObject, findings: Findings): void {
  const spec = object.spec as ServiceEntry
  const { namespace, annotations, labels } = object.metadata
  checkIstioAnnotations(annotations, findings)
  checkHosts(spec, findings)
  checkAddresses(spec, findings)
  checkPorts(spec, findings)
  const { workloadSelector } = spec
  if (workloadSelector !== undefined) {
    checkSelectorLabels(workloadSelector.labels, 'spec.workloadSelector.labels', findings)
    if (spec.resolution === 'NONE') {
      const message = 'has no effect with resolution NONE; set resolution STATIC'
      findings.warning('spec.workloadSelector', 'no-effect', message)
    }
  }
  checkResolution(spec, labels, findings)
  checkSharedTcp(spec, findings)
  checkExportTo(spec.exportTo, 'spec.exportTo', { namespace, mayBeNone: true }, findings)
}

export function checkWorkloadEntry(object: RuledObject, findings: Findings): void {
  checkIstioAnnotations(object.metadata.annotations, findings)
  checkWorkload(object.spec as WorkloadEntry, 'spec', { mayBeName: true }, findings)
}

function checkHosts(spec: ServiceEntry, findings: Findings): void {
  for (const [index, host] of spec.hosts.entries()) {
    const at = itemPath('spec.hosts', index)
    // The bare "*" the schema's own rule refuses.
    const problem = host === '*' ? undefined : wildcardDomainProblem(host)
    if (problem !== undefined) findings.error(at, 'bad-host', problem)
    else if (spec.resolution !== 'DYNAMIC_DNS' && isPartialWildcard(host)) {
      const message = `"${host}": the "*" should be a whole first label, e.g. *.example.com`
      findings.warning(at, 'bad-host', message)
    }
  }
}

function checkAddresses({ addresses = [] }: ServiceEntry, findings: Findings): void {
  for (const [index, address] of addresses.entries()) {
    if (isIpOrCidr(address)) continue
    const message = `must be an IP address or a range such as 10.0.0.0/8, got "${address}"`
    findings.error(itemPath('spec.addresses', index), 'bad-address', message)
  }
}

function checkPorts({ ports = [] }: ServiceEntry, findings: Findings): void {
  for (const [index, { name, protocol = '' }] of ports.entries()) {
    const at = itemPath('spec.ports', index)
    if (!isDnsLabel(name)) {
      const message = `must be letters, digits and inner hyphens, at most 63, got "${name}"`
      findings.error(`${at}.name`, 'bad-name', message)
    }
    if (protocol !== '' && protocolFamily(protocol) === undefined) {
      const message = `must be one of ${KNOWN_PROTOCOLS}, got "${protocol}"`
      findings.error(`${at}.protocol`, 'not-allowed', message)
    }
  }
}

function checkResolution(
  spec: ServiceEntry,
  labels: Readonly<Record<string, string>>,
  findings: Findings,
): void {
  const { resolution, endpoints = [], ports = [] } = spec
  const servicePorts = new Set(ports.map(({ name }) => name))
  switch (resolution) {
    case 'NONE':
      return
    case 'STATIC':
      checkEndpoints(endpoints, { mayBeName: false, servicePorts }, findings)
      return
    case 'DNS':
    case 'DNS_ROUND_ROBIN':
      checkEndpoints(endpoints, { mayBeName: true, mayBeUnix: false, servicePorts }, findings)
      if (endpoints.length === 0) checkResolvable(spec, findings)
      return
    case 'DYNAMIC_DNS':
      checkDynamic(spec, labels, findings)
  }
}

/** Without endpoints the hosts themselves are looked up. */
function checkResolvable({ hosts, resolution }: ServiceEntry, findings: Findings): void {
  for (const [index, host] of hosts.entries()) {
    if (fqdnProblem(host) === undefined) continue
    const message = `"${host}" cannot be looked up, as resolution ${resolution} does without endpoints; write a full name or add endpoints`
    findings.error(itemPath('spec.hosts', index), 'bad-host', message)
  }
}

const DYNAMIC_PROTOCOLS = new Set(['http', 'tls', 'grpc', 'http2'])

function checkDynamic(
  spec: ServiceEntry,
  labels: Readonly<Record<string, string>>,
  findings: Findings,
): void {
  for (const [index, host] of spec.hosts.entries()) {
    if (host.startsWith('*')) continue
    const message = `must begin with "*" for resolution DYNAMIC_DNS, got "${host}"`
    findings.error(itemPath('spec.hosts', index), 'bad-host', message)
  }
  for (const field of ['addresses', 'endpoints'] as const) {
    if ((spec[field] ?? []).length === 0) continue
    const message =
      'cannot be combined with resolution DYNAMIC_DNS, which looks up each host; remove it'
    findings.error(`spec.${field}`, 'conflicting-fields', message)
  }
  for (const [index, { protocol = '' }] of (spec.ports ?? []).entries()) {
    if (DYNAMIC_PROTOCOLS.has(protocol.toLowerCase())) continue
    const message = `must be HTTP, HTTP2, GRPC or TLS for resolution DYNAMIC_DNS, got "${protocol}"`
    findings.error(`${itemPath('spec.ports', index)}.protocol`, 'not-allowed', message)
  }
  const waypoint = labels['istio.io/use-waypoint'] ?? ''
  const usesWaypoint = waypoint !== '' && waypoint.toLowerCase() !== 'none'
  if (spec.location === 'MESH_INTERNAL' && usesWaypoint) {
    const message = 'MESH_INTERNAL with resolution DYNAMIC_DNS does not work behind a waypoint'
    findings.error('spec.location', 'conflicting-fields', message)
  }
}

/** Plain TCP carries no name, so its hosts could not be told apart. */
function checkSharedTcp(spec: ServiceEntry, findings: Findings): void {
  const { hosts, ports = [], resolution } = spec
  if (resolution === 'NONE' || hosts.length < 2) return
  for (const [index, { protocol = '' }] of ports.entries()) {
    const family = protocolFamily(protocol)
    if (family === 'http' || family === 'tls') continue
    const message = `several hosts can share a port only when requests name the host: use an HTTP or TLS protocol, or one ServiceEntry per host, got "${protocol}"`
    findings.error(`${itemPath('spec.ports', index)}.protocol`, 'conflicting-fields', message)
  }
}

interface WorkloadOptions {
  /** The address may be a host name. */
  readonly mayBeName: boolean
  readonly mayBeUnix?: boolean
  /** Ports that the service has; absent when no service is known. */
  readonly servicePorts?: ReadonlySet<string>
}

function checkEndpoints(
  endpoints: readonly WorkloadEntry[],
  options: WorkloadOptions,
  findings: Findings,
): void {
  for (const [index, endpoint] of endpoints.entries()) {
    checkWorkload(endpoint, itemPath('spec.endpoints', index), options, findings)
  }
}

function checkWorkload(
  workload: WorkloadEntry,
  path: string,
  options: WorkloadOptions,
  findings: Findings,
): void {
  const { address = '', network = '', ports = {} } = workload
  const { servicePorts } = options
  const isUnix = address.startsWith(UNIX_PREFIX)
  checkAddress(address, network, path, options, findings)
  if (isUnix && servicePorts !== undefined && servicePorts.size !== 1) {
    const message = 'a unix socket serves one port, so the service must have exactly one'
    findings.error(`${path}.address`, 'conflicting-fields', message)
  }
  for (const [name, port] of Object.entries(ports)) {
    const at = childPath(`${path}.ports`, name)
    if (servicePorts !== undefined && !servicePorts.has(name)) {
      const message = `port "${name}" is not one of spec.ports (${[...servicePorts].join(', ')})`
      findings.error(at, 'unknown-port', message)
    }
    if (!isDnsLabel(name)) findings.error(at, 'bad-name', `"${name}" is not a port name`)
    checkPort(port, at, findings)
  }
  checkLabels(workload.labels, `${path}.labels`, findings)
}

function checkAddress(
  address: string,
  network: string,
  path: string,
  options: WorkloadOptions,
  findings: Findings,
): void {
  const at = `${path}.address`
  const { mayBeName, mayBeUnix = true } = options
  if (address === '') {
    if (network === '') findings.error(at, 'missing-field', 'is required but missing')
    else if (mayBeUnix) {
      const message = `is not set, so network "${network}" must have a gateway to reach the workload`
      findings.warning(at, 'no-address', message)
    } else findings.error(at, 'missing-field', 'is required for resolution by DNS')
    return
  }
  if (address.startsWith(UNIX_PREFIX) && mayBeUnix) {
    const problem = unixPathProblem(address.slice(UNIX_PREFIX.length))
    if (problem !== undefined) findings.error(at, 'bad-address', problem)
    return
  }
  if (ipFamily(address) !== undefined) return
  if (mayBeName && fqdnProblem(address) === undefined) return
  const wanted = mayBeName ? 'an IP address or a host name' : 'an IP address (resolution is STATIC)'
  findings.error(at, 'bad-address', `must be ${wanted}, got "${address}"`)
}
