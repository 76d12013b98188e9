/**
 * Kubernetes' own kinds, as far as a mesh reads them. The rest of a Pod or a
 * Service is known to be none of our business: `isOpen` keeps it unreported.
 */

import {
  anything,
  boolean,
  defaulted,
  type Infer,
  integer,
  intOrString,
  list,
  map,
  object,
  oneOfValues,
  required,
  string,
} from '../schema/schema.ts'

const protocol = oneOfValues('TCP', 'UDP', 'SCTP')
const portNumber = integer({ min: 1, max: 65535 })

const servicePort = object({
  name: string(),
  protocol: defaulted(protocol, 'TCP'),
  appProtocol: string(),
  port: required(portNumber),
  targetPort: intOrString(),
  nodePort: integer({ min: 0, max: 65535 }),
})

export const service = object({
  ports: list(servicePort),
  selector: map(string()),
  type: defaulted(
    oneOfValues('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'),
    'ClusterIP',
  ),
  clusterIP: string(),
  clusterIPs: list(string()),
  externalIPs: list(string()),
  externalName: string(),
  sessionAffinity: defaulted(oneOfValues('None', 'ClientIP'), 'None'),
  sessionAffinityConfig: anything(),
  loadBalancerIP: string(),
  loadBalancerSourceRanges: list(string()),
  loadBalancerClass: string(),
  allocateLoadBalancerNodePorts: boolean(),
  externalTrafficPolicy: oneOfValues('Cluster', 'Local'),
  internalTrafficPolicy: oneOfValues('Cluster', 'Local'),
  healthCheckNodePort: integer({ min: 0, max: 65535 }),
  publishNotReadyAddresses: boolean(),
  ipFamilies: list(oneOfValues('IPv4', 'IPv6')),
  ipFamilyPolicy: oneOfValues('SingleStack', 'PreferDualStack', 'RequireDualStack'),
  trafficDistribution: string(),
})

const targetRef = object({
  kind: string(),
  namespace: string(),
  name: string(),
  uid: string(),
  apiVersion: string(),
  resourceVersion: string(),
  fieldPath: string(),
})

const slicePort = object({
  name: defaulted(string(), ''),
  protocol: defaulted(protocol, 'TCP'),
  port: portNumber,
  appProtocol: string(),
})

const sliceEndpoint = object({
  addresses: required(list(string(), { minItems: 1, maxItems: 100, isSet: true })),
  conditions: defaulted(
    object({ ready: boolean(), serving: boolean(), terminating: boolean() }),
    {},
  ),
  hostname: string(),
  targetRef,
  deprecatedTopology: map(string()),
  nodeName: string(),
  zone: string(),
  hints: anything(),
})

export const endpointSlice = object({
  addressType: required(oneOfValues('IPv4', 'IPv6', 'FQDN')),
  endpoints: defaulted(list(sliceEndpoint, { maxItems: 1000 }), []),
  ports: defaulted(list(slicePort, { maxItems: 20_000 }), []),
})

const endpointAddress = object({
  ip: required(string()),
  hostname: string(),
  nodeName: string(),
  targetRef,
})

export const endpoints = object({
  subsets: defaulted(
    list(
      object({
        addresses: list(endpointAddress),
        notReadyAddresses: list(endpointAddress),
        ports: list(
          object({
            name: defaulted(string(), ''),
            port: required(portNumber),
            protocol: defaulted(protocol, 'TCP'),
            appProtocol: string(),
          }),
        ),
      }),
    ),
    [],
  ),
})

export const namespace = object({ finalizers: list(string()) })

const container = object(
  {
    name: required(string()),
    image: string(),
    ports: list(
      object(
        {
          name: string(),
          containerPort: required(portNumber),
          protocol: defaulted(protocol, 'TCP'),
        },
        { isOpen: true },
      ),
    ),
  },
  { isOpen: true },
)

export const pod = object(
  {
    containers: list(container),
    serviceAccountName: string(),
    serviceAccount: string(),
    nodeName: string(),
    hostname: string(),
    subdomain: string(),
    hostNetwork: boolean(),
  },
  { isOpen: true },
)

/** Where a pod runs and whether it is ready; written by the cluster, read by registries. */
export const podStatus = object(
  { phase: string(), podIP: string(), podIPs: list(object({ ip: string() })), hostIP: string() },
  { isOpen: true },
)

export const secret = object({
  type: defaulted(string(), 'Opaque'),
  data: defaulted(map(string({ format: 'base64' })), {}),
  stringData: defaulted(map(string()), {}),
  immutable: boolean(),
})

export const configMap = object({
  data: defaulted(map(string()), {}),
  binaryData: defaulted(map(string({ format: 'base64' })), {}),
  immutable: boolean(),
})

export type Service = Infer<typeof service>
export type ServicePort = Infer<typeof servicePort>
export type EndpointSlice = Infer<typeof endpointSlice>
export type SliceEndpoint = Infer<typeof sliceEndpoint>
export type SlicePort = Infer<typeof slicePort>
export type Endpoints = Infer<typeof endpoints>
export type Namespace = Infer<typeof namespace>
export type Pod = Infer<typeof pod>
export type PodStatus = Infer<typeof podStatus>
export type Secret = Infer<typeof secret>
export type ConfigMap = Infer<typeof configMap>
