/**
 * One state out of several. What is declared (in documents) defines a service;
 * what registers itself joins it, or defines it where nobody else does.
 */
import type { DefinedService, MeshService, RegistryState, ServiceInstance } from '../registry.ts'

/** @param states In order of authority: the first that knows a host defines it. */
export function mergeRegistries(states: readonly RegistryState[]): RegistryState {
  const [only] = states
  if (only !== undefined && states.length === 1) return only
  const services = new Map<string, MeshService>()
  const instances = new Map<string, readonly ServiceInstance[]>()
  for (const state of states) {
    for (const [host, service] of state.services) {
      if (!services.has(host)) services.set(host, service)
    }
  }
  for (const state of states) {
    for (const [host, own] of state.instances) {
      const service = services.get(host)
      if (service === undefined) continue
      const fitting = fit(service, own)
      const before = instances.get(host)
      instances.set(host, before === undefined ? fitting : distinct([...before, ...fitting]))
    }
  }
  const rivals = mergeRivals(states)
  return { services, instances, ...(rivals.size === 0 ? {} : { rivals }) }
}

/** The instances by ports that the service has; the same list when nothing is to be changed. */
function fit(service: MeshService, own: readonly ServiceInstance[]): readonly ServiceInstance[] {
  const fitting = own.flatMap((instance) => {
    const port = servicePortOf(service, instance.servicePort)
    if (port === undefined) return []
    return [port === instance.servicePort ? instance : { ...instance, servicePort: port }]
  })
  return same(own, fitting) ? own : fitting
}

/**
 * The service's port that an offer of `port` means: that number, or else the one
 * whose target it is, because a workload knows only where it listens itself.
 */
function servicePortOf(service: MeshService, port: number): number | undefined {
  if (service.ports.some((one) => one.port === port)) return port
  return service.ports.find((one) => one.targetPort === port)?.port
}

function same(own: readonly ServiceInstance[], fitting: readonly ServiceInstance[]): boolean {
  return own.length === fitting.length && own.every((instance, i) => instance === fitting[i])
}

/** The same address and port twice is one endpoint; the declared one, which comes first, holds. */
function distinct(instances: readonly ServiceInstance[]): readonly ServiceInstance[] {
  const seen = new Set<string>()
  return instances.filter((one) => {
    const key = `${one.servicePort} ${one.address} ${one.port}`
    return seen.has(key) ? false : seen.add(key)
  })
}

function mergeRivals(
  states: readonly RegistryState[],
): ReadonlyMap<string, readonly DefinedService[]> {
  const rivals = new Map<string, readonly DefinedService[]>()
  for (const [host, own] of states.flatMap((state) => [...(state.rivals ?? [])])) {
    rivals.set(host, [...(rivals.get(host) ?? []), ...own])
  }
  return rivals
}
