/** Names of the resource types on the wire. */
import type { ResourceType } from '@weft/model'

export const TYPE_URLS = {
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoints: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
} as const satisfies Record<ResourceType, string>

/** All types, in the order in which they may be sent on one stream (make before break). */
export const RESOURCE_TYPES = [
  'cluster',
  'endpoints',
  'secret',
  'listener',
  'route',
] as const satisfies readonly ResourceType[]

/**
 * Not a resource: a request of this type reports the health of the workload
 * behind the proxy, as istio-agent does.
 */
export const HEALTH_TYPE_URL = 'type.googleapis.com/istio.v1.HealthInformation'

/** The model's name for a type URL, or `undefined` for types that the model has no noun for. */
export function resourceTypeOf(typeUrl: string): ResourceType | undefined {
  return RESOURCE_TYPES.find((type) => TYPE_URLS[type] === typeUrl)
}
