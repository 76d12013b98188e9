/**
 * What Kubernetes' API server refuses in the kinds a mesh reads, beyond their
 * schema. On purpose more lenient in one point: loopback addresses are allowed
 * in endpoints, because a mesh without Kubernetes may run on one machine.
 */

import type { EndpointSlice, Endpoints, Service, ServicePort } from '../kinds/kubernetes.ts'
import { childPath, itemPath } from '../text/places.ts'
import { ipFamily, isCidr } from './addresses.ts'
import { checkLabels } from './istio-common.ts'
import { checkLoadBalancerAnnotation } from './load-balancer.ts'
import { isKubernetesLabel, isKubernetesSubdomain, isPortName } from './names.ts'
import { checkPathsAnnotation } from './paths.ts'
import type { Findings, RuledObject } from './rules.ts'

export function checkService(object: RuledObject, findings: Findings): void {
  const spec = object.spec as Service
  const { name } = object.metadata
  if (!/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(name) || name.length > 63) {
    const message = `must be lower-case letters, digits and inner hyphens, beginning with a letter, at most 63, got "${name}"`
    findings.error('metadata.name', 'bad-name', message)
  }
  checkLabels(spec.selector, 'spec.selector', findings)
  checkLoadBalancerAnnotation(object.metadata.annotations, findings)
  checkPathsAnnotation(object.metadata.annotations, findings)
  checkServicePorts(spec, findings)
  checkClusterIps(spec, findings)
  checkServiceType(spec, findings)
  for (const [index, ip] of (spec.externalIPs ?? []).entries()) {
    if (ipFamily(ip) !== undefined) continue
    findings.error(
      itemPath('spec.externalIPs', index),
      'bad-address',
      `"${ip}" is not an IP address`,
    )
  }
  for (const [index, range] of (spec.loadBalancerSourceRanges ?? []).entries()) {
    if (isCidr(range.trim())) continue
    const at = itemPath('spec.loadBalancerSourceRanges', index)
    findings.error(at, 'bad-address', `must be a range such as 10.0.0.0/8, got "${range}"`)
  }
}

function isHeadless({ clusterIP }: Service): boolean {
  return clusterIP === 'None'
}

function checkServicePorts(spec: Service, findings: Findings): void {
  const { ports = [], type } = spec
  if (ports.length === 0 && !isHeadless(spec) && type !== 'ExternalName') {
    findings.error('spec.ports', 'missing-field', 'at least one port is required')
  }
  const names = new Map<string, string>()
  const numbers = new Map<string, string>()
  for (const [index, port] of ports.entries()) {
    const at = itemPath('spec.ports', index)
    checkServicePort(port, at, ports.length > 1, spec, findings)
    checkFirst(names, port.name ?? '', `${at}.name`, `port name "${port.name}"`, findings)
    const number = `${port.port}/${port.protocol}`
    checkFirst(numbers, number, `${at}.port`, `port ${number}`, findings)
  }
}

function checkFirst(
  seen: Map<string, string>,
  key: string,
  path: string,
  what: string,
  findings: Findings,
): void {
  if (key === '') return
  const first = seen.get(key)
  if (first === undefined) seen.set(key, path)
  else findings.error(path, 'duplicate', `${what} is used by ${first} already`)
}

function checkServicePort(
  port: ServicePort,
  path: string,
  needsName: boolean,
  { type }: Service,
  findings: Findings,
): void {
  const { name = '', targetPort, nodePort = 0, appProtocol } = port
  if (name === '' && needsName) {
    findings.error(`${path}.name`, 'missing-field', 'is required when there are several ports')
  }
  if (name !== '' && !isKubernetesLabel(name)) {
    const message = `must be lower-case letters, digits and inner hyphens, at most 63, got "${name}"`
    findings.error(`${path}.name`, 'bad-name', message)
  }
  if (typeof targetPort === 'number' && (targetPort < 1 || targetPort > 65535)) {
    const message = `must be a port between 1 and 65535, got ${targetPort}`
    findings.error(`${path}.targetPort`, 'out-of-range', message)
  }
  if (typeof targetPort === 'string' && targetPort !== '' && !isPortName(targetPort)) {
    const message = `must be a number, or a port's name (at most 15 of a-z, 0-9 and "-"), got "${targetPort}"`
    findings.error(`${path}.targetPort`, 'bad-name', message)
  }
  if (nodePort !== 0 && (type === 'ClusterIP' || type === 'ExternalName')) {
    const message = `cannot be set for type ${type}; remove it or set type: NodePort`
    findings.error(`${path}.nodePort`, 'conflicting-fields', message)
  }
  if (appProtocol !== undefined) {
    checkLabels({ [appProtocol]: '' }, `${path}.appProtocol`, relabelled(path, findings))
  }
}

/** A qualified name has the form of a label's key; the finding belongs to the field. */
function relabelled(path: string, findings: Findings): Findings {
  return {
    ...findings,
    error: (_path, code, message) => findings.error(`${path}.appProtocol`, code, message),
  }
}

