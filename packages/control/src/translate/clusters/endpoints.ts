/** Instances of a service → who answers for one of its clusters, by locality. */
import type { Endpoint, Endpoints, LocalityEndpoints } from '@weft/model'
import type { ServiceInstance } from '../../registries/registry.ts'

/** @param labels A subset's labels; an instance needs all of them. */
export function endpointsOf(
  name: string,
  instances: readonly ServiceInstance[],
  port: number,
  labels: Readonly<Record<string, string>> | undefined,
): Endpoints {
  const wanted = Object.entries(labels ?? {})
  const chosen = instances.filter(
    (instance) =>
      instance.servicePort === port &&
      wanted.every(([key, value]) => instance.labels[key] === value),
  )
  const byLocality = Map.groupBy(
    chosen,
    ({ locality }) => `${locality.region}/${locality.zone}/${locality.subZone}`,
  )
  const localities = [...byLocality]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, group]) => localityOf(group))
  return { name, localities: localities.filter((one) => one !== undefined) }
}

function localityOf(group: readonly ServiceInstance[]): LocalityEndpoints | undefined {
  const [first] = group
  if (first === undefined) return undefined
  const endpoints = group.map(endpointOf).sort(compareEndpoints)
  return {
    locality: first.locality,
    priority: 0,
    weight: endpoints.reduce((sum, endpoint) => sum + endpoint.weight, 0),
    endpoints,
  }
}

function endpointOf(instance: ServiceInstance): Endpoint {
  return {
    address: { host: instance.address, port: instance.port },
    weight: Math.max(1, instance.weight),
    health: instance.health,
    ...(instance.workload === undefined ? {} : { workload: instance.workload }),
  }
}

/** By address, so that the order in which workloads came up changes nothing. */
function compareEndpoints(a: Endpoint, b: Endpoint): number {
  if (a.address.host !== b.address.host) return a.address.host < b.address.host ? -1 : 1
  return a.address.port - b.address.port
}
