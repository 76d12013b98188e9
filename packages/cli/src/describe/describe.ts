/** What holds for a workload, a service, a gateway or a route, from the state of a mesh. */
import { type Document, documentsOf } from '@weft/config'
import { DEFAULT_PROXY, findService, type MeshService, translate } from '@weft/control'
import type { Cluster } from '@weft/model'
import { type Destination, inboundListeners, whereOf } from '../access/destination.ts'
import type { MeshView } from '../access/mesh-view.ts'
import { ASSUMED } from '../access/populated.ts'
import { appliedObjects, policiesFor } from './applies.ts'
import { type Description, type Row, section } from './description.ts'
import { describeGateway, describeRoute } from './routing.ts'
import { type Described, distinct, problemsOf, ruleRow } from './rows.ts'

export type DescribedKind = Description['kind']

/** @param kind Absent: whatever has this name. @returns `undefined`: nothing has. */
export function describe(
  state: Described,
  name: string,
  kind: DescribedKind | undefined,
): Description | undefined {
  const [first = '', second] = name.split('/')
  const [namespace, own] = second === undefined ? ['default', first] : [first, second]
  const kinds = kind === undefined ? (['service', 'gateway', 'route', 'workload'] as const) : [kind]
  for (const one of kinds) {
    const found = describers[one](state, namespace, own)
    if (found !== undefined) return found
  }
  return undefined
}

type Describer = (state: Described, namespace: string, name: string) => Description | undefined

const describers: Readonly<Record<DescribedKind, Describer>> = {
  workload: describeWorkload,
  service: describeService,
  gateway: describeGateway,
  route: describeRoute,
}

function describeWorkload(state: Described, namespace: string, name: string) {
  const full = `${namespace}/${name}`
  const connected = state.connected?.find((one) => one.name === full)
  const destination = connected ?? knownWorkload(state.mesh, full)
  if (destination === undefined) return undefined
  const { documents, snapshot } = state.mesh
  const { proxy, principal } = destination
  const services = servicesOf(state.mesh, destination)
  const names = services.map((one) => one.name)
  const policies = policiesFor(destination, documents, snapshot.mesh.rootNamespace, names)
  const pod = documentsOf(documents, 'Pod').find(
    ({ metadata }) => metadata.namespace === namespace && metadata.name === name,
  )
  const labels = Object.entries(proxy.labels).map(([key, value]) => `${key}=${value}`)
  const description: Description = {
    kind: 'workload',
    name: destination.name,
    origin: (pod && pod.origin.file !== ASSUMED && whereOf(pod.origin)) || null,
    sections: [
      ...section('identity', [
        {
          principal: principal ?? 'unknown',
          labels: labels.join(' ') || '-',
          addresses: proxy.addresses.join(' ') || '-',
        },
      ]),
      ...section(
        'services',
        services.map(({ host, origins }) => ({
          host,
          where: (origins[0] && whereOf(origins[0])) ?? null,
        })),
      ),
      ...section('ports', portRows(state.mesh, destination, services)),
      ...section('policies', policies.rows),
      ...section(
        'routes',
        services.flatMap((one) => routeRows(state.mesh, one)),
      ),
    ],
    warnings: [
      ...policies.warnings,
      ...plaintextWarnings(destination),
      ...problemsOf(state, policies.rows),
    ],
  }
  return description
}

/** Somebody who is written down; guesses are no description. */
function knownWorkload(
  { documents, destinations }: MeshView,
  full: string,
): Destination | undefined {
  const [namespace, name = ''] = full.split('/')
  const isKnown = documents.some(
    ({ type, metadata }) =>
      (type === 'Pod' || type === 'WorkloadEntry') &&
      metadata.namespace === namespace &&
      (metadata.name === name || metadata.name.startsWith(`${name}-`)),
  )
  if (!isKnown) return undefined
  const all = destinations(full)
  return all.find((one) => one.name === full) ?? all[0]
}

function servicesOf(
  { snapshot }: MeshView,
  { proxy, resources }: Destination,
): readonly MeshService[] {
  const offered = new Set(
    [...resources.cluster.values()].flatMap(({ name, service }) =>
      name.startsWith('inbound|') && service !== undefined ? [service.host] : [],
    ),
  )
  return [...snapshot.services.values()].filter(
    ({ host }) =>
      offered.has(host) ||
      (snapshot.instances.get(host) ?? []).some(({ address }) => proxy.addresses.includes(address)),
  )
}

function portRows(
  { snapshot }: MeshView,
  destination: Destination,
  services: readonly MeshService[],
): readonly Row[] {
  const ports = [
    ...new Map(destination.ports.map((one) => [`${one.servicePort} ${one.port}`, one])).values(),
  ]
  return ports.map(({ servicePort, port }) => {
    const { mode, policy, origin } = destination.modeAt(port)
    const owner = services.find(
      ({ host }) =>
        destination.proxy.offers.length > 0 ||
        (snapshot.instances.get(host) ?? []).some((one) => one.port === port),
    )
    const protocol = owner?.ports.find((one) => one.port === servicePort)?.protocol
    return {
      port,
      service: servicePort,
      protocol: protocol ?? (isHttpPort(destination, port) ? 'http' : 'tcp'),
      mtls: mode,
      by: policy ?? 'default',
      where: origin ?? null,
    }
  })
}

function isHttpPort(destination: Destination, port: number): boolean {
  return inboundListeners(destination).some(({ name, filterChains }) =>
    filterChains.some(
      ({ match, filter }) =>
        filter.kind === 'http' &&
        (match.destinationPort === port || name === `weft:inbound|${port}`),
    ),
  )
}

