/** Several VirtualServices for one host of the mesh: which rules hold depends on their order. */

import type { DocumentOf } from '../document.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

export function checkMeshHosts(index: AnalysisIndex, warn: Warn): void {
  const seen = new Map<string, DocumentOf<'VirtualService'>[]>()
  for (const document of index.all('VirtualService')) {
    const { gateways = [], hosts = [] } = document.spec
    // Gateways merge the routes of several VirtualServices, so that only the mesh warns.
    if (gateways.length > 0 && !gateways.includes('mesh')) continue
    for (const [position, host] of hosts.entries()) {
      const resolved = index.resolveHost(host, document.metadata.namespace)
      const others = seen.get(resolved) ?? []
      const earlier = others.find((one) => !isSame(one, document) && overlap(one, document))
      others.push(document)
      seen.set(resolved, others)
      if (earlier === undefined) continue
      const { namespace, name } = earlier.metadata
      const message = `VirtualService ${namespace}/${name} has rules for "${host}" too; the one whose namespace/name sorts first holds, not ${later(earlier, document)}; merge them`
      warn(document, itemPath('spec.hosts', position), 'conflicting-hosts', message, 'IST0109')
    }
  }
}

/** The same object twice is for `duplicates.ts` to say. */
function isSame(a: DocumentOf<'VirtualService'>, b: DocumentOf<'VirtualService'>): boolean {
  return a.metadata.namespace === b.metadata.namespace && a.metadata.name === b.metadata.name
}

/** Objects that are visible in different namespaces only never meet. */
function overlap(a: DocumentOf<'VirtualService'>, b: DocumentOf<'VirtualService'>): boolean {
  const of = ({ spec, metadata }: DocumentOf<'VirtualService'>) =>
    spec.exportTo === undefined || spec.exportTo.length === 0
      ? ['*']
      : spec.exportTo.map((entry) => (entry === '.' ? metadata.namespace : entry))
  const first = of(a)
  const second = of(b)
  return first.includes('*') || second.includes('*') || first.some((one) => second.includes(one))
}

function later(a: DocumentOf<'VirtualService'>, b: DocumentOf<'VirtualService'>): string {
  const names = [a, b].map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
  return names.toSorted()[1] ?? ''
}
