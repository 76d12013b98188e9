/** What a resource makes others need: the edges along which configuration must be ordered. */
import type {
  Cluster,
  DownstreamTls,
  Listener,
  Resources,
  ResourceType,
  RouteTable,
  UpstreamTls,
} from '@weft/model'

export interface References {
  /** Clusters that traffic may be sent to. */
  readonly clusters: ReadonlySet<string>
  readonly routes: ReadonlySet<string>
  readonly endpoints: ReadonlySet<string>
  readonly secrets: ReadonlySet<string>
}

const NONE: ReadonlySet<string> = new Set()
const NO_REFERENCES: References = { clusters: NONE, routes: NONE, endpoints: NONE, secrets: NONE }

export function referencesOf<T extends ResourceType>(type: T, resource: Resources[T]): References {
  switch (type) {
    case 'listener':
      return ofListener(resource as Listener)
    case 'route':
      return { ...NO_REFERENCES, clusters: clustersOf(resource as RouteTable) }
    case 'cluster':
      return ofCluster(resource as Cluster)
    default:
      return NO_REFERENCES
  }
}

function ofListener(listener: Listener): References {
  const clusters = new Set<string>()
  const routes = new Set<string>()
  const secrets = new Set<string>()
  const { defaultFilterChain } = listener
  const chains =
    defaultFilterChain === undefined
      ? listener.filterChains
      : [...listener.filterChains, defaultFilterChain]
  for (const { filter, tls } of chains) {
    addSecrets(secrets, tls)
    if (filter.kind === 'tcp') for (const { cluster } of filter.targets) clusters.add(cluster)
    else if (filter.routes.kind === 'rds') routes.add(filter.routes.name)
    else for (const cluster of clustersOf(filter.routes.table)) clusters.add(cluster)
  }
  return { clusters, routes, endpoints: NONE, secrets }
}

function clustersOf(table: RouteTable): Set<string> {
  const clusters = new Set<string>()
  for (const { routes } of table.virtualHosts) {
    for (const { action } of routes) {
      if (action.kind !== 'forward') continue
      for (const { cluster } of action.targets) clusters.add(cluster)
      for (const { cluster } of action.mirrors) clusters.add(cluster)
    }
  }
  return clusters
}

function ofCluster({ discovery, tls }: Cluster): References {
  const secrets = new Set<string>()
  addSecrets(secrets, tls)
  const endpoints = discovery.kind === 'eds' ? new Set([discovery.name]) : NONE
  return { clusters: NONE, routes: NONE, endpoints, secrets }
}

function addSecrets(secrets: Set<string>, tls: DownstreamTls | UpstreamTls | undefined): void {
  if (tls === undefined || tls.fromProvider === true) return
  if (tls.validation !== undefined) secrets.add(tls.validation)
  if ('certificates' in tls) for (const name of tls.certificates) secrets.add(name)
  else if (tls.certificate !== undefined) secrets.add(tls.certificate)
}
