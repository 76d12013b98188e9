/** What the routes and Gateways of Gateway API refer to: parents, backends, grants, classes. */

import type { DocumentOf } from '../document.ts'
import type { ParentRef } from '../kinds/parent-refs.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

const GATEWAY_GROUP = 'gateway.networking.k8s.io'

export function checkGatewayApi(index: AnalysisIndex, warn: Warn): void {
  const routes = ROUTES.flatMap((type) => index.all(type) as unknown as readonly RouteDocument[])
  for (const document of routes) {
    for (const [position, parent] of (document.spec.parentRefs ?? []).entries()) {
      checkParent(document, parent, itemPath('spec.parentRefs', position), index, warn)
    }
    for (const { ref, path } of backendsOf(document)) {
      checkBackend(document, ref, path, index, warn)
    }
  }
  for (const document of index.all('ListenerSet')) checkSetParent(document, index, warn)
  if (index.all('GatewayClass').length === 0) return
  for (const document of index.all('KubernetesGateway')) {
    const { gatewayClassName } = document.spec
    if (index.find('GatewayClass', '', gatewayClassName) !== undefined) continue
    const message = `there is no GatewayClass "${gatewayClassName}"; create it or correct the name`
    warn(document, 'spec.gatewayClassName', 'missing-class', message)
  }
}

const ROUTES = ['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute'] as const
type RouteDocument = { [T in (typeof ROUTES)[number]]: DocumentOf<T> }[(typeof ROUTES)[number]]

function checkSetParent(
  document: DocumentOf<'ListenerSet'>,
  index: AnalysisIndex,
  warn: Warn,
): void {
  const { group, kind, name, namespace = document.metadata.namespace } = document.spec.parentRef
  if (group !== GATEWAY_GROUP || kind !== 'Gateway') return
  if (index.all('KubernetesGateway').length === 0 && !index.hasServices()) return
  const gateway = index.find('KubernetesGateway', namespace, name)
  if (gateway === undefined) {
    const message = `there is no Gateway ${namespace}/${name}; create it or correct the name`
    warn(document, 'spec.parentRef.name', 'missing-parent', message)
    return
  }
  const from = gateway.spec.allowedListeners?.namespaces.from ?? 'None'
  const isRefused =
    from === 'None' || (from === 'Same' && namespace !== document.metadata.namespace)
  if (!isRefused) return
  const message = `Gateway ${namespace}/${name} allows no ListenerSets of ${document.metadata.namespace}; set its spec.allowedListeners.namespaces.from`
  warn(document, 'spec.parentRef', 'missing-parent', message)
}

function checkParent(
  document: RouteDocument,
  parent: ParentRef,
  path: string,
  index: AnalysisIndex,
  warn: Warn,
): void {
  const namespace = parent.namespace ?? document.metadata.namespace
  if (parent.group === '' && parent.kind === 'Service') {
    const service = index.find('Service', namespace, parent.name)
    if (service !== undefined || !index.hasServices()) return
    const message = `there is no Service ${namespace}/${parent.name}; create it or correct the name`
    warn(document, `${path}.name`, 'missing-parent', message)
    return
  }
  const isSet = parent.kind === 'ListenerSet'
  if (parent.group !== GATEWAY_GROUP || (parent.kind !== 'Gateway' && !isSet)) return
  const type = isSet ? 'ListenerSet' : 'KubernetesGateway'
  if (index.all(type).length === 0 && !index.hasServices()) return
  const gateway = index.find(type, namespace, parent.name)
  if (gateway === undefined) {
    const message = `there is no ${parent.kind} ${namespace}/${parent.name}; create it or correct the name`
    warn(document, `${path}.name`, 'missing-parent', message)
    return
  }
  const { listeners } = gateway.spec
  const { sectionName, port } = parent
  if (sectionName !== undefined && !listeners.some(({ name }) => name === sectionName)) {
    const names = listeners.map(({ name }) => name).join(', ')
    const message = `${parent.kind} ${namespace}/${parent.name} has no listener "${sectionName}"; it has ${names}`
    warn(document, `${path}.sectionName`, 'missing-listener', message)
  }
  if (port !== undefined && !listeners.some((listener) => listener.port === port)) {
    const ports = listeners.map((listener) => listener.port).join(', ')
    const message = `${parent.kind} ${namespace}/${parent.name} has no listener on port ${port}; it has ${ports}`
    warn(document, `${path}.port`, 'missing-listener', message)
  }
}

interface BackendLike {
  readonly group: string
  readonly kind: string
  readonly name: string
  readonly namespace?: string
  readonly port?: number
}

interface RuleLike {
  readonly backendRefs?: readonly BackendLike[]
  readonly filters?: readonly { readonly requestMirror?: { readonly backendRef: BackendLike } }[]
}

function backendsOf({
  spec,
}: RouteDocument): readonly { readonly ref: BackendLike; readonly path: string }[] {
  const rules: readonly RuleLike[] = spec.rules ?? []
  return rules.flatMap((rule, position) => {
    const at = itemPath('spec.rules', position)
    const { backendRefs = [], filters = [] } = rule
    const mirrored = filters.flatMap(({ requestMirror }, index) =>
      requestMirror === undefined
        ? []
        : [
            {
              ref: requestMirror.backendRef,
              path: `${itemPath(`${at}.filters`, index)}.requestMirror.backendRef`,
            },
          ],
    )
    const sent = backendRefs.map((ref, index) => ({
      ref,
      path: itemPath(`${at}.backendRefs`, index),
    }))
    return [...sent, ...mirrored]
  })
}

function checkBackend(
  document: RouteDocument,
  ref: BackendLike,
  path: string,
  index: AnalysisIndex,
  warn: Warn,
): void {
  if (ref.group !== '' || ref.kind !== 'Service') return
  const owner = document.metadata.namespace
  const namespace = ref.namespace ?? owner
  if (namespace !== owner && !isGranted(document.type, owner, namespace, ref.name, index)) {
    const message = `namespace ${namespace} has no ReferenceGrant that lets ${document.type}s of ${owner} use its Service ${ref.name}; ${consequenceFor(document)}`
    warn(document, `${path}.namespace`, 'reference-not-granted', message)
  }
  if (!index.hasServices()) return
  const service = index.find('Service', namespace, ref.name)
  if (service === undefined) {
    const message = `there is no Service ${namespace}/${ref.name}; create it or correct the name`
    warn(document, `${path}.name`, 'missing-backend', message)
    return
  }
  const ports = (service.spec.ports ?? []).map(({ port }) => port)
  if (ref.port === undefined || ports.includes(ref.port)) return
  const message = `Service ${namespace}/${ref.name} has no port ${ref.port}; it has ${ports.join(', ')}`
  warn(document, `${path}.port`, 'missing-port', message)
}

function consequenceFor({ type }: RouteDocument): string {
  if (type === 'HTTPRoute') return 'requests are answered with 500'
  return type === 'GRPCRoute' ? 'calls are answered with UNAVAILABLE' : 'connections are closed'
}

function isGranted(
  kindOfRoute: string,
  from: string,
  to: string,
  service: string,
  index: AnalysisIndex,
): boolean {
  return index
    .all('ReferenceGrant')
    .some(
      ({ metadata, spec }) =>
        metadata.namespace === to &&
        spec.from.some(
          ({ group, kind, namespace }) =>
            group === GATEWAY_GROUP && kind === kindOfRoute && namespace === from,
        ) &&
        spec.to.some(
          ({ group, kind, name }) =>
            group === '' && kind === 'Service' && (name === undefined || name === service),
        ),
    )
}
