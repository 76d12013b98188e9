/** What a DestinationRule must satisfy beyond its schema: the rules of Istio's admission. */

import type {
  ClientTlsSettings,
  ConnectionPoolSettings,
  DestinationRule,
  OutlierDetectionSettings,
  PortTrafficPolicy,
  Subset,
  TrafficPolicy,
} from '../kinds/destination-rule.ts'
import { goDurationMs } from '../schema/go-duration.ts'
import { itemPath } from '../text/places.ts'
import { ipFamily } from './addresses.ts'
import {
  checkDuration,
  checkExportTo,
  checkIstioAnnotations,
  checkLabels,
  checkPort,
  checkSelectorLabels,
} from './istio-common.ts'
import { checkLoadBalancer, checkLoadBalancerAnnotation } from './load-balancer.ts'
import { fqdnProblem, isDnsLabel, wildcardDomainProblem } from './names.ts'
import { checkPathsAnnotation } from './paths.ts'
import type { Findings, RuledObject } from './rules.ts'

export function checkDestinationRule(object: RuledObject, findings: Findings): void {
  const spec = object.spec as DestinationRule
  const { namespace } = object.metadata
  checkIstioAnnotations(object.metadata.annotations, findings)
  checkLoadBalancerAnnotation(object.metadata.annotations, findings)
  checkPathsAnnotation(object.metadata.annotations, findings)
  const problem = wildcardDomainProblem(spec.host)
  if (problem !== undefined) findings.error('spec.host', 'bad-host', problem)
  checkTrafficPolicy(spec.trafficPolicy, 'spec.trafficPolicy', namespace, findings)
  checkSubsets(spec.subsets ?? [], namespace, findings)
  const { workloadSelector } = spec
  const isOwnNamespaceOnly = workloadSelector !== undefined
  checkExportTo(spec.exportTo, 'spec.exportTo', { namespace, isOwnNamespaceOnly }, findings)
  if (workloadSelector !== undefined) {
    const at = 'spec.workloadSelector.matchLabels'
    checkSelectorLabels(workloadSelector.matchLabels, at, findings)
  }
}

function checkSubsets(subsets: readonly Subset[], namespace: string, findings: Findings): void {
  const seen = new Map<string, string>()
  for (const [index, subset] of subsets.entries()) {
    const at = itemPath('spec.subsets', index)
    const first = seen.get(subset.name)
    if (first !== undefined) {
      const message = `subset "${subset.name}" is defined by ${first} already; rename one`
      findings.error(`${at}.name`, 'duplicate', message)
    }
    seen.set(subset.name, first ?? at)
    if (!isDnsLabel(subset.name)) {
      const message = `must be letters, digits and inner hyphens, at most 63, got "${subset.name}"`
      findings.error(`${at}.name`, 'bad-name', message)
    }
    checkLabels(subset.labels, `${at}.labels`, findings)
    checkTrafficPolicy(subset.trafficPolicy, `${at}.trafficPolicy`, namespace, findings)
  }
}

function checkTrafficPolicy(
  policy: TrafficPolicy | undefined,
  path: string,
  namespace: string,
  findings: Findings,
): void {
  if (policy === undefined) return
  if (Object.keys(policy).length === 0) {
    findings.error(path, 'missing-field', 'must set something; remove it if nothing is meant')
    return
  }
  const { tunnel, proxyProtocol, portLevelSettings = [] } = policy
  if (tunnel !== undefined && proxyProtocol !== undefined) {
    const message = 'cannot be combined with tunnel; remove one of them'
    findings.error(`${path}.proxyProtocol`, 'conflicting-fields', message)
  }
  checkCommon(policy, path, namespace, findings)
  for (const [index, settings] of portLevelSettings.entries()) {
    checkPortPolicy(settings, itemPath(`${path}.portLevelSettings`, index), namespace, findings)
  }
  if (tunnel !== undefined) checkTunnel(tunnel, `${path}.tunnel`, findings)
}

