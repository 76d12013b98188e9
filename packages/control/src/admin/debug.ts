/** `/debug/…`: Istio's names for looking into a control plane. */
import { TYPE_URLS } from '@weft/xds'
import { type AdminEndpoint, type ConnectedProxy, jsonAnswer } from './endpoint.ts'
import { seenProxies, viewOf } from './mesh.ts'

export const syncz: AdminEndpoint = {
  path: '/debug/syncz',
  method: 'GET',
  access: { action: 'debug.syncz', role: 'viewer', where: 'namespaces' },
  summary: 'per proxy and type: synchronised, behind, or refused',
  answer: ({ caller }, plane) => jsonAnswer(seenProxies(caller, plane).map(syncRow)),
}

function syncRow({ connection }: ConnectedProxy) {
  const stateOf = (typeUrl: string) => {
    const type = connection.types.find((one) => one.typeUrl === typeUrl)
    if (type === undefined) return 'IGNORED'
    const states = type.resources.map(({ state }) => state)
    if (states.includes('rejected')) return 'ERROR'
    return states.every((state) => state === 'acked') ? 'SYNCED' : 'STALE'
  }
  return {
    cluster_id: connection.node.metadata.CLUSTER_ID ?? '',
    proxy: connection.node.id,
    proxy_type: connection.kind,
    generation: connection.ackedGeneration ?? null,
    cluster_status: stateOf(TYPE_URLS.cluster),
    endpoint_status: stateOf(TYPE_URLS.endpoints),
    listener_status: stateOf(TYPE_URLS.listener),
    route_status: stateOf(TYPE_URLS.route),
  }
}

export const registryz: AdminEndpoint = {
  path: '/debug/registryz',
  method: 'GET',
  access: { action: 'debug.registryz', role: 'viewer', where: 'namespaces' },
  summary: 'services, their instances, and who registered itself',
  answer({ caller }, plane) {
    const sees = viewOf(caller)
    const snapshot = plane.snapshot()
    const seen = [...(snapshot?.services.values() ?? [])].filter((one) => sees(one.namespace))
    const services = seen.map((service) => ({
      ...service,
      instances: snapshot?.instances.get(service.host) ?? [],
    }))
    return jsonAnswer({
      registries: plane.registries(),
      services,
      registrations: plane.registrations().filter(({ workload }) => sees(workload.namespace)),
    })
  },
}

export const configz: AdminEndpoint = {
  path: '/debug/configz',
  method: 'GET',
  access: { action: 'debug.configz', role: 'viewer', where: 'namespaces' },
  summary: 'the routing objects in force',
  answer({ caller }, plane) {
    const sees = viewOf(caller)
    const snapshot = plane.snapshot()
    if (snapshot === undefined) return jsonAnswer([])
    const documents = [
      ...snapshot.virtualServices.map(({ document }) => document),
      ...snapshot.destinationRules,
      ...snapshot.istioGateways,
      ...snapshot.httpRoutes.map(({ document }) => document),
    ]
    return jsonAnswer(
      documents
        .filter(({ metadata }) => sees(metadata.namespace))
        .map(({ kind, apiVersion, metadata, spec, origin }) => ({
          apiVersion,
          kind,
          metadata,
          spec,
          origin,
        })),
    )
  },
}
