/** What an Istio Gateway must satisfy beyond its schema: the rules of Istio's admission. */

import type { Gateway, GatewayServer, ServerTlsSettings } from '../kinds/gateway.ts'
import { itemPath } from '../text/places.ts'
import { ipFamily, unixPathProblem } from './addresses.ts'
import {
  checkIstioAnnotations,
  checkPort,
  KNOWN_PROTOCOLS,
  protocolFamily,
  UNIX_PREFIX,
} from './istio-common.ts'
import { isDnsLabel, isPartialWildcard, wildcardDomainProblem } from './names.ts'
import type { Findings, RuledObject } from './rules.ts'
import { checkCipherSuites } from './tls-ciphers.ts'

export function checkIstioGateway(object: RuledObject, findings: Findings): void {
  const { servers = [] } = object.spec as Gateway
  const { name, annotations } = object.metadata
  checkIstioAnnotations(annotations, findings)
  if (!isDnsLabel(name)) {
    const message = `must be letters, digits and inner hyphens, at most 63, got "${name}"`
    findings.error('metadata.name', 'bad-name', message)
  }
  if (servers.length === 0) {
    findings.error('spec.servers', 'missing-field', 'at least one server is required')
  }
  for (const [index, server] of servers.entries()) {
    checkServer(server, itemPath('spec.servers', index), findings)
  }
  checkPortNames(servers, findings)
}

function checkPortNames(servers: readonly GatewayServer[], findings: Findings): void {
  const seen = new Map<string, string>()
  for (const [index, { port }] of servers.entries()) {
    const at = `${itemPath('spec.servers', index)}.port.name`
    const first = seen.get(port.name)
    if (first === undefined) seen.set(port.name, at)
    else {
      const message = `port name "${port.name}" is used by ${first} already; rename one`
      findings.error(at, 'duplicate', message)
    }
  }
}

function checkServer(server: GatewayServer, path: string, findings: Findings): void {
  if (server.hosts.length === 0) {
    findings.error(`${path}.hosts`, 'missing-field', 'at least one host is required, e.g. "*"')
  }
  for (const [index, host] of server.hosts.entries()) {
    const problem = gatewayHostProblem(host)
    if (problem !== undefined) {
      findings.error(itemPath(`${path}.hosts`, index), 'bad-host', problem)
    }
  }
  checkServerPort(server, `${path}.port`, findings)
  checkBind(server, path, findings)
  checkDefaultEndpoint(server.defaultEndpoint ?? '', `${path}.defaultEndpoint`, findings)
  if (server.tls !== undefined) checkServerTls(server.tls, `${path}.tls`, findings)
  checkTlsFitsProtocol(server, path, findings)
}

/** `host`, `namespace/host`, `./host`, `*` + `/host`. */
function gatewayHostProblem(text: string): string | undefined {
  const slash = text.indexOf('/')
  const host = text.slice(slash + 1)
  if (slash !== -1) {
    const namespace = text.slice(0, slash)
    if (namespace !== '*' && namespace !== '.' && !isDnsLabel(namespace)) {
      return `"${text}": what stands before "/" must be a namespace, "." or "*"`
    }
  }
  if (ipFamily(host) !== undefined) return undefined
  const problem = wildcardDomainProblem(host)
  if (problem !== undefined) return problem
  if (host !== '*' && !host.includes('.')) {
    return `"${host}" is a short name; write the full host, e.g. ${host}.example.com`
  }
  if (!isPartialWildcard(host)) return undefined
  return `"${host}": the "*" must be a whole first label, e.g. *.example.com`
}

function checkServerPort(server: GatewayServer, path: string, findings: Findings): void {
  const { port, bind = '' } = server
  if (protocolFamily(port.protocol) === undefined) {
    const message = `must be one of ${KNOWN_PROTOCOLS}, got "${port.protocol}"`
    findings.error(`${path}.protocol`, 'not-allowed', message)
  }
  if (port.number > 0 || !bind.startsWith(UNIX_PREFIX)) {
    checkPort(port.number, `${path}.number`, findings)
  }
  if ((port.targetPort ?? 0) > 0) {
    const message = 'has no effect in a Gateway; remove it'
    findings.error(`${path}.targetPort`, 'not-supported', message)
  }
  if (port.name === '') findings.error(`${path}.name`, 'missing-field', 'must not be empty')
}

/** Istio lets anything through; what names no port of this host goes nowhere. */
function checkDefaultEndpoint(endpoint: string, path: string, findings: Findings): void {
  if (endpoint === '' || /^[^/]*:\d{1,5}$/.test(endpoint)) return
  const isUnix = endpoint.startsWith(UNIX_PREFIX)
  if (isUnix && unixPathProblem(endpoint.slice(UNIX_PREFIX.length)) === undefined) return
  const message = `"${endpoint}" is not served, only 127.0.0.1:<port>, [::1]:<port> and unix:///<path> are; requests without a route are answered with 404`
  findings.warning(path, 'not-acted-on', message)
}

function checkBind(server: GatewayServer, path: string, findings: Findings): void {
  const { bind = '', port } = server
  if (bind.startsWith(UNIX_PREFIX)) {
    const problem = unixPathProblem(bind.slice(UNIX_PREFIX.length))
    if (problem !== undefined) findings.error(`${path}.bind`, 'bad-address', problem)
    if (port.number !== 0) {
      const message = `must be 0 with a unix socket in bind, got ${port.number}`
      findings.error(`${path}.port.number`, 'conflicting-fields', message)
    }
  } else if (bind !== '' && ipFamily(bind) === undefined) {
    const message = `must be an IP address or unix:///path, got "${bind}"`
    findings.error(`${path}.bind`, 'bad-address', message)
  }
}

