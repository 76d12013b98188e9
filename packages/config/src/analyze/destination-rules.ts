/** DestinationRules whose host does not exist, or that define the same for one host. */

import type { DocumentOf } from '../document.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

export function checkDestinationRules(index: AnalysisIndex, warn: Warn): void {
  const byHost = new Map<string, DocumentOf<'DestinationRule'>>()
  for (const document of index.all('DestinationRule')) {
    const { namespace } = document.metadata
    const host = index.resolveHost(document.spec.host, namespace)
    checkHost(document, host, index, warn)
    if (document.spec.workloadSelector !== undefined) continue
    const key = `${namespace} ${host}`
    const first = byHost.get(key)
    if (first === undefined) byHost.set(key, document)
    else checkMerge(document, first, host, warn)
  }
  checkTcpAddresses(index, warn)
}

function checkHost(
  document: DocumentOf<'DestinationRule'>,
  host: string,
  index: AnalysisIndex,
  warn: Warn,
): void {
  if (!index.hasServices()) return
  const isKnown = host.startsWith('*')
    ? index.services.some((service) => service.host.endsWith(host.slice(1)))
    : index.servicesOf(host).length > 0
  if (isKnown) return
  const message = `no Service or ServiceEntry has the host "${host}"; create it or correct the name`
  warn(document, 'spec.host', 'missing-host', message, 'IST0101')
}

function checkMerge(
  document: DocumentOf<'DestinationRule'>,
  first: DocumentOf<'DestinationRule'>,
  host: string,
  warn: Warn,
): void {
  const other = `${first.metadata.namespace}/${first.metadata.name}`
  if (document.spec.trafficPolicy !== undefined && first.spec.trafficPolicy !== undefined) {
    const message = `DestinationRule ${other} has a trafficPolicy for "${host}" too; only one of them holds: merge them`
    warn(document, 'spec.trafficPolicy', 'conflicting-rules', message)
  }
  const names = new Set((first.spec.subsets ?? []).map(({ name }) => name))
  for (const [position, { name }] of (document.spec.subsets ?? []).entries()) {
    if (!names.has(name)) continue
    const at = `${itemPath('spec.subsets', position)}.name`
    const message = `DestinationRule ${other} defines subset "${name}" of "${host}" too; rename or merge them`
    warn(document, at, 'conflicting-rules', message)
  }
}

/** Plain TCP names no host: without an address its connections cannot be told from others on the port. */
function checkTcpAddresses(index: AnalysisIndex, warn: Warn): void {
  for (const document of index.all('ServiceEntry')) {
    const { addresses = [], ports = [] } = document.spec
    if (addresses.length > 0) continue
    for (const [position, { protocol = '' }] of ports.entries()) {
      if (protocol !== '' && protocol.toUpperCase() !== 'TCP') continue
      const message =
        'a port of plain TCP, or of no protocol, needs spec.addresses to tell its connections from others'
      const at = itemPath('spec.ports', position)
      warn(document, at, 'addresses-required', message, 'IST0134')
      break
    }
  }
}
