/** What several workers say of themselves, as one proxy would say it. */
import { type Cluster, renderAddress } from '@weft/model'
import type { Rejection } from '@weft/xds'
import type { ClusterStatus, HostStatus } from '../admin/endpoint.ts'
import type { WorkerStatus } from './messages.ts'

type ListenerStatus = WorkerStatus['listeners'][number]

export function mergeListeners(workers: readonly WorkerStatus[]): readonly ListenerStatus[] {
  const merged = new Map<string, ListenerStatus>()
  for (const one of workers.flatMap(({ listeners }) => listeners)) {
    const key = `${one.name} ${renderAddress(one.address)}`
    const connections = (merged.get(key)?.connections ?? 0) + one.connections
    merged.set(key, { ...one, connections })
  }
  return [...merged.values()]
}

/** Counts add up; a host is as ill as the worker that thinks worst of it. */
export function mergeClusters(
  workers: readonly WorkerStatus[],
  models: ReadonlyMap<string, Cluster>,
): readonly ClusterStatus[] {
  const merged = new Map<string, ClusterStatus>()
  for (const { name, inUse, hosts } of workers.flatMap(({ clusters }) => clusters)) {
    const cluster = models.get(name)
    if (cluster === undefined) continue
    const before = merged.get(name)
    const sum =
      before === undefined
        ? { cluster, inUse, hosts }
        : {
            cluster,
            inUse: {
              connections: before.inUse.connections + inUse.connections,
              pending: before.inUse.pending + inUse.pending,
              requests: before.inUse.requests + inUse.requests,
              retries: before.inUse.retries + inUse.retries,
            },
            hosts: mergeHosts(before.hosts, hosts),
          }
    merged.set(name, sum)
  }
  return [...merged.values()]
}

function mergeHosts(a: readonly HostStatus[], b: readonly HostStatus[]): readonly HostStatus[] {
  const merged = new Map(a.map((host) => [renderAddress(host.address), host]))
  for (const host of b) {
    const key = renderAddress(host.address)
    const before = merged.get(key)
    merged.set(key, before === undefined ? host : mergeHost(before, host))
  }
  return [...merged.values()]
}

function mergeHost(a: HostStatus, b: HostStatus): HostStatus {
  return {
    ...a,
    health: a.health === 'healthy' ? b.health : a.health,
    ejected: a.ejected || b.ejected,
    failedCheck: a.failedCheck === true || b.failedCheck === true,
    activeRequests: a.activeRequests + b.activeRequests,
    activeConnections: a.activeConnections + b.activeConnections,
  }
}

/** What cannot be opened by one can be opened by none, as a rule: each is shown once. */
export function mergeRejections(workers: readonly WorkerStatus[]): readonly Rejection[] {
  const merged = new Map<string, Rejection>()
  for (const one of workers.flatMap(({ rejections }) => rejections)) {
    merged.set(`${one.type}/${one.name}`, one)
  }
  return [...merged.values()]
}
