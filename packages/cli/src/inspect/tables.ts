/** What a proxy has, as tables for people. Pure; works on the model's resources. */
import type {
  Cluster,
  Endpoints,
  Listener,
  Origin,
  Route,
  RouteMatch,
  RouteTable,
  StringMatch,
} from '@weft/model'
import { renderAddress, renderOrigin } from '@weft/model'
import { columns } from '../terminal/columns.ts'

/** A service as the mesh knows it. */
export interface ServiceRow {
  readonly host: string
  readonly ports: readonly { readonly port: number; readonly protocol: string }[]
  readonly addresses: readonly string[]
  readonly source: string
  readonly endpoints: number
}

export function renderServices(services: readonly ServiceRow[]): string {
  if (services.length === 0) return 'No service is known.\n'
  const rows = services.map(({ host, ports, addresses, source, endpoints }) => [
    host,
    ports.map(({ port, protocol }) => `${port}/${protocol}`).join(','),
    addresses.join(',') || '-',
    String(endpoints),
    source,
  ])
  return columns([['HOST', 'PORTS', 'ADDRESSES', 'ENDPOINTS', 'FROM'], ...rows])
}

export function renderListeners(listeners: readonly Listener[]): string {
  if (listeners.length === 0) return 'The proxy has no listener.\n'
  const rows = listeners.flatMap((listener) => {
    const chains = [
      ...listener.filterChains,
      ...(listener.defaultFilterChain === undefined ? [] : [listener.defaultFilterChain]),
    ]
    return chains.map((chain, i) => [
      i === 0 ? listener.name : '',
      i === 0 ? renderAddress(listener.address) : '',
      renderChainMatch(chain.match),
      chain.filter.kind === 'http'
        ? `http, routes ${chain.filter.routes.kind === 'rds' ? chain.filter.routes.name : 'inline'}`
        : `tcp, ${chain.filter.targets.map(({ cluster }) => cluster).join(' ')}`,
    ])
  })
  return columns([['LISTENER', 'ADDRESS', 'MATCH', 'DOES'], ...rows])
}

function renderChainMatch(match: Listener['filterChains'][number]['match']): string {
  const parts = [
    match.destinationPort === undefined ? '' : `port ${match.destinationPort}`,
    match.destinationPrefixes.join(' '),
    match.serverNames.length === 0 ? '' : `sni ${match.serverNames.join(' ')}`,
    match.transportProtocol ?? '',
    match.applicationProtocols.join(' '),
  ]
  return parts.filter((part) => part !== '').join(', ') || 'all'
}

export function renderRoutes(tables: readonly RouteTable[]): string {
  const rows = tables.flatMap((table) =>
    table.virtualHosts.flatMap((host) =>
      host.routes.map((route, i) => [
        table.name,
        i === 0 ? host.name : '',
        i === 0 ? renderDomains(host.domains) : '',
        renderMatch(route.match),
        renderAction(route),
        renderOrigins(route.origins.length === 0 ? host.origins : route.origins),
      ]),
    ),
  )
  if (rows.length === 0) return 'The proxy has no route.\n'
  return columns([['TABLE', 'VIRTUAL HOST', 'DOMAINS', 'MATCH', 'DOES', 'FROM'], ...rows])
}

function renderDomains(domains: readonly string[]): string {
  const [first = '', second, ...more] = domains
  if (second === undefined) return first
  return more.length === 0 ? `${first},${second}` : `${first},${second} +${more.length}`
}

function renderMatch({ path, headers, query }: RouteMatch): string {
  const parts = [
    path.kind === 'connect' ? 'CONNECT' : `${PATH_SIGNS[path.kind]}${path.value}`,
    ...headers.map(({ name, value, invert }) => `${invert ? '!' : ''}${name}${renderText(value)}`),
    ...query.map(({ name, value }) => `?${name}${renderText(value)}`),
  ]
  return parts.join(' ')
}

const PATH_SIGNS = { exact: '=', prefix: '', segments: '', regex: '~' } as const

function renderText(match: StringMatch | { readonly kind: 'present' }): string {
  switch (match.kind) {
    case 'present':
      return ''
    case 'exact':
      return `=${match.value}`
    case 'prefix':
      return `=${match.value}*`
    case 'suffix':
      return `=*${match.value}`
    case 'contains':
      return `=*${match.value}*`
    case 'regex':
      return `~${match.value}`
  }
}

function renderAction({ action, fault }: Route): string {
  const extra = fault === undefined ? '' : ' (fault)'
  switch (action.kind) {
    case 'forward': {
      const targets = action.targets.map(({ cluster, weight }) =>
        action.targets.length === 1 ? cluster : `${weight} ${cluster}`,
      )
      const mirrors = action.mirrors.map(({ cluster }) => ` mirror ${cluster}`)
      return `${targets.join(' + ')}${mirrors.join('')}${extra}`
    }
    case 'redirect':
      return `redirect ${action.status}${extra}`
    case 'respond':
      return `answer ${action.status}${extra}`
  }
}

export function renderClusters(clusters: readonly Cluster[]): string {
  if (clusters.length === 0) return 'The proxy has no cluster.\n'
  const rows = clusters.map(({ name, discovery, loadBalancer, origins }) => [
    name,
    discovery.kind,
    loadBalancer.kind,
    renderOrigins(origins),
  ])
  return columns([['CLUSTER', 'DISCOVERY', 'BALANCER', 'FROM'], ...rows])
}

export function renderEndpoints(all: readonly Endpoints[]): string {
  const rows = all.flatMap(({ name, localities }) =>
    localities.flatMap(({ endpoints, priority }) =>
      endpoints.map(({ address, health, weight, workload }) => [
        name,
        renderAddress(address),
        health,
        String(weight),
        String(priority),
        workload === undefined ? '-' : `${workload.namespace}/${workload.name}`,
      ]),
    ),
  )
  if (rows.length === 0) return 'The proxy knows no endpoint.\n'
  return columns([['CLUSTER', 'ADDRESS', 'HEALTH', 'WEIGHT', 'PRIORITY', 'WORKLOAD'], ...rows])
}

function renderOrigins(origins: readonly Origin[]): string {
  return origins.length === 0 ? '-' : origins.map(renderOrigin).join('; ')
}