function checkTlsFitsProtocol(server: GatewayServer, path: string, findings: Findings): void {
  const { tls, port } = server
  const family = protocolFamily(port.protocol)
  if (family === undefined) return
  if (tls?.httpsRedirect === true && family !== 'http') {
    findings.warning(`${path}.tls.httpsRedirect`, 'no-effect', 'works on HTTP servers only')
  }
  if (family === 'tls') {
    if (tls === undefined) {
      const message = `is required for protocol ${port.protocol}`
      findings.error(`${path}.tls`, 'missing-field', message)
    }
    return
  }
  if (tls === undefined) return
  if (family !== 'http') {
    const message = `is allowed for HTTPS and TLS only, not for ${port.protocol}; remove it`
    findings.error(`${path}.tls`, 'conflicting-fields', message)
    return
  }
  // On a plain port `tls` may only ask for the redirect; with no mode it names no certificates.
  const isPassThrough =
    (tls.mode ?? 'PASSTHROUGH') === 'PASSTHROUGH' || tls.mode === 'AUTO_PASSTHROUGH'
  const names = [tls.caCertificates, tls.privateKey, tls.serverCertificate]
  if (isPassThrough && !names.some(isSet)) return
  const message = 'on a plain HTTP port only httpsRedirect may be set; use protocol HTTPS'
  findings.error(`${path}.tls`, 'conflicting-fields', message)
}

const CERTIFICATE_FIELDS = [
  'serverCertificate',
  'privateKey',
  'caCertificates',
  'tlsCertificates',
  'credentialName',
  'credentialNames',
] as const

export function checkServerTls(tls: ServerTlsSettings, path: string, findings: Findings): void {
  checkVersions(tls, path, findings)
  const { mode = 'PASSTHROUGH' } = tls
  const given = CERTIFICATE_FIELDS.filter((field) => isSet(tls[field]))
  if (mode === 'ISTIO_MUTUAL') {
    for (const field of given) {
      const message =
        'has no place in mode ISTIO_MUTUAL, which uses the mesh certificates; remove it'
      findings.error(`${path}.${field}`, 'conflicting-fields', message)
    }
    return
  }
  const isPassThrough = mode === 'PASSTHROUGH' || mode === 'AUTO_PASSTHROUGH'
  if (isPassThrough && (given.length > 0 || isSet(tls.caCrl))) {
    const at = `${path}.${given[0] ?? 'caCrl'}`
    findings.warning(at, 'no-effect', `is ignored: mode ${mode} uses no certificates`)
  }
  checkOneSource(tls, path, findings)
  if (isPassThrough) return
  if (isSet(tls.credentialName) || isSet(tls.credentialNames)) return
  checkCertificates(tls, mode, path, findings)
}

function checkVersions(tls: ServerTlsSettings, path: string, findings: Findings): void {
  const { minProtocolVersion, maxProtocolVersion, cipherSuites = [] } = tls
  if (/TLSV1_[01]/.test(minProtocolVersion ?? '') && cipherSuites.length === 0) {
    const message = 'needs cipherSuites that this old version knows: none is on by default'
    findings.warning(`${path}.minProtocolVersion`, 'no-effect', message)
  }
  const order = ['TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3']
  const min = order.indexOf(minProtocolVersion ?? '')
  const max = order.indexOf(maxProtocolVersion ?? '')
  if (min !== -1 && max !== -1 && min > max) {
    const message = `is above maxProtocolVersion ${maxProtocolVersion}, so no client can connect`
    findings.warning(`${path}.minProtocolVersion`, 'no-effect', message)
  }
  checkCipherSuites(cipherSuites, `${path}.cipherSuites`, findings)
}

function checkOneSource(tls: ServerTlsSettings, path: string, findings: Findings): void {
  const sources = [
    ...(isSet(tls.serverCertificate) && isSet(tls.privateKey) ? ['serverCertificate'] : []),
    ...(['credentialName', 'credentialNames', 'tlsCertificates'] as const).filter((field) =>
      isSet(tls[field]),
    ),
  ]
  const [, second] = sources
  if (second === undefined) return
  const message = `certificates come from ${sources.join(' and ')}; keep one of them`
  findings.error(`${path}.${second}`, 'conflicting-fields', message)
}

function checkCertificates(
  tls: ServerTlsSettings,
  mode: string,
  path: string,
  findings: Findings,
): void {
  const missing = (at: string) =>
    findings.error(at, 'missing-field', `is required for mode ${mode}; set it or credentialName`)
  if (mode !== 'SIMPLE' && !isSet(tls.caCertificates)) missing(`${path}.caCertificates`)
  const { tlsCertificates = [] } = tls
  const certificates =
    tlsCertificates.length === 0
      ? [{ at: path, certificate: tls }]
      : tlsCertificates.map((certificate, index) => ({
          at: itemPath(`${path}.tlsCertificates`, index),
          certificate,
        }))
  for (const { at, certificate } of certificates) {
    if (!isSet(certificate.serverCertificate)) missing(`${at}.serverCertificate`)
    if (!isSet(certificate.privateKey)) missing(`${at}.privateKey`)
  }
  if (isSet(tls.caCrl) && mode === 'SIMPLE') {
    const message = 'checks client certificates, which mode SIMPLE does not ask for; remove it'
    findings.error(`${path}.caCrl`, 'conflicting-fields', message)
  }
}

function isSet(value: string | readonly unknown[] | undefined): boolean {
  return value !== undefined && value.length > 0
}
