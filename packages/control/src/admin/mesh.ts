/** `/v1/…`: what `weft status` and `weft get` ask. */
import type { ObjectRef } from '@weft/config'
import type { ResourceSet, ResourceType } from '@weft/model'
import { RESOURCE_TYPES, resourceTypeOf } from '@weft/xds'
import { mayIn, type Operator } from './access/roles.ts'
import { type AdminEndpoint, type ConnectedProxy, jsonAnswer, type PlaneView } from './endpoint.ts'

export const status: AdminEndpoint = {
  path: '/v1/status',
  method: 'GET',
  access: { action: 'status.get', role: 'viewer', where: 'namespaces' },
  summary: 'what became of every object, and everything found wrong',
  answer({ caller }, plane) {
    const sees = viewOf(caller)
    // What belongs to no object, or to none that could be read, may be of anybody.
    const isSeen = ({ object }: { readonly object?: ObjectRef }) => sees(object?.namespace ?? '')
    return jsonAnswer({
      ready: plane.isReady(),
      generation: plane.snapshot()?.generation ?? null,
      objects: plane.statuses().filter(({ namespace }) => sees(namespace)),
      problems: plane.problems().filter(isSeen),
      refused: plane.sourceState().refused.filter(isSeen),
    })
  },
}

export const proxies: AdminEndpoint = {
  path: '/v1/proxies',
  method: 'GET',
  access: { action: 'proxies.list', role: 'viewer', where: 'namespaces' },
  summary: 'connected proxies, what they took and what they refused',
  answer: ({ caller }, plane) => jsonAnswer({ proxies: seenProxies(caller, plane).map(proxyRow) }),
}

export const objects: AdminEndpoint = {
  path: '/v1/objects',
  method: 'GET',
  access: { action: 'objects.list', role: 'viewer', where: 'namespaces' },
  summary: 'objects in force; ?kind=&namespace=&name= to choose',
  answer({ query, caller }, plane) {
    const sees = viewOf(caller)
    const fits = (key: string, value: string) => {
      const wanted = query.get(key)
      return wanted === null || wanted.toLowerCase() === value.toLowerCase()
    }
    const chosen = plane
      .sourceState()
      .documents.filter(
        ({ kind, metadata }) =>
          sees(metadata.namespace) &&
          fits('kind', kind) &&
          fits('namespace', metadata.namespace) &&
          fits('name', metadata.name),
      )
      .map(({ kind, apiVersion, metadata, spec, origin }) => ({
        apiVersion,
        kind,
        metadata,
        // Keys and certificates are nobody's business on this port.
        ...(kind === 'Secret' ? {} : { spec }),
        origin,
      }))
    return jsonAnswer({ objects: chosen })
  },
}

export const services: AdminEndpoint = {
  path: '/v1/services',
  method: 'GET',
  access: { action: 'services.list', role: 'viewer', where: 'namespaces' },
  summary: 'services and how many endpoints they have',
  answer({ caller }, plane) {
    const sees = viewOf(caller)
    const snapshot = plane.snapshot()
    const seen = [...(snapshot?.services.values() ?? [])].filter((one) => sees(one.namespace))
    const rows = seen.map((service) => {
      const instances = snapshot?.instances.get(service.host) ?? []
      const { host, name, namespace, ports, addresses, source, resolution, external } = service
      return {
        host,
        name,
        namespace,
        ports,
        addresses,
        source,
        resolution,
        external,
        endpoints: new Set(instances.map(({ address, port }) => `${address} ${port}`)).size,
        healthy: instances.filter(({ health }) => health === 'healthy').length,
      }
    })
    return jsonAnswer({ services: rows })
  },
}

export const resources: AdminEndpoint = {
  path: '/v1/resources',
  method: 'GET',
  access: { action: 'resources.get', role: 'viewer', where: 'namespaces' },
  summary: 'what a proxy was told: ?proxy=namespace/workload, &type= to choose',
  answer({ query, caller }, plane) {
    const wanted = query.get('proxy') ?? ''
    const seen = seenProxies(caller, plane)
    const first =
      seen.find((proxy) => isCalled(proxy, `default/${wanted}`)) ??
      seen.find((proxy) => isCalled(proxy, wanted))
    if (first?.set === undefined) {
      const known = seen.map(nameOf)
      const there = known.length === 0 ? 'none is' : `connected: ${known.slice(0, 10).join(', ')}`
      return jsonAnswer(
        { error: `no proxy ${wanted} is connected; ${there}`, connected: known },
        404,
      )
    }
    const type = query.get('type')
    if (type === null) return jsonAnswer({ proxy: nameOf(first), ...everything(first.set) })
    const known = RESOURCE_TYPES.find((one) => one === type)
    if (known === undefined) {
      return jsonAnswer({ error: `type must be one of ${RESOURCE_TYPES.join(', ')}` }, 400)
    }
    return jsonAnswer({ proxy: nameOf(first), resources: listOf(first.set, known) })
  },
}

/** Which namespaces somebody may look into. */
export function viewOf(caller: Operator): (namespace: string) => boolean {
  return (namespace) => mayIn(caller, 'viewer', namespace)
}

export function seenProxies(caller: Operator, plane: PlaneView): readonly ConnectedProxy[] {
  return plane.proxies().filter(({ view }) => mayIn(caller, 'viewer', view.namespace))
}

function everything(set: ResourceSet): Readonly<Record<string, unknown>> {
  return Object.fromEntries(RESOURCE_TYPES.map((type) => [type, listOf(set, type)]))
}

function listOf(set: ResourceSet, type: ResourceType): readonly unknown[] {
  return [...set[type].values()]
}

function nameOf({ view }: ConnectedProxy): string {
  return `${view.namespace}/${view.workload}`
}

/** By `namespace/workload` or by node id; without a namespace in any, `default` before others. */
function isCalled(proxy: ConnectedProxy, wanted: string): boolean {
  return (
    wanted === nameOf(proxy) ||
    wanted === proxy.connection.node.id ||
    wanted === proxy.view.workload
  )
}

function proxyRow(proxy: ConnectedProxy) {
  const { connection, view, problem } = proxy
  const deliveries = connection.types.flatMap(({ typeUrl, resources: list }) =>
    list.map((resource) => ({ ...resource, type: resourceTypeOf(typeUrl) ?? typeUrl })),
  )
  const rejected = deliveries
    .filter(({ state }) => state === 'rejected')
    .map(({ type, name, message = '' }) => ({ resource: `${type}/${name}`, message }))
  const withheld = deliveries
    .filter(({ state }) => state === 'withheld')
    .map(({ type, name, message = '' }) => ({ resource: `${type}/${name}`, message }))
  return {
    name: nameOf(proxy),
    id: connection.node.id,
    kind: connection.kind,
    role: view.role,
    protocol: connection.protocol,
    connectedAtMs: connection.connectedAtMs,
    generation: connection.ackedGeneration ?? null,
    isSynced: problem === undefined && deliveries.every(({ state }) => state === 'acked'),
    pending: deliveries.filter(({ state }) => state === 'pending' || state === 'sent').length,
    rejected,
    withheld,
    ...(problem === undefined ? {} : { problem: `cannot be translated: ${problem}` }),
  }
}
