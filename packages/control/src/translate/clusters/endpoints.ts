/** Instances of a service → who answers for one of its clusters, by priority and locality. */
import type { PathOrder } from '@weft/config'
import type { Endpoint, Endpoints, LocalityEndpoints } from '@weft/model'
import type { ServiceInstance } from '../../registries/registry.ts'
import { distributedWeights, type LocalityPreference, priorityOf } from '../features/locality.ts'

/**
 * @param labels A subset's labels; an instance needs all of them.
 * @param preference Of the caller; absent: all localities are alike.
 * @param takesTls Whether an instance is called with mutual TLS of the mesh.
 * @param paths Goes before all localities: an instance that is near is called by another way only
 *   when the better one leads to nobody.
 */
export function endpointsOf(
  name: string,
  instances: readonly ServiceInstance[],
  port: number,
  labels: Readonly<Record<string, string>> | undefined,
  preference?: LocalityPreference,
  takesTls: (instance: ServiceInstance) => boolean = () => false,
  paths: PathOrder = DEFAULT_PATHS,
): Endpoints {
  const wanted = Object.entries(labels ?? {})
  const chosen = instances.filter(
    (instance) =>
      instance.servicePort === port &&
      pathRankOf(paths, instance) >= 0 &&
      wanted.every(([key, value]) => instance.labels[key] === value),
  )
  const numberOf = (instance: ServiceInstance) =>
    pathRankOf(paths, instance) * PER_PATH + rankOf(preference, instance)
  const priorities = denseRanks(chosen.map(numberOf))
  const rank = (instance: ServiceInstance) => priorities.get(numberOf(instance)) ?? 0
  const groups = Map.groupBy(chosen, (instance) => {
    const { region, zone, subZone } = instance.locality
    return `${rank(instance)} ${region}/${zone}/${subZone}`
  })
  const localities = [...groups.values()]
    .flatMap((group) => localityOf(group, rank, takesTls) ?? [])
    .sort(compareLocalities)
  return { name, localities: distributed(localities, preference) }
}

const DEFAULT_PATHS: PathOrder = ['direct', 'broker']
/** More than a preference has numbers. */
const PER_PATH = 1_000_000

/** Negative: by this way nobody is called. */
function pathRankOf(paths: PathOrder, { path }: ServiceInstance): number {
  return paths === 'any' ? 0 : paths.indexOf(path ?? 'direct')
}

function rankOf(preference: LocalityPreference | undefined, instance: ServiceInstance): number {
  return preference === undefined ? 0 : priorityOf(preference, instance)
}

/** Priorities have no gaps: 0, 1, 2 … in the order of the numbers. */
function denseRanks(numbers: readonly number[]): ReadonlyMap<number, number> {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b)
  return new Map(sorted.map((number, index) => [number, index]))
}

function localityOf(
  group: readonly ServiceInstance[],
  rank: (instance: ServiceInstance) => number,
  takesTls: (instance: ServiceInstance) => boolean,
): LocalityEndpoints | undefined {
  const [first] = group
  if (first === undefined) return undefined
  const endpoints = group.map((one) => endpointOf(one, takesTls(one))).sort(compareEndpoints)
  return {
    locality: first.locality,
    priority: rank(first),
    weight: endpoints.reduce((sum, endpoint) => sum + endpoint.weight, 0),
    endpoints,
  }
}

/** Localities without a share leave: nothing goes there, whatever becomes of the others. */
function distributed(
  localities: readonly LocalityEndpoints[],
  preference: LocalityPreference | undefined,
): readonly LocalityEndpoints[] {
  if (preference?.kind !== 'distribute') return localities
  const weights = distributedWeights(preference.to, localities)
  return localities.flatMap((one, index) => {
    const weight = weights[index] ?? 0
    return weight > 0 ? [{ ...one, weight }] : []
  })
}

function endpointOf(instance: ServiceInstance, takesTls: boolean): Endpoint {
  return {
    address: { host: instance.address, port: instance.port },
    weight: Math.max(1, instance.weight),
    health: instance.health,
    ...(instance.workload === undefined ? {} : { workload: instance.workload }),
    ...(takesTls ? { tlsMode: 'istio' } : {}),
    ...(instance.path === undefined ? {} : { path: instance.path }),
  }
}

function compareLocalities(a: LocalityEndpoints, b: LocalityEndpoints): number {
  if (a.priority !== b.priority) return a.priority - b.priority
  return placeOf(a) < placeOf(b) ? -1 : 1
}

function placeOf({ locality }: LocalityEndpoints): string {
  return `${locality.region}/${locality.zone}/${locality.subZone}`
}

/** By address, so that the order in which workloads came up changes nothing. */
function compareEndpoints(a: Endpoint, b: Endpoint): number {
  if (a.address.host !== b.address.host) return a.address.host < b.address.host ? -1 : 1
  return a.address.port - b.address.port
}