function checkPortPolicy(
  policy: PortTrafficPolicy,
  path: string,
  namespace: string,
  findings: Findings,
): void {
  if (policy.port === undefined) {
    findings.error(`${path}.port`, 'missing-field', 'is required: write port: { number: … }')
  }
  const { port: _port, ...rest } = policy
  if (Object.keys(rest).length === 0) {
    findings.error(path, 'missing-field', 'must set something besides the port')
  }
  checkCommon(policy, path, namespace, findings)
}

function checkCommon(
  policy: PortTrafficPolicy,
  path: string,
  namespace: string,
  findings: Findings,
): void {
  checkOutlierDetection(policy.outlierDetection, `${path}.outlierDetection`, findings)
  checkConnectionPool(policy.connectionPool, `${path}.connectionPool`, findings)
  const hasOutlierDetection = policy.outlierDetection !== undefined
  checkLoadBalancer(policy.loadBalancer, `${path}.loadBalancer`, hasOutlierDetection, findings)
  checkClientTls(policy.tls, `${path}.tls`, namespace, findings)
}

function checkTunnel(
  tunnel: NonNullable<TrafficPolicy['tunnel']>,
  path: string,
  findings: Findings,
): void {
  const { protocol = '', targetHost, targetPort } = tunnel
  if (!['', 'CONNECT', 'POST'].includes(protocol)) {
    findings.error(`${path}.protocol`, 'not-allowed', `must be CONNECT or POST, got "${protocol}"`)
  }
  if (fqdnProblem(targetHost) !== undefined && ipFamily(targetHost) === undefined) {
    const message = `must be a host name or an IP address, got "${targetHost}"`
    findings.error(`${path}.targetHost`, 'bad-host', message)
  }
  checkPort(targetPort, `${path}.targetPort`, findings)
}

function checkOutlierDetection(
  outlier: OutlierDetectionSettings | undefined,
  path: string,
  findings: Findings,
): void {
  if (outlier === undefined) return
  checkDuration(outlier.baseEjectionTime, `${path}.baseEjectionTime`, findings)
  checkDuration(outlier.interval, `${path}.interval`, findings)
  for (const field of ['maxEjectionPercent', 'minHealthPercent'] as const) {
    const { [field]: percent = 0 } = outlier
    if (percent >= 0 && percent <= 100) continue
    findings.error(`${path}.${field}`, 'out-of-range', `must be between 0 and 100, got ${percent}`)
  }
  if ((outlier.consecutiveErrors ?? 0) !== 0) {
    const message = 'deprecated; write consecutive5xxErrors or consecutiveGatewayErrors'
    findings.warning(`${path}.consecutiveErrors`, 'deprecated', message)
  }
  const { splitExternalLocalOriginErrors = false, consecutiveLocalOriginFailures = 0 } = outlier
  if (!splitExternalLocalOriginErrors && consecutiveLocalOriginFailures > 0) {
    const message = 'needs splitExternalLocalOriginErrors: true'
    findings.error(`${path}.consecutiveLocalOriginFailures`, 'conflicting-fields', message)
  }
}

export function checkConnectionPool(
  pool: ConnectionPoolSettings | undefined,
  path: string,
  findings: Findings,
): void {
  if (pool === undefined) return
  const { http, tcp } = pool
  if (http === undefined && tcp === undefined) {
    findings.error(path, 'missing-field', 'one of http and tcp must be set')
  }
  if (http !== undefined) checkHttpPool(http, `${path}.http`, findings)
  if (tcp !== undefined) checkTcpPool(tcp, `${path}.tcp`, findings)
}

type HttpPool = NonNullable<ConnectionPoolSettings['http']>
type TcpPool = NonNullable<ConnectionPoolSettings['tcp']>

function checkHttpPool(http: HttpPool, path: string, findings: Findings): void {
  for (const field of [
    'http1MaxPendingRequests',
    'http2MaxRequests',
    'maxRequestsPerConnection',
    'maxRetries',
    'maxConcurrentStreams',
  ] as const) {
    checkNotNegative(http[field], `${path}.${field}`, findings)
  }
  checkDuration(http.idleTimeout, `${path}.idleTimeout`, findings)
  if (http.h2UpgradePolicy === 'UPGRADE' && http.useClientProtocol === true) {
    const message = 'cannot be combined with h2UpgradePolicy: UPGRADE; remove one of them'
    findings.error(`${path}.useClientProtocol`, 'conflicting-fields', message)
  }
  if (http.http2KeepAlive === undefined) return
  for (const field of ['interval', 'timeout'] as const) {
    const text = http.http2KeepAlive[field]
    const at = `${path}.http2KeepAlive.${field}`
    if (text === undefined) findings.error(at, 'missing-field', 'is required but missing')
    else checkDuration(text, at, findings)
  }
}

