/** Istio Gateways that open one port for one host twice, or name certificates that do not exist. */

import type { DocumentOf } from '../document.ts'
import type { GatewayServer } from '../kinds/gateway.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

interface PlacedServer {
  readonly document: DocumentOf<'IstioGateway'>
  readonly path: string
}

export function checkIstioGateways(index: AnalysisIndex, warn: Warn): void {
  const seen = new Map<string, PlacedServer>()
  for (const document of index.all('IstioGateway')) {
    for (const [position, server] of (document.spec.servers ?? []).entries()) {
      const path = itemPath('spec.servers', position)
      checkConflict({ document, path }, server, seen, warn)
      checkCredential(document, server, path, index, warn)
    }
  }
}

function checkConflict(
  placed: PlacedServer,
  server: GatewayServer,
  seen: Map<string, PlacedServer>,
  warn: Warn,
): void {
  const { document, path } = placed
  const selector = JSON.stringify(Object.entries(document.spec.selector ?? {}).sort())
  for (const [position, host] of server.hosts.entries()) {
    const key = [selector, server.bind ?? '', server.port.number, host].join(' ')
    const first = seen.get(key)
    if (first === undefined) {
      seen.set(key, placed)
      continue
    }
    const { namespace, name } = first.document.metadata
    const message = `Gateway ${namespace}/${name} ${first.path} opens port ${server.port.number} for "${host}" on the same proxies already; merge them`
    warn(document, itemPath(`${path}.hosts`, position), 'conflicting-gateways', message, 'IST0145')
  }
}

function checkCredential(
  document: DocumentOf<'IstioGateway'>,
  server: GatewayServer,
  path: string,
  index: AnalysisIndex,
  warn: Warn,
): void {
  const { credentialName = '' } = server.tls ?? {}
  if (credentialName === '' || index.all('Secret').length === 0) return
  const isThere = index.all('Secret').some(({ metadata }) => metadata.name === credentialName)
  if (isThere) return
  const message = `there is no Secret "${credentialName}"; create it or correct the name`
  warn(document, `${path}.tls.credentialName`, 'missing-secret', message, 'IST0101')
}
