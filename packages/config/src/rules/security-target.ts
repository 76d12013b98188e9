/** What the targets of Istio's security policies must satisfy beyond their schema. */

import type { SecurityTarget, SecurityTargetRef } from '../kinds/security-target.ts'
import { itemPath } from '../text/places.ts'
import { checkSelectorLabels } from './istio-common.ts'
import type { Findings } from './rules.ts'

const GROUPS: Readonly<Record<string, string>> = {
  Service: '',
  ServiceEntry: 'networking.istio.io',
  Gateway: 'gateway.networking.k8s.io',
  GatewayClass: 'gateway.networking.k8s.io',
}

export function checkSecurityTarget(
  { selector, targetRef, targetRefs = [] }: SecurityTarget,
  findings: Findings,
): void {
  if (selector !== undefined) {
    checkSelectorLabels(selector.matchLabels, 'spec.selector.matchLabels', findings)
  }
  if (targetRef !== undefined) checkRef(targetRef, 'spec.targetRef', findings)
  for (const [index, ref] of targetRefs.entries()) {
    checkRef(ref, itemPath('spec.targetRefs', index), findings)
  }
}

function checkRef(
  { group: written = '', kind }: SecurityTargetRef,
  path: string,
  findings: Findings,
): void {
  const group = written === 'core' ? '' : written
  if (!Object.hasOwn(GROUPS, kind)) {
    const message = `must be Service, ServiceEntry, Gateway or GatewayClass, got "${kind}"`
    findings.error(`${path}.kind`, 'not-allowed', message)
  } else if (GROUPS[kind] !== group) {
    const message = `must be "${GROUPS[kind]}" for kind ${kind}, got "${written}"`
    findings.error(`${path}.group`, 'not-allowed', message)
  }
}