function checkTcpPool(tcp: TcpPool, path: string, findings: Findings): void {
  checkNotNegative(tcp.maxConnections, `${path}.maxConnections`, findings)
  checkDuration(tcp.connectTimeout, `${path}.connectTimeout`, findings)
  checkDuration(tcp.maxConnectionDuration, `${path}.maxConnectionDuration`, findings)
  // Zero switches the timeout off.
  const isOff = tcp.idleTimeout !== undefined && (goDurationMs(tcp.idleTimeout) ?? 1) < 1
  if (!isOff) checkDuration(tcp.idleTimeout, `${path}.idleTimeout`, findings)
  checkDuration(tcp.tcpKeepalive?.time, `${path}.tcpKeepalive.time`, findings)
  checkDuration(tcp.tcpKeepalive?.interval, `${path}.tcpKeepalive.interval`, findings)
}

function checkNotNegative(value: number | undefined, path: string, findings: Findings): void {
  if (value === undefined || value >= 0) return
  findings.error(path, 'out-of-range', `must not be negative, got ${value}`)
}

const CONFIG_MAP_PREFIX = 'configmap://'

function checkClientTls(
  tls: ClientTlsSettings | undefined,
  path: string,
  namespace: string,
  findings: Findings,
): void {
  if (tls === undefined) return
  const { mode = 'DISABLE', credentialName = '' } = tls
  checkCredentialName(credentialName, `${path}.credentialName`, namespace, findings)
  if (tls.insecureSkipVerify === true) checkSkipVerify(tls, mode, path, findings)
  const files = ['clientCertificate', 'privateKey', 'caCertificates', 'caCrl'] as const
  if ((mode === 'SIMPLE' || mode === 'MUTUAL') && credentialName !== '') {
    for (const field of files.filter((one) => isSet(tls[one]))) {
      const message = 'comes from credentialName when that is set; remove one of them'
      findings.error(`${path}.${field}`, 'conflicting-fields', message)
    }
    return
  }
  if (mode !== 'MUTUAL') return
  for (const field of ['clientCertificate', 'privateKey'] as const) {
    if (isSet(tls[field])) continue
    const message = 'is required for mode MUTUAL; set it or credentialName'
    findings.error(`${path}.${field}`, 'missing-field', message)
  }
}

function checkCredentialName(
  name: string,
  path: string,
  namespace: string,
  findings: Findings,
): void {
  if (!name.startsWith(CONFIG_MAP_PREFIX)) return
  const [owner, config, ...rest] = name.slice(CONFIG_MAP_PREFIX.length).split('/')
  if (config === undefined || config === '' || owner === '' || rest.length > 0) {
    findings.error(path, 'bad-name', 'must be configmap://namespace/name')
  } else if (owner !== namespace) {
    findings.error(path, 'bad-name', `must name a ConfigMap of this namespace, "${namespace}"`)
  }
}

function checkSkipVerify(
  tls: ClientTlsSettings,
  mode: string,
  path: string,
  findings: Findings,
): void {
  if (mode !== 'SIMPLE' && mode !== 'MUTUAL') return
  const refused = {
    caCertificates: isSet(tls.caCertificates),
    subjectAltNames: tls.subjectAltNames !== undefined && tls.subjectAltNames.length > 0,
    credentialName: mode === 'SIMPLE' && isSet(tls.credentialName),
  }
  for (const [field, isThere] of Object.entries(refused)) {
    if (!isThere) continue
    const message = 'has no effect with insecureSkipVerify: true; remove one of them'
    findings.error(`${path}.${field}`, 'conflicting-fields', message)
  }
}

function isSet(text: string | undefined): boolean {
  return text !== undefined && text !== ''
}
