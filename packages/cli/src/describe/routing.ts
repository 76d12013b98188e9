/** What holds for a gateway, and what a route does. */
import type { Document, DocumentOf } from '@weft/config'
import { DEFAULT_PROXY, objectKey, type ProxyView, translate } from '@weft/control'
import type { Listener, ResourceSet, Route, RouteTable } from '@weft/model'
import { whereOf } from '../access/destination.ts'
import { parseCalls } from '../simulate/call.ts'
import { perspectiveOf } from '../simulate/perspective.ts'
import { appliedObjects } from './applies.ts'
import { type Description, type Row, section } from './description.ts'
import { type Described, distinct, problemsOf, ruleRow } from './rows.ts'

const GATEWAYS = ['IstioGateway', 'KubernetesGateway']
const ROUTES = ['VirtualService', 'HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute']

export function describeGateway(state: Described, namespace: string, name: string) {
  const { documents, snapshot } = state.mesh
  const gateway = gatewayNamed(documents, namespace, name)
  if (gateway === undefined) return undefined
  const resources = translate(snapshot, proxyOf(documents, gateway))
  const own = [...resources.listener.values()].filter(({ origins }) =>
    origins.some((one) => one.namespace === namespace && one.name === name),
  )
  const tables = tablesOf(resources, own)
  const guards = appliedObjects({ listener: new Map(own.map((one) => [one.name, one])) }, [
    'AuthorizationPolicy',
  ])
  const routes = appliedObjects({ route: new Map(tables.map((one) => [one.name, one])) }, ROUTES)
  const description: Description = {
    kind: 'gateway',
    name: `${namespace}/${name}`,
    origin: whereOf(gateway.origin) ?? null,
    sections: [
      ...section('listeners', own.flatMap(listenerRows)),
      ...section('routes', routes),
      ...section(
        'rules',
        tables.flatMap(({ virtualHosts }) =>
          virtualHosts.flatMap(({ domains, routes: rules }) =>
            rules.map((one) => ({ host: domains[0] ?? '*', ...ruleRow(one, null) })),
          ),
        ),
      ),
      ...section('policies', guards),
      ...section('conditions', conditionRows(state, gateway)),
    ],
    warnings: [
      ...(own.length === 0 ? ['no proxy serves it: nobody has the labels of its selector'] : []),
      ...(routes.length === 0 ? ['no route is attached to it'] : []),
      ...problemsOf(state, [{ kind: gateway.kind, name: `${namespace}/${name}` }]),
    ],
  }
  return description
}

type GatewayDocument = DocumentOf<'IstioGateway'> | DocumentOf<'KubernetesGateway'>

function gatewayNamed(
  documents: readonly Document[],
  namespace: string,
  name: string,
): GatewayDocument | undefined {
  return documents.find(
    (one): one is GatewayDocument =>
      GATEWAYS.includes(one.type) &&
      one.metadata.namespace === namespace &&
      one.metadata.name === name,
  )
}

