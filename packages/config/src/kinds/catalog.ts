/** Every configuration kind by document type. To add one: a schema, its rules, a line here and in `Specs`. */
// not a member: gateway-api-common.ts
// not a member: http-route-filters.ts
// not a member: istio-common.ts
// not a member: mesh-config.ts
// not a member: metadata.ts
// not a member: policy-target.ts
// not a member: parent-refs.ts
// not a member: security-target.ts
// not a member: session-persistence.ts

import type { DocumentType } from '../document.ts'
import { checkAuthorizationPolicy } from '../rules/authorization-policy.ts'
import { checkDestinationRule } from '../rules/destination-rule.ts'
import {
  checkGrpcRoute,
  checkKubernetesGateway,
  checkKubernetesHttpRoute,
  checkStreamRoute,
} from '../rules/gateway-api.ts'
import { checkIstioGateway } from '../rules/istio-gateway.ts'
import {
  checkDataKeys,
  checkEndpointSlice,
  checkEndpoints,
  checkNamespace,
  checkService,
} from '../rules/kubernetes.ts'
import { checkPeerAuthentication } from '../rules/peer-authentication.ts'
import { checkRateLimit, checkTrafficPolicy } from '../rules/policies.ts'
import { checkRequestAuthentication } from '../rules/request-authentication.ts'
import type { Rules } from '../rules/rules.ts'
import { checkServiceEntry, checkWorkloadEntry } from '../rules/service-entry.ts'
import { checkSidecar } from '../rules/sidecar.ts'
import { checkVirtualService } from '../rules/virtual-service.ts'
import type { AnySchema } from '../schema/schema.ts'
import { authorizationPolicy } from './authorization-policy.ts'
import { backendTlsPolicy, backendTrafficPolicy } from './backend-policies.ts'
import { destinationRule } from './destination-rule.ts'
import { gateway } from './gateway.ts'
import { gatewayClass, kubernetesGateway, referenceGrant } from './gateway-api.ts'
import { grpcRoute } from './grpc-route.ts'
import { httpRoute } from './http-route.ts'
import {
  configMap,
  endpointSlice,
  endpoints,
  namespace,
  pod,
  podStatus,
  secret,
  service,
} from './kubernetes.ts'
import { listenerSet } from './listener-set.ts'
import { peerAuthentication } from './peer-authentication.ts'
import { rateLimit } from './rate-limit.ts'
import { requestAuthentication } from './request-authentication.ts'
import { serviceEntry, workloadEntry } from './service-entry.ts'
import { sidecar } from './sidecar.ts'
import { tcpRoute, tlsRoute } from './stream-routes.ts'
import { trafficPolicy } from './traffic-policy.ts'
import { virtualService } from './virtual-service.ts'

export interface KindDefinition {
  readonly kind: string
  /** API group; empty for Kubernetes' core. */
  readonly group: string
  readonly versions: readonly string[]
  readonly isNamespaced: boolean
  readonly schema: AnySchema
  /** Where the schema applies: under `spec`, or to everything beside `metadata`. */
  readonly body: 'spec' | 'root'
  readonly isSpecRequired: boolean
  readonly statusSchema?: AnySchema
  /** What must hold beyond the schema. */
  readonly rules: Rules
}

const ISTIO = {
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  isNamespaced: true,
  body: 'spec',
  isSpecRequired: false,
} as const
const SECURITY = { ...ISTIO, group: 'security.istio.io', versions: ['v1', 'v1beta1'] } as const
const GATEWAY_API = {
  group: 'gateway.networking.k8s.io',
  versions: ['v1', 'v1beta1'],
  isNamespaced: true,
  body: 'spec',
  isSpecRequired: true,
} as const
const WEFT = {
  group: 'weft.io',
  versions: ['v1'],
  isNamespaced: true,
  body: 'spec',
  isSpecRequired: true,
} as const
const CORE = {
  group: '',
  versions: ['v1'],
  isNamespaced: true,
  body: 'spec',
  isSpecRequired: false,
} as const

const none: Rules = () => undefined

