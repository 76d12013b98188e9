/** `destination_service…` of a call, from the cluster it went to or else from the host it named. */
import type { Cluster } from '@weft/model'
import { type ServiceLabels, UNKNOWN } from '@weft/telemetry'

export const UNKNOWN_SERVICE: ServiceLabels = { host: UNKNOWN, name: UNKNOWN, namespace: UNKNOWN }

const known = new WeakMap<Cluster, ServiceLabels | typeof NO_SERVICE>()
const NO_SERVICE = Symbol('no service')

/**
 * What the cluster says of its service; `undefined` for clusters that stand for
 * none (`PassthroughCluster`), whose calls are told apart by host.
 */
export function serviceOf(cluster: Cluster): ServiceLabels | undefined {
  let service = known.get(cluster)
  if (service === undefined) {
    service = readService(cluster) ?? NO_SERVICE
    known.set(cluster, service)
  }
  return service === NO_SERVICE ? undefined : service
}

function readService(cluster: Cluster): ServiceLabels | undefined {
  if (cluster.service !== undefined) return cluster.service
  // `outbound|9080|v1|reviews.default.svc.cluster.local`
  const [direction, port, , host] = cluster.name.split('|')
  if (direction !== 'outbound' || port === undefined || host === undefined || host === '') {
    return undefined
  }
  const [name = host, namespace = UNKNOWN, kind] = host.split('.')
  return kind === 'svc' ? { host, name, namespace } : { host, name: host, namespace: UNKNOWN }
}

/** A call that belongs to no service: the host it named, and the catch-all cluster as its name. */
export function serviceOfHost(host: string, cluster: Cluster | undefined): ServiceLabels {
  return { host, name: cluster?.name ?? UNKNOWN, namespace: UNKNOWN }
}