/** Who serves it: found as for a call to its first port. */
function proxyOf(documents: readonly Document[], gateway: GatewayDocument): ProxyView {
  const [door] =
    gateway.type === 'IstioGateway'
      ? (gateway.spec.servers ?? []).map(({ port, hosts }) => ({
          port: port.number,
          host: hosts[0],
        }))
      : gateway.spec.listeners.map(({ port, hostname }) => ({ port, host: hostname }))
  const host = (door?.host ?? '').replace(/^[^/]*\//, '').replace(/^\*\.?/, 'any.')
  const [call] = parseCalls(JSON.stringify({ port: door?.port ?? 80, host })).calls
  return call === undefined ? DEFAULT_PROXY : perspectiveOf({ documents }, call, undefined).proxy
}

function tablesOf(resources: ResourceSet, listeners: readonly Listener[]): readonly RouteTable[] {
  return listeners.flatMap(({ filterChains }) =>
    filterChains.flatMap(({ filter }) => {
      if (filter.kind !== 'http') return []
      const { routes } = filter
      const table = routes.kind === 'inline' ? routes.table : resources.route.get(routes.name)
      return table === undefined ? [] : [table]
    }),
  )
}

function listenerRows({ name, address, filterChains }: Listener): readonly Row[] {
  return filterChains.map(({ match, tls, filter }) => ({
    listener: name,
    port: address.port,
    hosts: match.serverNames.join(' ') || '*',
    tls: tls === undefined ? '-' : tls.requireClientCertificate ? 'mutual' : 'simple',
    protocol: filter.kind,
  }))
}

export function describeRoute(state: Described, namespace: string, name: string) {
  const { documents, snapshot } = state.mesh
  const route = documents.find(
    ({ type, metadata }) =>
      ROUTES.includes(type) && metadata.namespace === namespace && metadata.name === name,
  )
  if (route === undefined) return undefined
  const spec = route.spec as {
    readonly hosts?: readonly string[]
    readonly hostnames?: readonly string[]
    readonly gateways?: readonly string[]
    readonly parentRefs?: readonly { readonly kind?: string; readonly name: string }[]
  }
  const parents =
    spec.gateways ?? (spec.parentRefs ?? []).map((one) => `${one.kind ?? 'Gateway'} ${one.name}`)
  const gateways = parents.flatMap((one) => {
    const [place = '', own] = (one.split(' ').at(-1) ?? '').split('/')
    const found = gatewayNamed(documents, own === undefined ? namespace : place, own ?? place)
    return found === undefined ? [] : [proxyOf(documents, found)]
  })
  const views = [{ ...DEFAULT_PROXY, namespace }, ...gateways].map((one) =>
    translate(snapshot, one),
  )
  const isOwn = (one: Route) =>
    one.origins.some(
      (origin) =>
        origin.namespace === namespace && origin.name === name && origin.kind === route.kind,
    )
  const found = views.flatMap(({ route: tables, cluster: clusters }) =>
    [...tables.values()].flatMap(({ virtualHosts }) =>
      virtualHosts.flatMap(({ routes }) =>
        routes.filter(isOwn).map((rule) => ({ rule, clusters })),
      ),
    ),
  )
  const rules = found.map(({ rule }) => rule)
  const missing = found.flatMap(({ rule: { action }, clusters }) =>
    action.kind === 'forward'
      ? action.targets.flatMap(({ cluster }) => (clusters.has(cluster) ? [] : [cluster]))
      : [],
  )
  const description: Description = {
    kind: 'route',
    name: `${namespace}/${name}`,
    origin: whereOf(route.origin) ?? null,
    sections: [
      ...section(
        'hosts',
        (spec.hosts ?? spec.hostnames ?? ['*']).map((host) => ({ host })),
      ),
      ...section(
        'parents',
        (parents.length === 0 ? ['mesh'] : parents).map((one) => ({ name: one })),
      ),
      ...section('rules', distinct(rules.map((one) => ruleRow(one, null)))),
      ...section('conditions', conditionRows(state, route)),
    ],
    warnings: [
      ...new Set(missing.map((cluster) => `its destination "${cluster}" does not exist`)),
      ...problemsOf(state, [{ kind: route.kind, name: `${namespace}/${name}` }]),
    ],
  }
  return description
}

/** What the control plane says, which knows what proxies answered; else what the files come to. */
function conditionRows({ mesh, objects }: Described, document: Document): readonly Row[] {
  const { kind, metadata } = document
  const { namespace, name } = metadata
  const told = objects?.find(
    (one) => one.kind === kind && one.namespace === namespace && one.name === name,
  )
  const key = objectKey(document.type, namespace, name)
  return (told?.conditions ?? mesh.snapshot.conditions.get(key) ?? []).map(
    ({ type, status, reason, message }) => ({
      type,
      status: status ? 'yes' : 'no',
      reason,
      message,
    }),
  )
}
