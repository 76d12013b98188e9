/** What a PeerAuthentication must satisfy beyond its schema: the rules of Istio's CRD and admission. */

import type { PeerAuthentication } from '../kinds/peer-authentication.ts'
import { childPath } from '../text/places.ts'
import { checkSelectorLabels } from './istio-common.ts'
import type { Findings, RuledObject } from './rules.ts'

export function checkPeerAuthentication({ spec: raw }: RuledObject, findings: Findings): void {
  const { selector, portLevelMtls } = raw as PeerAuthentication
  if (selector !== undefined) {
    checkSelectorLabels(selector.matchLabels, 'spec.selector.matchLabels', findings)
  }
  if (portLevelMtls === undefined) return
  const ports = Object.keys(portLevelMtls)
  if (ports.length === 0) {
    const message = 'must have at least one port; remove it or add one'
    findings.error('spec.portLevelMtls', 'missing-field', message)
  }
  for (const port of ports) {
    if (/^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535) continue
    const message = `must be a port between 1 and 65535, got "${port}"`
    findings.error(childPath('spec.portLevelMtls', port), 'out-of-range', message)
  }
}
