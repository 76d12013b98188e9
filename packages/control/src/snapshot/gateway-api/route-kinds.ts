/** The kinds of routes, and which of them a listener can carry. */
import type { Document, DocumentOf, KubernetesListener } from '@weft/config'
import { documentsOf } from '@weft/config'
import { GATEWAY_API } from './backend.ts'

export type RouteType = 'HTTPRoute' | 'GRPCRoute' | 'TLSRoute' | 'TCPRoute'
export type RouteDocument = { [T in RouteType]: DocumentOf<T> }[RouteType]

export function routeDocuments(documents: readonly Document[]): readonly RouteDocument[] {
  return [
    ...documentsOf(documents, 'HTTPRoute'),
    ...documentsOf(documents, 'GRPCRoute'),
    ...documentsOf(documents, 'TLSRoute'),
    ...documentsOf(documents, 'TCPRoute'),
  ]
}

/** Empty for a protocol that is not served. */
export function kindsOfProtocol({ protocol, tls }: KubernetesListener): readonly RouteType[] {
  switch (protocol) {
    case 'HTTP':
    case 'HTTPS':
      return ['HTTPRoute', 'GRPCRoute']
    case 'TLS':
      return tls?.mode === 'Passthrough' ? ['TLSRoute'] : ['TLSRoute', 'TCPRoute']
    case 'TCP':
      return ['TCPRoute']
    default:
      return []
  }
}

/** What the protocol can carry and `allowedRoutes.kinds` asks for. */
export function supportedKinds(spec: KubernetesListener): readonly RouteType[] {
  const able = kindsOfProtocol(spec)
  const { kinds = [] } = spec.allowedRoutes
  return kinds.length === 0 ? able : able.filter((type) => kinds.some((one) => isKind(one, type)))
}

/** Kinds that `allowedRoutes.kinds` asks for in vain. */
export function unsupportedKinds(spec: KubernetesListener): readonly string[] {
  const able = kindsOfProtocol(spec)
  return (spec.allowedRoutes.kinds ?? [])
    .filter((one) => !able.some((type) => isKind(one, type)))
    .map(({ group, kind }) => (group === '' ? kind : `${group}/${kind}`))
}

function isKind(one: { readonly group: string; readonly kind: string }, type: RouteType): boolean {
  return one.group === GATEWAY_API && one.kind === type
}