function plaintextWarnings({ ports, modeAt, proxy }: Destination): readonly string[] {
  if (!proxy.hasIdentity) return ['its proxy has no certificate: everybody calls it in plaintext']
  return [...new Set(ports.map(({ port }) => port))].flatMap((port) =>
    modeAt(port).mode === 'DISABLE'
      ? [`port ${port} has no mutual TLS: callers have no identity`]
      : [],
  )
}

function describeService(state: Described, namespace: string, name: string) {
  const { snapshot, documents } = state.mesh
  const service =
    findService(snapshot.services, `${name}.${namespace}.svc.cluster.local`) ??
    findService(snapshot.services, name)
  if (service === undefined) return undefined
  const view = translate(snapshot, { ...DEFAULT_PROXY, namespace: service.namespace })
  const clusters = [...view.cluster.values()].filter(
    ({ name: one }) => one.startsWith('outbound|') && one.endsWith(`|${service.host}`),
  )
  const behind =
    state.connected?.filter((one) =>
      [...one.resources.cluster.values()].some(
        (cluster) => cluster.name.startsWith('inbound|') && cluster.service?.host === service.host,
      ),
    ) ?? []
  const workloads = behind.length > 0 ? behind : state.mesh.behind(service.host, 0)
  const rules = appliedObjects({ cluster: new Map(clusters.map((one) => [one.name, one])) }, [
    'DestinationRule',
    'TrafficPolicy',
    'BackendTLSPolicy',
  ])
  const policies = workloads.map((one) =>
    policiesFor(one, documents, snapshot.mesh.rootNamespace, [service.name]),
  )
  const policyRows = distinct(policies.flatMap(({ rows }) => rows))
  const description: Description = {
    kind: 'service',
    name: `${service.namespace}/${service.name}`,
    origin: (service.origins[0] && whereOf(service.origins[0])) ?? null,
    sections: [
      ...section('ports', servicePorts(service, workloads)),
      ...section(
        'workloads',
        workloads.map((one) => ({
          name: one.name,
          principal: one.principal ?? 'unknown',
          labels: Object.entries(one.proxy.labels)
            .map(([key, value]) => `${key}=${value}`)
            .join(' '),
        })),
      ),
      ...section('subsets', subsetRows(documents, clusters)),
      ...section('routes', routeRows(state.mesh, service)),
      ...section('policies', [
        ...rules.map(({ kind, name: one, where }) => ({
          kind: kind ?? '',
          name: one ?? '',
          says: '',
          where: where ?? null,
        })),
        ...policyRows,
      ]),
      ...section('settings', clusters.map(settingsRow)),
    ],
    warnings: [
      ...new Set(policies.flatMap(({ warnings }) => warnings)),
      ...(workloads.length === 0 && !service.external ? ['nobody answers for it now'] : []),
      ...problemsOf(state, [...rules, ...policyRows]),
    ],
  }
  return description
}

function servicePorts(service: MeshService, workloads: readonly Destination[]): readonly Row[] {
  return service.ports.map(({ port, name, protocol }) => {
    const modes = workloads.map((one) => {
      const own = one.ports.find(({ servicePort }) => servicePort === port)?.port ?? port
      return one.modeAt(own).mode
    })
    return { port, name: name || '-', protocol, mtls: [...new Set(modes)].join(' ') || '-' }
  })
}

function subsetRows(documents: readonly Document[], clusters: readonly Cluster[]): readonly Row[] {
  const named = new Set(clusters.map(({ name }) => name.split('|')[2] ?? '').filter(Boolean))
  const rules = new Set(
    appliedObjects({ cluster: new Map(clusters.map((one) => [one.name, one])) }, [
      'DestinationRule',
    ]).map(({ name }) => name),
  )
  return documentsOf(documents, 'DestinationRule')
    .filter(({ metadata }) => rules.has(`${metadata.namespace}/${metadata.name}`))
    .flatMap(({ spec, origin, lineOf }) =>
      (spec.subsets ?? []).flatMap(({ name, labels = {} }, i) =>
        named.has(name)
          ? [
              {
                name,
                labels: Object.entries(labels)
                  .map(([key, value]) => `${key}=${value}`)
                  .join(' '),
                where: whereOf({ ...origin, line: lineOf(`spec.subsets[${i}]`) }) ?? null,
              },
            ]
          : [],
      ),
    )
}

function settingsRow({
  name,
  loadBalancer,
  connectTimeoutMs,
  limits,
  outlierDetection,
  tls,
  http,
}: Cluster): Row {
  return {
    cluster: name,
    balancer: loadBalancer.kind,
    connectTimeoutMs,
    maxConnections: limitOf(limits.maxConnections),
    maxRequests: limitOf(limits.maxRequests),
    ejectsAfter5xx: outlierDetection?.consecutive5xx ?? null,
    protocol: http.protocol,
    tls: tls === undefined ? '-' : (tls.sni ?? 'yes'),
  }
}

/** `null`: there is none. */
function limitOf(limit: number): number | null {
  return limit >= 4_294_967_295 ? null : limit
}

/** What a sidecar of the service's namespace does with requests for it. */
function routeRows({ snapshot }: MeshView, service: MeshService): readonly Row[] {
  const { route } = translate(snapshot, { ...DEFAULT_PROXY, namespace: service.namespace })
  return distinct(
    [...route.values()].flatMap(({ virtualHosts }) =>
      virtualHosts
        .filter(({ domains }) => domains.includes(service.host))
        .flatMap(({ routes, origins }) =>
          routes.map((one) =>
            ruleRow(one, origins[0] === undefined ? null : (whereOf(origins[0]) ?? null)),
          ),
        ),
    ),
  )
}
