/**
 * Documents and registries → snapshot. The map of the folder: each step is the
 * file of its name, and none of them knows a proxy.
 *
 *   mesh settings → services → listeners of gateways → route attachment
 *                            → references between routes and subsets
 */
import { isDeepStrictEqual } from 'node:util'
import { contentHash } from '@weft/base'
import {
  type Document,
  type DocumentOf,
  type DocumentType,
  documentsOf,
  MESH_CONFIG_MAP,
  readMeshConfig,
} from '@weft/config'
import type { TrustDomainRoots } from '@weft/model'
import { declaredServices } from '../registries/declared/declared-services.ts'
import type { MeshService, RegistryState } from '../registries/registry.ts'
import { mergeRegistries } from '../registries/state/merge.ts'
import { shareMap, shareState } from '../registries/state/share.ts'
import type { Condition } from '../status/object-status.ts'
import { withDelegates } from './delegates.ts'
import { discovery } from './discovery.ts'
import { attachRoutes } from './gateway-api/attachment.ts'
import { backendPolicies } from './gateway-api/backend-policies.ts'
import { CertificateAuthorities } from './gateway-api/certificate-authorities.ts'
import { servedListeners } from './gateway-api/listeners.ts'
import { classConditions, objectParts } from './gateway-api/object-parts.ts'
import { DEFAULT_MESH, meshSettings } from './mesh-settings.ts'
import { type MeshSnapshot, objectKey } from './mesh-snapshot.ts'
import { compareObjects, compareText } from './precedence.ts'
import { settleReferences } from './references.ts'
import { type TlsFiles, tlsSecrets, trustBundle } from './secrets.ts'
import { sidecarConflicts } from './sidecars.ts'

export interface SnapshotInput {
  readonly documents: readonly Document[]
  /**
   * States in order of authority. Absent: what the documents declare (Service,
   * EndpointSlice, ServiceEntry, …), which needs no registry.
   */
  readonly registries?: readonly RegistryState[]
  /**
   * What becomes of a new route whose destination does not exist: `hold` keeps
   * it out of force until it does (a running mesh), `serve` lets requests run
   * into the missing cluster as Istio does. Default `serve`.
   */
  readonly unresolved?: 'hold' | 'serve'
  /** Cluster in Istio's sense, for metrics. Default `Kubernetes`. */
  readonly cluster?: string
  /** Reads certificate files that documents name; absent: none are read. */
  readonly tlsFiles?: TlsFiles
  /** What proxies are to trust for identities of the mesh; absent: the mesh has no CA. */
  readonly trustBundlePem?: string
  /** Other trust domains that are believed, with their roots. */
  readonly federated?: readonly TrustDomainRoots[]
}

/**
 * @param previous Shares what did not change, and lends its last good form to a
 * route whose references no longer resolve.
 */
export function buildSnapshot(input: SnapshotInput, previous?: MeshSnapshot): MeshSnapshot {
  const all = sorted(input.documents)
  const { federated = [] } = input
  const settings = meshSettings(readMeshConfig(meshConfigMap(all)).meshConfig)
  const mesh = share(previous?.mesh, {
    ...settings,
    ...(federated.length === 0
      ? {}
      : { federatedTrustDomains: federated.map(({ trustDomain }) => trustDomain) }),
  })
  const namespaces = new Map(
    documentsOf(all, 'Namespace').map((one) => [one.metadata.name, one.metadata.labels]),
  )
  const discovered = discovery(mesh, namespaces)
  const documents = discovered.documents(all)
  const { domain } = DEFAULT_MESH
  const registries = input.registries ?? [
    declaredServices(documents, { domain, cluster: input.cluster ?? 'Kubernetes' }),
  ]
  const merged = discovered.state(mergeRegistries(registries))
  const state = shareState(previous, sortedState(merged))
  const { services, instances, rivals = NO_RIVALS } = state
  const declared = shareMap(previous?.secrets ?? new Map(), tlsSecrets(documents, input.tlsFiles))
  const authorities = new CertificateAuthorities(documents, declared)
  const listeners = servedListeners(documents, { secrets: declared, namespaces, authorities })
  const grants = documentsOf(documents, 'ReferenceGrant')
  const attached = attachRoutes(documents, { listeners, namespaces, services, grants, domain })
  const policies = backendPolicies(documents, { services, domain, authorities, attached })
  const secrets = shareMap(
    previous?.secrets ?? new Map(),
    new Map([
      ...declared,
      ...authorities.secrets,
      ...trustBundle(input.trustBundlePem, mesh, federated),
    ]),
  )
  const settled = settleReferences(
    {
      virtualServices: withDelegates(documentsOf(documents, 'VirtualService'), mesh, domain),
      destinationRules: documentsOf(documents, 'DestinationRule'),
      services,
      rivals,
      domain,
      unresolved: input.unresolved ?? 'serve',
    },
    previous,
  )
  const sidecars = documentsOf(documents, 'Sidecar')
  const parts = objectParts(documents, listeners, attached, policies)
  const conditions = new Map<string, readonly Condition[]>()
  for (const [document, found] of [
    ...classConditions(documents),
    ...listeners.conditions,
    ...attached.conditions,
    ...policies.conditions,
    ...sidecarConflicts(sidecars),
  ]) {
    conditions.set(keyOf(document), found)
  }
  for (const [document, found] of settled.conditions) conditions.set(keyOf(document), [found])
  const body = {
    mesh,
    services,
    instances,
    rivals,
    namespaces,
    virtualServices: settled.virtualServices,
    destinationRules: settled.destinationRules,
    sidecars,
    peerAuthentications: share(
      previous?.peerAuthentications,
      documentsOf(documents, 'PeerAuthentication'),
    ),
    istioGateways: documentsOf(documents, 'IstioGateway'),
    rateLimits: documentsOf(documents, 'RateLimit'),
    trafficPolicies: documentsOf(documents, 'TrafficPolicy'),
    authorizationPolicies: documentsOf(documents, 'AuthorizationPolicy'),
    requestAuthentications: documentsOf(documents, 'RequestAuthentication'),
    listeners: listeners.served,
    httpRoutes: attached.routes,
    streamRoutes: attached.streams,
    secrets,
    conditions,
    backendPolicies: policies,
    clientCertificates: new Map(
      [...listeners.clientCertificates].map(([gateway, name]) => [keyOf(gateway), name]),
    ),
    parts: new Map([...parts].map(([document, found]) => [keyOf(document), found])),
    gateways: new Map([...listeners.byOwner.keys()].map((one) => [keyOf(one), one])),
  }
  const shape = shapeHash(body, documents)
  if (previous?.shape === shape && previous.instances === instances) {
    // Equal by content: everything that was computed from the old one still holds.
    return previous
  }
  const generation = contentHash(`${shape} ${instancesHash(instances)}`)
  return { generation, shape, ...body }
}

