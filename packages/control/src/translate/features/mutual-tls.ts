/**
 * Mutual TLS between workloads of the mesh: who has to speak it to whom, and how.
 *
 *     caller, with an identity ──► endpoint that says it takes it: `autoTls` of the cluster
 *     called, with an identity ◄── STRICT, PERMISSIVE or DISABLE (PeerAuthentication)
 *
 * A proxy without a certificate of the mesh gets none of this: it calls and is called in plaintext.
 */
import type { ClientTlsSettings } from '@weft/config'
import {
  type DownstreamTls,
  type FilterChain,
  type FilterChainMatch,
  type Origin,
  renderSpiffeId,
  type SubjectAltNameMatch,
  serviceAccountId,
  type UpstreamHttp,
  type UpstreamTls,
} from '@weft/model'
import type { MeshService, PortProtocol, ServiceInstance } from '../../registries/registry.ts'
import type { MeshSettings } from '../../snapshot/mesh-settings.ts'
import {
  type MutualTlsMode,
  mutualTlsDecision,
  mutualTlsMode,
} from '../../snapshot/peer-authentications.ts'
import type { ProxyScope } from '../scope.ts'

/** SDS names of what every proxy has itself (Istio's names). */
const OWN_CERTIFICATE = 'default'
const MESH_ROOTS = 'ROOTCA'

/** By these a ClientHello of the mesh is told from one of an application (Istio's names). */
const MESH = 'istio'
const MESH_HTTP1 = 'istio-http/1.1'
const MESH_HTTP2 = 'istio-h2'
const MESH_HTTP = ['istio-http/1.0', MESH_HTTP1, MESH_HTTP2]
const MESH_BYTES = ['istio-peer-exchange', MESH]
export const MESH_ALPN: readonly string[] = [...MESH_HTTP, ...MESH_BYTES]

interface MutualTlsTarget {
  readonly service: MeshService
  readonly port: number
  readonly portProtocol: PortProtocol
  readonly subset: string
  readonly protocol: UpstreamHttp['protocol']
  /** Who may answer, see `peerNames`. */
  readonly names: readonly string[]
}

type ToMesh =
  | { readonly tls: UpstreamTls; readonly autoTls?: true }
  /** Not a matter of the mesh's TLS. */
  | undefined

/** What a DestinationRule asks of the mesh's TLS, or the default where it says nothing. */
export function towardsMesh(
  scope: ProxyScope,
  settings: ClientTlsSettings | undefined,
  target: MutualTlsTarget,
): ToMesh {
  if (!scope.proxy.hasIdentity) return undefined
  const mode = settings?.mode
  if (settings !== undefined && mode === 'ISTIO_MUTUAL') {
    const sni = settings.sni === undefined || settings.sni === '' ? sniOf(target) : settings.sni
    const written = settings.subjectAltNames ?? []
    const names = written.length > 0 ? written : target.names
    return { tls: meshTls(scope.mesh, { ...target, names }, sni) }
  }
  if (settings !== undefined || !scope.mesh.autoMtls || target.service.external) return undefined
  return { tls: meshTls(scope.mesh, target, sniOf(target)), autoTls: true }
}

function sniOf({ port, subset, service }: MutualTlsTarget): string {
  return meshServerName(service.host, port, subset)
}

/** What a caller of the mesh says in its ClientHello; the name has no pipe, as DNS has none. */
export function meshServerName(host: string, port: number, subset: string): string {
  return `outbound_.${port}_.${subset}_.${host}`
}

function meshTls(mesh: MeshSettings, target: MutualTlsTarget, sni: string): UpstreamTls {
  const anyOfMesh = target.names.length === 0 ? { subjectAltNameMatches: inMesh(mesh) } : {}
  return {
    ...mesh.meshMtls,
    certificate: OWN_CERTIFICATE,
    validation: MESH_ROOTS,
    sni,
    subjectAltNames: target.names,
    ...anyOfMesh,
    alpn: offered(target),
  }
}

/** Where what comes is not known yet the connection's own kind is told beside it, see the proxy. */
function offered({ portProtocol, protocol }: MutualTlsTarget): readonly string[] {
  const isBytes = portProtocol === 'tcp' || portProtocol === 'tls' || portProtocol === 'https'
  if (isBytes) return [MESH]
  switch (protocol) {
    case 'http1':
      return [MESH_HTTP1, MESH, 'http/1.1']
    case 'http2':
      return [MESH_HTTP2, MESH, 'h2']
    case 'alpn':
      return [MESH_HTTP2, MESH_HTTP1, MESH, 'h2', 'http/1.1']
    case 'downstream':
      return [MESH]
  }
}

/**
 * SPIFFE IDs of the service's endpoints, under every name that the trust domain has; a
 * ServiceEntry's own list instead, where there is one. Empty: nobody says whom they run as.
 */
export function peerNames(
  mesh: MeshSettings,
  { namespace, subjectAltNames = [] }: MeshService,
  instances: readonly ServiceInstance[],
): readonly string[] {
  if (subjectAltNames.length > 0) return subjectAltNames
  const names = new Set<string>()
  for (const { serviceAccount, workload } of instances) {
    if (serviceAccount === undefined || serviceAccount === '') continue
    for (const trustDomain of trustDomains(mesh)) {
      const place = workload?.namespace ?? namespace
      names.add(renderSpiffeId(serviceAccountId(trustDomain, place, serviceAccount)))
    }
  }
  return [...names].sort()
}

function trustDomains({ trustDomain, trustDomainAliases }: MeshSettings): readonly string[] {
  return [...new Set([trustDomain, ...trustDomainAliases])]
}

function inMesh(mesh: MeshSettings): readonly SubjectAltNameMatch[] {
  return within(trustDomains(mesh))
}