export const KINDS: Readonly<Record<DocumentType, KindDefinition>> = {
  VirtualService: {
    ...ISTIO,
    kind: 'VirtualService',
    schema: virtualService,
    rules: checkVirtualService,
  },
  DestinationRule: {
    ...ISTIO,
    kind: 'DestinationRule',
    schema: destinationRule,
    rules: checkDestinationRule,
  },
  IstioGateway: { ...ISTIO, kind: 'Gateway', schema: gateway, rules: checkIstioGateway },
  ServiceEntry: {
    ...ISTIO,
    kind: 'ServiceEntry',
    schema: serviceEntry,
    rules: checkServiceEntry,
    isSpecRequired: true,
  },
  WorkloadEntry: {
    ...ISTIO,
    kind: 'WorkloadEntry',
    schema: workloadEntry,
    rules: checkWorkloadEntry,
    isSpecRequired: true,
  },
  Sidecar: { ...ISTIO, kind: 'Sidecar', schema: sidecar, rules: checkSidecar },

  RequestAuthentication: {
    ...SECURITY,
    kind: 'RequestAuthentication',
    schema: requestAuthentication,
    rules: checkRequestAuthentication,
  },
  AuthorizationPolicy: {
    ...SECURITY,
    kind: 'AuthorizationPolicy',
    schema: authorizationPolicy,
    rules: checkAuthorizationPolicy,
  },
  PeerAuthentication: {
    ...SECURITY,
    kind: 'PeerAuthentication',
    schema: peerAuthentication,
    rules: checkPeerAuthentication,
  },

  GatewayClass: {
    ...GATEWAY_API,
    kind: 'GatewayClass',
    schema: gatewayClass,
    rules: none,
    isNamespaced: false,
  },
  KubernetesGateway: {
    ...GATEWAY_API,
    kind: 'Gateway',
    schema: kubernetesGateway,
    rules: checkKubernetesGateway,
  },
  HTTPRoute: {
    ...GATEWAY_API,
    kind: 'HTTPRoute',
    schema: httpRoute,
    rules: checkKubernetesHttpRoute,
  },
  ListenerSet: { ...GATEWAY_API, kind: 'ListenerSet', schema: listenerSet, rules: none },
  GRPCRoute: { ...GATEWAY_API, kind: 'GRPCRoute', schema: grpcRoute, rules: checkGrpcRoute },
  TLSRoute: {
    ...GATEWAY_API,
    versions: ['v1', 'v1alpha3', 'v1alpha2'],
    kind: 'TLSRoute',
    schema: tlsRoute,
    rules: checkStreamRoute,
  },
  TCPRoute: {
    ...GATEWAY_API,
    versions: ['v1', 'v1alpha2'],
    kind: 'TCPRoute',
    schema: tcpRoute,
    rules: checkStreamRoute,
  },
  BackendTLSPolicy: {
    ...GATEWAY_API,
    versions: ['v1', 'v1alpha3'],
    kind: 'BackendTLSPolicy',
    schema: backendTlsPolicy,
    rules: none,
  },
  XBackendTrafficPolicy: {
    ...GATEWAY_API,
    group: 'gateway.networking.x-k8s.io',
    versions: ['v1alpha1'],
    kind: 'XBackendTrafficPolicy',
    schema: backendTrafficPolicy,
    rules: none,
  },
  ReferenceGrant: { ...GATEWAY_API, kind: 'ReferenceGrant', schema: referenceGrant, rules: none },

  RateLimit: { ...WEFT, kind: 'RateLimit', schema: rateLimit, rules: checkRateLimit },
  TrafficPolicy: {
    ...WEFT,
    kind: 'TrafficPolicy',
    schema: trafficPolicy,
    rules: checkTrafficPolicy,
  },

  Service: { ...CORE, kind: 'Service', schema: service, rules: checkService },
  Endpoints: { ...CORE, kind: 'Endpoints', schema: endpoints, rules: checkEndpoints, body: 'root' },
  EndpointSlice: {
    ...CORE,
    group: 'discovery.k8s.io',
    versions: ['v1', 'v1beta1'],
    kind: 'EndpointSlice',
    schema: endpointSlice,
    rules: checkEndpointSlice,
    body: 'root',
  },
  Namespace: {
    ...CORE,
    kind: 'Namespace',
    schema: namespace,
    rules: checkNamespace,
    isNamespaced: false,
  },
  Pod: { ...CORE, kind: 'Pod', schema: pod, rules: none, statusSchema: podStatus },
  Secret: { ...CORE, kind: 'Secret', schema: secret, rules: checkDataKeys, body: 'root' },
  ConfigMap: { ...CORE, kind: 'ConfigMap', schema: configMap, rules: checkDataKeys, body: 'root' },
}

/** The document type of an object, or `undefined` for a kind that we do not read. */
export function typeOf(group: string, kind: string): DocumentType | undefined {
  return BY_KIND.get(`${group}/${kind}`)
}

const BY_KIND: ReadonlyMap<string, DocumentType> = new Map(
  Object.entries(KINDS).map(([type, { group, kind }]) => [
    `${group}/${kind}`,
    type as DocumentType,
  ]),
)