const NO_RIVALS: MeshSnapshot['rivals'] = new Map()

export function keyOf(document: Document): string {
  return objectKey(document.type, document.metadata.namespace, document.metadata.name)
}

/** By precedence; of several objects with one name the last one read holds, as a second `apply` would. */
function sorted(documents: readonly Document[]): readonly Document[] {
  const byKey = new Map(documents.map((document) => [keyOf(document), document]))
  return [...byKey.values()].sort((a, b) => compareObjects(a, b) || compareText(a.type, b.type))
}

function meshConfigMap(documents: readonly Document[]): DocumentOf<'ConfigMap'> | undefined {
  const named = documentsOf(documents, 'ConfigMap').filter(
    ({ metadata }) => metadata.name === MESH_CONFIG_MAP.name,
  )
  return named.find(({ metadata }) => metadata.namespace === DEFAULT_MESH.rootNamespace) ?? named[0]
}

/** By host, so that no resource depends on the order in which things became known. */
function sortedState(state: RegistryState): RegistryState {
  const byHost = <V>(map: ReadonlyMap<string, V>) =>
    new Map([...map].sort(([a], [b]) => compareText(a, b)))
  return {
    services: byHost(state.services),
    instances: byHost(state.instances),
    ...(state.rivals === undefined ? {} : { rivals: byHost(state.rivals) }),
  }
}

function share<T>(before: T | undefined, after: T): T {
  return before !== undefined && isDeepStrictEqual(before, after) ? before : after
}

type Body = Omit<MeshSnapshot, 'generation' | 'shape'>

/** What decides routes, listeners and clusters. Instances have a hash of their own. */
const SHAPING: readonly DocumentType[] = [
  'RateLimit',
  'TrafficPolicy',
  'AuthorizationPolicy',
  'RequestAuthentication',
  'Sidecar',
  'PeerAuthentication',
  'IstioGateway',
  'KubernetesGateway',
  'GatewayClass',
  'ListenerSet',
  'HTTPRoute',
  'GRPCRoute',
  'TLSRoute',
  'TCPRoute',
  'BackendTLSPolicy',
  'XBackendTrafficPolicy',
  'ReferenceGrant',
  'Namespace',
  'Secret',
]

function shapeHash(body: Body, documents: readonly Document[]): string {
  const parts = [JSON.stringify(body.mesh)]
  for (const service of body.services.values()) parts.push(hashOf(service, renderService))
  for (const service of [...body.rivals.values()].flat()) {
    parts.push(hashOf(service, (one) => JSON.stringify(one)))
  }
  for (const { document } of body.virtualServices) parts.push(hashOf(document, renderDocument))
  for (const document of body.destinationRules) parts.push(hashOf(document, renderDocument))
  for (const document of documents) {
    if (SHAPING.includes(document.type)) parts.push(hashOf(document, renderDocument))
  }
  for (const secret of body.secrets.values()) {
    parts.push(hashOf(secret, (one) => JSON.stringify(one)))
  }
  for (const [key, found] of body.conditions) parts.push(`${key} ${JSON.stringify(found)}`)
  return contentHash(parts.join('\n'))
}

function instancesHash(instances: MeshSnapshot['instances']): string {
  const parts: string[] = []
  for (const [host, own] of instances) {
    parts.push(
      host,
      hashOf(own, (list) => JSON.stringify(list)),
    )
  }
  return contentHash(parts.join('\n'))
}

/** Hashes of immutable values, so that an unchanged mesh is not rendered again for every change. */
const hashes = new WeakMap<object, string>()

function hashOf<T extends object>(value: T, render: (value: T) => string): string {
  const known = hashes.get(value)
  if (known !== undefined) return known
  const hash = contentHash(render(value))
  hashes.set(value, hash)
  return hash
}

function renderDocument(document: Document): string {
  const { type, metadata, spec, origin } = document
  return JSON.stringify([type, metadata, spec, origin])
}

function renderService(service: MeshService): string {
  return JSON.stringify(service)
}