function within(names: readonly string[]): readonly SubjectAltNameMatch[] {
  return names.map((trustDomain) => ({
    type: 'uri',
    value: { kind: 'prefix', value: `spiffe://${trustDomain}/`, ignoreCase: false },
  }))
}

/** Whether an instance is called with mutual TLS: its proxy has it, and no policy forbids it. */
export function takesMutualTls(
  { snapshot }: Pick<ProxyScope, 'snapshot'>,
  { takesMutualTls: takes, labels, workload, appPort, port, servicePort }: ServiceInstance,
): boolean {
  const says = takes === true || labels[TLS_MODE_LABEL] === 'istio'
  if (!says) return false
  const { peerAuthentications, mesh } = snapshot
  const ports = appPort === undefined ? [port] : [appPort, servicePort]
  const namespace = workload?.namespace ?? ''
  const called = { namespace, labels }
  return mutualTlsMode(peerAuthentications, called, ports, mesh.rootNamespace) !== 'DISABLE'
}

/** On workloads that are written down (Istio's). */
const TLS_MODE_LABEL = 'security.istio.io/tlsMode'

interface InboundPort {
  /** Those that PeerAuthentication may mean; the first that one names counts. */
  readonly ports: readonly number[]
  /** What the chains of the port begin with, in their names and matches. */
  readonly name: string
  readonly match: FilterChainMatch
  /** Absent: the port carries none. */
  readonly http?: FilterChain['filter']
  readonly bytes: FilterChain['filter']
  /** Nobody says what it speaks: what the handshake tells of it decides. */
  readonly detects?: true
}

function inboundMode(scope: ProxyScope, ports: readonly number[]): MutualTlsMode {
  const { proxy, snapshot } = scope
  if (!proxy.hasIdentity || proxy.role === 'gateway') return 'DISABLE'
  return mutualTlsMode(snapshot.peerAuthentications, proxy, ports, snapshot.mesh.rootNamespace)
}

/**
 * The chains of an inbound port that mutual TLS asks for, and the plain ones as far as they may
 * stay. TLS that is not the mesh's is the application's own, and goes through as it is.
 *
 * @param plain As without mutual TLS.
 */
export function inboundChains(
  scope: ProxyScope,
  port: InboundPort,
  plain: readonly FilterChain[],
): readonly FilterChain[] {
  const mode = inboundMode(scope, port.ports)
  if (mode === 'DISABLE') return plain
  const mutual = mutualChains(scope, port, mode)
  if (mode === 'STRICT') return mutual
  const { name, match, bytes } = port
  const rest = plain.map((chain) => ({
    ...chain,
    match: { ...chain.match, transportProtocol: 'raw_buffer' as const },
  }))
  const own = { name: `${name}-own-tls`, match: { ...match, transportProtocol: 'tls' as const } }
  return [...mutual, { ...own, filter: bytes }, ...distinct(rest)]
}

function mutualChains(
  { mesh }: ProxyScope,
  { name, match, http, bytes, detects }: InboundPort,
  mode: 'STRICT' | 'PERMISSIVE',
): readonly FilterChain[] {
  const tls: DownstreamTls = {
    ...mesh.meshMtls,
    certificates: [OWN_CERTIFICATE],
    validation: MESH_ROOTS,
    requireClientCertificate: true,
    subjectAltNames: [...inMesh(mesh), ...within(mesh.federatedTrustDomains ?? [])],
    alpn: http === undefined ? [MESH] : ['h2', 'http/1.1', MESH],
  }
  const secured = { ...match, transportProtocol: 'tls' as const }
  const named = http === undefined ? undefined : withClientCert(http)
  const any = mode === 'STRICT' ? [] : MESH_ALPN
  if (named === undefined || detects !== true) {
    const filter = named ?? bytes
    return [{ name: `${name}-mtls`, match: { ...secured, applicationProtocols: any }, tls, filter }]
  }
  return [
    {
      name: `${name}-mtls-http`,
      match: { ...secured, applicationProtocols: MESH_HTTP },
      tls,
      filter: named,
    },
    {
      name: `${name}-mtls`,
      match: { ...secured, applicationProtocols: mode === 'STRICT' ? [] : MESH_BYTES },
      tls,
      filter: bytes,
    },
  ]
}

/** The application hears who called, behind what the caller's proxy was told (as Istio does). */
function withClientCert(filter: FilterChain['filter']): FilterChain['filter'] {
  if (filter.kind !== 'http') return filter
  const forwardClientCert = { mode: 'appendForward', details: ['subject', 'uri', 'dns'] } as const
  return { ...filter, forwardClientCert }
}

/** Envoy refuses two chains with one match; of those that plaintext made alike the first holds. */
function distinct(chains: readonly FilterChain[]): readonly FilterChain[] {
  const seen = new Set<string>()
  return chains.filter(({ match }) => {
    const key = JSON.stringify(match)
    return !seen.has(key) && seen.add(key)
  })
}

/** The PeerAuthentications that decide about a listener; each of `ports` has the names of one. */
export function peerAuthenticationOrigins(
  { snapshot, mesh, proxy }: ProxyScope,
  ports: readonly (readonly number[])[],
): readonly Origin[] {
  const { peerAuthentications } = snapshot
  if (peerAuthentications.length === 0 || !proxy.hasIdentity) return []
  const origins = ports.flatMap((names) => {
    const found = mutualTlsDecision(peerAuthentications, proxy, names, mesh.rootNamespace)
    const { policy, path } = found
    if (policy === undefined || path === undefined) return []
    return [{ ...policy.origin, path, line: policy.lineOf(path) }]
  })
  const key = ({ namespace, name, path }: Origin) => [namespace, name, path].join(' ')
  return [...new Map(origins.map((origin) => [key(origin), origin])).values()]
}
