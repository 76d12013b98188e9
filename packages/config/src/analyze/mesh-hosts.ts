/** Several VirtualServices for one host of the mesh: which rules hold depends on their order. */

import type { DocumentOf } from '../document.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

export function checkMeshHosts(index: AnalysisIndex, warn: Warn): void {
  const seen = new Map<string, DocumentOf<'VirtualService'>[]>()
  for (const document of index.all('VirtualService')) {
    const { gateways = [], hosts = [] } = document.spec
    const { namespace } = document.metadata
    const bindings = gateways.length === 0 ? ['mesh'] : gateways
    for (const [position, host] of hosts.entries()) {
      for (const binding of bindings) {
        const scope = binding === 'mesh' ? binding : qualified(binding, namespace)
        const key = `${scope} ${index.resolveHost(host, namespace)}`
        const earlier = (seen.get(key) ?? []).find(
          (one) => !isSame(one, document) && overlap(one, document),
        )
        seen.set(key, [...(seen.get(key) ?? []), document])
        // Gateways merge the routes of several VirtualServices, so that only the mesh warns.
        if (earlier === undefined || binding !== 'mesh') continue
        const { namespace: otherNamespace, name: otherName } = earlier.metadata
        const message = `VirtualService ${otherNamespace}/${otherName} has rules for "${host}" too; the one whose namespace/name sorts first holds, not ${later(earlier, document)}; merge them`
        warn(document, itemPath('spec.hosts', position), 'conflicting-hosts', message, 'IST0109')
      }
    }
  }
}

function qualified(gateway: string, namespace: string): string {
  return gateway.includes('/') ? gateway : `${namespace}/${gateway}`
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
