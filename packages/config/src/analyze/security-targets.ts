/** Security policies whose selector matches no workload, or that name what does not exist. */

import type { Document } from '../document.ts'
import type { SecurityTarget, SecurityTargetRef } from '../kinds/security-target.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

export function checkTarget(
  document: Document & { readonly spec: SecurityTarget },
  index: AnalysisIndex,
  warn: Warn,
): void {
  const { selector, targetRef, targetRefs = [] } = document.spec
  if (selector !== undefined) checkSelector(document, selector.matchLabels ?? {}, index, warn)
  if (targetRef !== undefined) checkRef(document, targetRef, 'spec.targetRef', index, warn)
  for (const [position, ref] of targetRefs.entries()) {
    checkRef(document, ref, itemPath('spec.targetRefs', position), index, warn)
  }
}

type Labels = Readonly<Record<string, string>>

/** Workloads may also register themselves: without any written down, nothing can be said. */
function checkSelector(document: Document, labels: Labels, index: AnalysisIndex, warn: Warn): void {
  const workloads = [
    ...index.all('Pod').map(({ metadata }) => metadata),
    ...index.all('WorkloadEntry').map(({ metadata, spec }) => ({
      namespace: metadata.namespace,
      labels: { ...metadata.labels, ...spec.labels },
    })),
  ]
  if (workloads.length === 0) return
  const { namespace } = document.metadata
  const isMeshWide = namespace === index.rootNamespace
  const isSelected = (own: Labels) =>
    Object.entries(labels).every(([key, value]) => own[key] === value)
  const isFound = workloads.some(
    (one) => (isMeshWide || one.namespace === namespace) && isSelected(one.labels),
  )
  if (isFound) return
  const text = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ')
  const place = isMeshWide ? 'the mesh' : `namespace ${namespace}`
  const message = `no workload of ${place} has the labels ${text}, so the policy holds for none; correct the selector`
  warn(document, 'spec.selector', 'no-workload', message, 'IST0127')
}

function checkRef(
  document: Document,
  { kind, name }: SecurityTargetRef,
  path: string,
  index: AnalysisIndex,
  warn: Warn,
): void {
  const { namespace } = document.metadata
  const isFound = () => {
    switch (kind) {
      case 'Service':
      case 'ServiceEntry':
        return !index.hasServices() || index.find(kind, namespace, name) !== undefined
      case 'Gateway':
        return index.find('KubernetesGateway', namespace, name) !== undefined
      case 'GatewayClass':
        return index.find('GatewayClass', '', name) !== undefined
      default:
        return true
    }
  }
  if (isFound()) return
  const place = kind === 'GatewayClass' ? '' : ` in namespace ${namespace}`
  const message = `there is no ${kind} "${name}"${place}; create it or correct the name`
  warn(document, `${path}.name`, 'missing-target', message, 'IST0101')
}
