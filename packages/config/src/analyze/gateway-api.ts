/** What HTTPRoutes and Gateways of Gateway API refer to: parents, backends, grants, classes. */

import type { DocumentOf } from '../document.ts'
import type { ParentRef } from '../kinds/parent-refs.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

const GATEWAY_GROUP = 'gateway.networking.k8s.io'

export function checkGatewayApi(index: AnalysisIndex, warn: Warn): void {
  for (const document of index.all('HTTPRoute')) {
    for (const [position, parent] of (document.spec.parentRefs ?? []).entries()) {
      checkParent(document, parent, itemPath('spec.parentRefs', position), index, warn)
    }
    for (const { ref, path } of backendsOf(document)) {
      checkBackend(document, ref, path, index, warn)
    }
  }
  if (index.all('GatewayClass').length === 0) return
  for (const document of index.all('KubernetesGateway')) {
    const { gatewayClassName } = document.spec
    if (index.find('GatewayClass', '', gatewayClassName) !== undefined) continue
    const message = `there is no GatewayClass "${gatewayClassName}"; create it or correct the name`
    warn(document, 'spec.gatewayClassName', 'missing-class', message)
  }
}

function checkParent(
  document: DocumentOf<'HTTPRoute'>,
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
  if (parent.group !== GATEWAY_GROUP || parent.kind !== 'Gateway') return
  const gateways = index.all('KubernetesGateway')
  if (gateways.length === 0 && !index.hasServices()) return
  const gateway = index.find('KubernetesGateway', namespace, parent.name)
  if (gateway === undefined) {
    const message = `there is no Gateway ${namespace}/${parent.name}; create it or correct the name`
    warn(document, `${path}.name`, 'missing-parent', message)
    return
  }
  const { listeners } = gateway.spec
  const { sectionName, port } = parent
  if (sectionName !== undefined && !listeners.some(({ name }) => name === sectionName)) {
    const names = listeners.map(({ name }) => name).join(', ')
    const message = `Gateway ${namespace}/${parent.name} has no listener "${sectionName}"; it has ${names}`
    warn(document, `${path}.sectionName`, 'missing-listener', message)
  }
  if (port !== undefined && !listeners.some((listener) => listener.port === port)) {
    const ports = listeners.map((listener) => listener.port).join(', ')
    const message = `Gateway ${namespace}/${parent.name} has no listener on port ${port}; it has ${ports}`
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

function backendsOf({
  spec,
}: DocumentOf<'HTTPRoute'>): readonly { readonly ref: BackendLike; readonly path: string }[] {
  return spec.rules.flatMap((rule, position) => {
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
  document: DocumentOf<'HTTPRoute'>,
  ref: BackendLike,
  path: string,
  index: AnalysisIndex,
  warn: Warn,
): void {
  if (ref.group !== '' || ref.kind !== 'Service') return
  const owner = document.metadata.namespace
  const namespace = ref.namespace ?? owner
  if (namespace !== owner && !isGranted(owner, namespace, ref.name, index)) {
    const message = `namespace ${namespace} has no ReferenceGrant that lets HTTPRoutes of ${owner} use its Service ${ref.name}; requests are answered with 500`
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

function isGranted(from: string, to: string, service: string, index: AnalysisIndex): boolean {
  return index
    .all('ReferenceGrant')
    .some(
      ({ metadata, spec }) =>
        metadata.namespace === to &&
        spec.from.some(
          ({ group, kind, namespace }) =>
            group === GATEWAY_GROUP && kind === 'HTTPRoute' && namespace === from,
        ) &&
        spec.to.some(
          ({ group, kind, name }) =>
            group === '' && kind === 'Service' && (name === undefined || name === service),
        ),
    )
}
