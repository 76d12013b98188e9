/**
 * Which host of the mesh a call in RSocket's own form is for: its key has a service and no
 * namespace. Who is of the caller's namespace goes first; a name from elsewhere must be one alone,
 * or whoever came first would answer for all others.
 */
import type { WorkloadKind } from './workload-feeds.ts'

export type NativeHost =
  | { readonly kind: 'one'; readonly host: string }
  | { readonly kind: 'none' }
  /** Of so many namespaces, none of them the caller's. */
  | { readonly kind: 'several'; readonly namespaces: readonly string[] }

/**
 * @param offering Who offers the service, in the order in which they came.
 * @param near The caller's namespace.
 * @param isSeen Whether the caller has a route to the host: `exportTo` and its Sidecar decide.
 */
export function nativeHost(
  offering: readonly Pick<WorkloadKind, 'services' | 'workload'>[],
  near: string | undefined,
  isSeen: (host: string) => boolean,
): NativeHost {
  const hosts = new Map<string, string>()
  for (const { services, workload } of offering) {
    const [service] = services
    const { namespace } = workload
    if (service === undefined || hosts.has(namespace)) continue
    hosts.set(namespace, `${service.name}.${namespace}:${service.port}`)
  }
  const own = near === undefined ? undefined : hosts.get(near)
  if (own !== undefined) return { kind: 'one', host: own }
  const all = [...hosts]
  const [first] = all
  if (first === undefined) return { kind: 'none' }
  const seen = all.length === 1 ? all : all.filter(([, host]) => isSeen(host))
  if (seen.length <= 1) return { kind: 'one', host: (seen[0] ?? first)[1] }
  return { kind: 'several', namespaces: seen.map(([namespace]) => namespace).sort() }
}
