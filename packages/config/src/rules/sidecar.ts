/** What a Sidecar must satisfy beyond its schema: the rules of Istio's admission. */

import type { Sidecar, SidecarEgress, SidecarIngress } from '../kinds/sidecar.ts'
import { itemPath } from '../text/places.ts'
import { ipFamily, unixPathProblem } from './addresses.ts'
import { checkConnectionPool } from './destination-rule.ts'
import {
  checkIstioAnnotations,
  checkPort,
  checkSelectorLabels,
  KNOWN_PROTOCOLS,
  protocolFamily,
  UNIX_PREFIX,
} from './istio-common.ts'
import { checkServerTls } from './istio-gateway.ts'
import { isDnsLabel, wildcardDomainProblem } from './names.ts'
import type { Findings, RuledObject } from './rules.ts'

type Port = NonNullable<SidecarEgress['port']>

export function checkSidecar(object: RuledObject, findings: Findings): void {
  const spec = object.spec as Sidecar
  checkIstioAnnotations(object.metadata.annotations, findings)
  if (spec.workloadSelector !== undefined) {
    checkSelectorLabels(spec.workloadSelector.labels, 'spec.workloadSelector.labels', findings)
  }
  const { ingress = [], egress = [], outboundTrafficPolicy, inboundConnectionPool } = spec
  const says = [...ingress, ...egress, outboundTrafficPolicy, inboundConnectionPool]
  if (says.every((one) => one === undefined)) {
    const message = 'says nothing; write egress, ingress or outboundTrafficPolicy'
    findings.error('spec', 'missing-field', message)
  }
  const ports = new Set<number>()
  for (const [index, listener] of ingress.entries()) {
    checkIngress(listener, itemPath('spec.ingress', index), ports, findings)
  }
  checkEgressListeners(egress, object.metadata.namespace, findings)
  checkConnectionPool(inboundConnectionPool, 'spec.inboundConnectionPool', findings)
  if (outboundTrafficPolicy?.egressProxy !== undefined) {
    checkEgressProxy(outboundTrafficPolicy, findings)
  }
}

function checkEgressProxy(
  { mode, egressProxy }: NonNullable<Sidecar['outboundTrafficPolicy']>,
  findings: Findings,
): void {
  const at = 'spec.outboundTrafficPolicy.egressProxy'
  if (mode !== 'ALLOW_ANY') {
    const message = 'is for mode ALLOW_ANY only; remove it or change the mode'
    findings.error(at, 'conflicting-fields', message)
  }
  const problem = wildcardDomainProblem(egressProxy?.host ?? '')
  if (problem !== undefined) findings.error(`${at}.host`, 'bad-host', problem)
}

function checkIngress(
  listener: SidecarIngress,
  path: string,
  ports: Set<number>,
  findings: Findings,
): void {
  const { port, bind = '', defaultEndpoint = '', tls } = listener
  checkUnique(port.number ?? 0, `${path}.port.number`, ports, findings)
  checkPort(port.number ?? 0, `${path}.port.number`, findings)
  checkSidecarPort(port, `${path}.port`, findings)
  checkIpBind(bind, `${path}.bind`, findings)
  const problem = endpointProblem(defaultEndpoint)
  if (problem !== undefined) findings.error(`${path}.defaultEndpoint`, 'bad-address', problem)
  if (tls !== undefined) checkIngressTls(tls, port, `${path}.tls`, findings)
  checkConnectionPool(listener.connectionPool, `${path}.connectionPool`, findings)
}

/** `127.0.0.1:8080`, `:8080`, `[::1]:8080`, `unix:///run/app.sock`. */
function endpointProblem(endpoint: string): string | undefined {
  if (endpoint === '') return undefined
  if (endpoint.startsWith(UNIX_PREFIX)) return unixPathProblem(endpoint.slice(UNIX_PREFIX.length))
  const [, host, port] = /^(.*):([^:]*)$/.exec(endpoint) ?? []
  const hosts = ['', '127.0.0.1', '0.0.0.0', '[::1]', '[::]']
  if (host === undefined || !hosts.includes(host)) {
    return `must be 127.0.0.1:<port>, 0.0.0.0:<port>, [::1]:<port>, [::]:<port> or unix:///<path>, got "${endpoint}"`
  }
  const number = Number(port)
  if (/^\d+$/.test(port ?? '') && number >= 1 && number <= 65_535) return undefined
  return `must end in a port between 1 and 65535, got "${endpoint}"`
}

function checkIngressTls(
  tls: NonNullable<SidecarIngress['tls']>,
  port: Port,
  path: string,
  findings: Findings,
): void {
  if (protocolFamily(port.protocol ?? '') !== 'tls') {
    const message = `is for HTTPS and TLS only, not for ${port.protocol ?? 'a port without protocol'}; change the protocol or remove it`
    findings.error(path, 'conflicting-fields', message)
  }
  if (tls.httpsRedirect === true) {
    findings.error(`${path}.httpsRedirect`, 'not-supported', 'has no place in a Sidecar; remove it')
  }
  for (const field of ['credentialName', 'credentialNames', 'caCertCredentialName'] as const) {
    if ((tls[field] ?? '').length === 0) continue
    const message = 'has no place in a Sidecar; name files of the workload'
    findings.error(`${path}.${field}`, 'not-supported', message)
  }
  if ((tls.subjectAltNames ?? []).length > 0) {
    const message = 'has no place in a Sidecar; remove it'
    findings.error(`${path}.subjectAltNames`, 'not-supported', message)
  }
  const { mode = 'PASSTHROUGH' } = tls
  if (!['SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL'].includes(mode)) {
    const message = `must be SIMPLE, MUTUAL or OPTIONAL_MUTUAL in a Sidecar, got ${mode}`
    findings.error(`${path}.mode`, 'not-allowed', message)
    return
  }
  checkServerTls(tls, path, findings)
}