function checkClusterIps(spec: Service, findings: Findings): void {
  const { clusterIP = '', clusterIPs = [], type } = spec
  if (clusterIP !== '' && clusterIP !== 'None' && ipFamily(clusterIP) === undefined) {
    const message = `must be an IP address, "None" or empty, got "${clusterIP}"`
    findings.error('spec.clusterIP', 'bad-address', message)
  }
  for (const [index, ip] of clusterIPs.entries()) {
    if (ip === 'None' || ipFamily(ip) !== undefined) continue
    findings.error(
      itemPath('spec.clusterIPs', index),
      'bad-address',
      `"${ip}" is not an IP address`,
    )
  }
  const [first] = clusterIPs
  if (first !== undefined && clusterIP !== '' && first !== clusterIP) {
    const message = `must be the same as spec.clusterIP, ${clusterIP}`
    findings.error(itemPath('spec.clusterIPs', 0), 'conflicting-fields', message)
  }
  if (clusterIP === 'None' && (type === 'NodePort' || type === 'LoadBalancer')) {
    const message = `must not be "None" for type ${type}`
    findings.error('spec.clusterIP', 'conflicting-fields', message)
  }
}

function checkServiceType(spec: Service, findings: Findings): void {
  const { type, clusterIP = '', externalName = '', externalTrafficPolicy, externalIPs = [] } = spec
  if (type === 'ExternalName') {
    if (clusterIP !== '' && clusterIP !== 'None') {
      const message = 'must not be set for type ExternalName'
      findings.error('spec.clusterIP', 'conflicting-fields', message)
    }
    const name = externalName.replace(/\.$/, '')
    if (name === '') {
      findings.error('spec.externalName', 'missing-field', 'is required for type ExternalName')
    } else if (!isKubernetesSubdomain(name)) {
      const message = `must be a host name in lower case, got "${externalName}"`
      findings.error('spec.externalName', 'bad-host', message)
    }
  }
  const isExternal = type === 'NodePort' || type === 'LoadBalancer' || externalIPs.length > 0
  if (externalTrafficPolicy !== undefined && !isExternal) {
    const message = 'works for types NodePort and LoadBalancer only; remove it'
    findings.error('spec.externalTrafficPolicy', 'conflicting-fields', message)
  }
}

export function checkEndpointSlice(object: RuledObject, findings: Findings): void {
  const spec = object.spec as EndpointSlice
  for (const [index, endpoint] of spec.endpoints.entries()) {
    const at = itemPath('endpoints', index)
    for (const [addressIndex, address] of endpoint.addresses.entries()) {
      if (isSliceAddress(address, spec.addressType)) continue
      const message = `must be of addressType ${spec.addressType}, got "${address}"`
      findings.error(itemPath(`${at}.addresses`, addressIndex), 'bad-address', message)
    }
    checkHostname(endpoint.hostname, `${at}.hostname`, findings)
  }
  checkEndpointPorts(spec.ports, 'ports', findings)
}

function isSliceAddress(address: string, type: EndpointSlice['addressType']): boolean {
  return type === 'FQDN' ? isKubernetesSubdomain(address) : ipFamily(address) === type
}

export function checkEndpoints(object: RuledObject, findings: Findings): void {
  const spec = object.spec as Endpoints
  for (const [index, subset] of spec.subsets.entries()) {
    const at = itemPath('subsets', index)
    const { addresses = [], notReadyAddresses = [], ports = [] } = subset
    if (addresses.length + notReadyAddresses.length === 0) {
      const message = 'one of addresses and notReadyAddresses must have an entry'
      findings.error(at, 'missing-field', message)
    }
    for (const [field, list] of Object.entries({ addresses, notReadyAddresses })) {
      for (const [addressIndex, { ip, hostname }] of list.entries()) {
        const addressAt = itemPath(childPath(at, field), addressIndex)
        if (ipFamily(ip) === undefined) {
          findings.error(`${addressAt}.ip`, 'bad-address', `"${ip}" is not an IP address`)
        }
        checkHostname(hostname, `${addressAt}.hostname`, findings)
      }
    }
    checkEndpointPorts(ports, `${at}.ports`, findings)
  }
}

function checkHostname(name: string | undefined, path: string, findings: Findings): void {
  if (name === undefined || name === '' || isKubernetesLabel(name)) return
  findings.error(path, 'bad-name', `must be a lower-case DNS label, got "${name}"`)
}

function checkEndpointPorts(
  ports: readonly { readonly name: string }[],
  path: string,
  findings: Findings,
): void {
  const seen = new Map<string, string>()
  for (const [index, { name }] of ports.entries()) {
    const at = `${itemPath(path, index)}.name`
    if (name === '' && ports.length > 1) {
      findings.error(at, 'missing-field', 'is required when there are several ports')
    }
    if (name !== '' && !isKubernetesLabel(name)) {
      findings.error(at, 'bad-name', `must be a lower-case DNS label, got "${name}"`)
    }
    checkFirst(seen, name, at, `port name "${name}"`, findings)
  }
}

export function checkNamespace(object: RuledObject, findings: Findings): void {
  const { name } = object.metadata
  if (isKubernetesLabel(name)) return
  const message = `must be lower-case letters, digits and inner hyphens, at most 63, got "${name}"`
  findings.error('metadata.name', 'bad-name', message)
}

/** Keys of `data` are file names: letters, digits, `-`, `_` and `.`. */
export function checkDataKeys(object: RuledObject, findings: Findings): void {
  const body = object.spec as Readonly<Record<string, unknown>>
  for (const field of ['data', 'stringData', 'binaryData']) {
    const entries = body[field]
    if (typeof entries !== 'object' || entries === null) continue
    for (const key of Object.keys(entries)) {
      if (/^[-._a-zA-Z0-9]{1,253}$/.test(key) && key !== '.' && !key.startsWith('..')) continue
      const message = 'a key must be letters, digits, "-", "_" and ".", at most 253'
      findings.error(childPath(field, key), 'bad-name', message)
    }
  }
}
