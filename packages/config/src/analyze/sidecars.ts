/** Sidecars that hold for the same workloads, and imports that nothing answers to. */

import type { DocumentOf } from '../document.ts'
import { isHostWithin } from '../rules/names.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

type SidecarDocument = DocumentOf<'Sidecar'>

export function checkSidecars(index: AnalysisIndex, warn: Warn): void {
  const earlier: SidecarDocument[] = []
  for (const document of index.all('Sidecar').toSorted(compareAge)) {
    const rival = earlier.find((one) => holdForTheSame(one, document))
    if (rival !== undefined) warnOfRival(document, rival, warn)
    earlier.push(document)
    checkImports(document, index, warn)
  }
}

function compareAge(a: SidecarDocument, b: SidecarDocument): number {
  const [first, second] = [a, b].map(
    ({ metadata }) => `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`,
  )
  return (first ?? '') < (second ?? '') ? -1 : 1
}

function labelsOf({ spec }: SidecarDocument): Readonly<Record<string, string>> {
  return spec.workloadSelector?.labels ?? {}
}

/** Selectors meet unless a label has two values: some workload may carry the labels of both. */
function holdForTheSame(a: SidecarDocument, b: SidecarDocument): boolean {
  if (a.metadata.namespace !== b.metadata.namespace) return false
  const [first, second] = [labelsOf(a), labelsOf(b)]
  const isOfAll = (labels: object) => Object.keys(labels).length === 0
  if (isOfAll(first) !== isOfAll(second)) return false
  return Object.entries(first).every(([key, value]) => (second[key] ?? value) === value)
}

function warnOfRival(document: SidecarDocument, rival: SidecarDocument, warn: Warn): void {
  const other = `${rival.metadata.namespace}/${rival.metadata.name}`
  const isOfAll = Object.keys(labelsOf(document)).length === 0
  const message = isOfAll
    ? `Sidecar ${other} has no workloadSelector either; that one holds: merge them`
    : `Sidecar ${other} may select the same workloads; that one then holds: tell their labels apart`
  const at = isOfAll ? 'spec' : 'spec.workloadSelector.labels'
  warn(document, at, 'conflicting-rules', message, isOfAll ? 'IST0111' : 'IST0110')
}

/** Of services that somebody wrote down; others may register themselves. */
function checkImports(document: SidecarDocument, index: AnalysisIndex, warn: Warn): void {
  if (!index.hasServices()) return
  for (const [i, { hosts }] of (document.spec.egress ?? []).entries()) {
    for (const [j, text] of hosts.entries()) {
      const slash = text.indexOf('/')
      const namespace = text.slice(0, slash)
      const host = text.slice(slash + 1).toLowerCase()
      if (host.startsWith('*') || namespace === '~') continue
      const place = namespace === '.' ? document.metadata.namespace : namespace
      const isKnown = index.services.some(
        (service) =>
          (place === '*' || service.namespace === place) && isHostWithin(host, service.host),
      )
      if (isKnown) continue
      const where = place === '*' ? 'no namespace' : `namespace ${place} has no service that`
      const message = `${where} has the host "${host}"; correct the name or create the service`
      warn(document, itemPath(`spec.egress[${i}].hosts`, j), 'missing-host', message, 'IST0101')
    }
  }
}