function checkEgressListeners(
  listeners: readonly SidecarEgress[],
  namespace: string,
  findings: Findings,
): void {
  const ports = new Set<number>()
  const sockets = new Set<string>()
  for (const [index, listener] of listeners.entries()) {
    const path = itemPath('spec.egress', index)
    const { port, bind = '', captureMode } = listener
    checkHosts(listener.hosts, `${path}.hosts`, namespace, findings)
    if (port === undefined) {
      if (index === listeners.length - 1) continue
      const message = 'only the last egress listener may have no port; name one or move it'
      findings.error(`${path}.port`, 'conflicting-fields', message)
    } else if ((port.number ?? 0) === 0) {
      checkSocket(bind, `${path}.bind`, sockets, findings)
      if (captureMode !== 'IPTABLES') continue
      const message = 'a unix socket captures nothing; write NONE'
      findings.error(`${path}.captureMode`, 'conflicting-fields', message)
    } else {
      checkUnique(port.number ?? 0, `${path}.port.number`, ports, findings)
      checkPort(port.number ?? 0, `${path}.port.number`, findings)
      checkSidecarPort(port, `${path}.port`, findings)
      checkIpBind(bind, `${path}.bind`, findings)
    }
  }
}

function checkSocket(bind: string, path: string, sockets: Set<string>, findings: Findings): void {
  if (!bind.startsWith(UNIX_PREFIX)) {
    const message = 'a port without number needs a unix socket: write unix:///path'
    findings.error(path, 'missing-field', message)
    return
  }
  const problem = unixPathProblem(bind.slice(UNIX_PREFIX.length))
  if (problem !== undefined) findings.error(path, 'bad-address', problem)
  if (sockets.has(bind)) findings.error(path, 'duplicate', `${bind} is used already; change one`)
  sockets.add(bind)
}

function checkUnique(port: number, path: string, ports: Set<number>, findings: Findings): void {
  if (ports.has(port)) {
    findings.error(path, 'duplicate', `port ${port} has a listener already; merge or change them`)
  }
  ports.add(port)
}

function checkSidecarPort(port: Port, path: string, findings: Findings): void {
  const { protocol = '', name = '', targetPort = 0 } = port
  if (protocolFamily(protocol) === undefined) {
    const message = `must be one of ${KNOWN_PROTOCOLS}, got "${protocol}"`
    findings.error(`${path}.protocol`, 'not-allowed', message)
  }
  if (name !== '' && !isDnsLabel(name)) {
    const message = `must be letters, digits and inner hyphens, at most 63, got "${name}"`
    findings.error(`${path}.name`, 'bad-name', message)
  }
  if (targetPort > 0) {
    findings.warning(`${path}.targetPort`, 'no-effect', 'has no effect in a Sidecar; remove it')
  }
}

function checkIpBind(bind: string, path: string, findings: Findings): void {
  if (bind === '' || ipFamily(bind) !== undefined) return
  const hint = bind.startsWith(UNIX_PREFIX) ? '; a socket needs port 0, and egress' : ''
  findings.error(path, 'bad-address', `must be an IP address, got "${bind}"${hint}`)
}

function checkHosts(
  hosts: readonly string[],
  path: string,
  namespace: string,
  findings: Findings,
): void {
  if (hosts.length === 0) {
    findings.error(path, 'missing-field', 'at least one host is required, e.g. "./*"')
  }
  const seen = new Set<string>()
  for (const [index, text] of hosts.entries()) {
    const at = itemPath(path, index)
    const problem = hostProblem(text)
    if (problem !== undefined) findings.error(at, 'bad-host', problem)
    const key = text.replace(/^\.\//, `${namespace}/`).toLowerCase()
    const whole = `${key.slice(0, key.indexOf('/'))}/*`
    if (seen.has(key) || (key !== whole && hosts.includes(whole))) {
      findings.warning(at, 'duplicate', `${text} is imported by another entry already; remove it`)
    }
    seen.add(key)
  }
}

/** `<namespace>/<host>`; the namespace may be `*`, `.` or `~`. */
function hostProblem(text: string): string | undefined {
  const slash = text.indexOf('/')
  if (slash <= 0 || slash === text.length - 1) {
    return `must be <namespace>/<host>, e.g. "./*" or "istio-system/*", got "${text}"`
  }
  const namespace = text.slice(0, slash)
  const host = text.slice(slash + 1)
  if (!['*', '.', '~'].includes(namespace) && !isDnsLabel(namespace)) {
    return `"${text}": what stands before "/" must be a namespace, ".", "~" or "*"`
  }
  if (host !== '*' && !host.includes('.')) {
    return `"${text}": "${host}" is a short name; write the full host, e.g. ${host}.default.svc.cluster.local`
  }
  return wildcardDomainProblem(host)
}
