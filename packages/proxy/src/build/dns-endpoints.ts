/**
 * The endpoints of a DNS cluster: its hosts replaced by the addresses they have
 * at the moment, kept up to date for as long as the cluster exists.
 */
import type { Cluster, Endpoint, Endpoints } from '@weft/model'
import type { NameResolver } from './name-resolver.ts'

export type DnsDiscovery = Extract<Cluster['discovery'], { kind: 'strictDns' | 'logicalDns' }>

/**
 * Calls `onEndpoints` whenever a name of the cluster got other addresses. Names
 * that did not resolve yet have no endpoints. The returned function stops it.
 */
export function watchDnsEndpoints(
  discovery: DnsDiscovery,
  resolver: NameResolver,
  onEndpoints: (endpoints: Endpoints) => void,
): () => void {
  const addressesOf = new Map<string, readonly string[]>()
  const names = new Set(
    discovery.endpoints.localities.flatMap(({ endpoints }) =>
      endpoints.map(({ address }) => address.host),
    ),
  )
  // Literal addresses are answered at once: say so once, not name by name.
  let started = false
  const stops = [...names].map((name) =>
    resolver.watch(name, (addresses) => {
      addressesOf.set(name, addresses)
      if (started) onEndpoints(resolvedEndpoints(discovery, addressesOf))
    }),
  )
  started = true
  if (addressesOf.size > 0 || names.size === 0) {
    onEndpoints(resolvedEndpoints(discovery, addressesOf))
  }
  return () => {
    for (const stop of stops) stop()
  }
}

/** `strictDns`: every address is an endpoint. `logicalDns`: only the first of each name. */
export function resolvedEndpoints(
  discovery: DnsDiscovery,
  addressesOf: ReadonlyMap<string, readonly string[]>,
): Endpoints {
  const { endpoints, kind } = discovery
  const resolve = (endpoint: Endpoint): Endpoint[] => {
    const known = addressesOf.get(endpoint.address.host) ?? []
    const used = kind === 'logicalDns' ? known.slice(0, 1) : known
    return used.map((host) => ({ ...endpoint, address: { host, port: endpoint.address.port } }))
  }
  return {
    name: endpoints.name,
    localities: endpoints.localities.map((locality) => ({
      ...locality,
      endpoints: locality.endpoints.flatMap(resolve),
    })),
  }
}
