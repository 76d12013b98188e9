/** BackendTLSPolicy and XBackendTrafficPolicy: targets and CAs that are not there, and rivals for one target. */

import type { DocumentOf } from '../document.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

type Policy = DocumentOf<'BackendTLSPolicy'> | DocumentOf<'XBackendTrafficPolicy'>

export function checkBackendPolicies(index: AnalysisIndex, warn: Warn): void {
  for (const type of ['BackendTLSPolicy', 'XBackendTrafficPolicy'] as const) {
    const owners = new Map<string, Policy>()
    const policies = index.all(type) as unknown as readonly Policy[]
    for (const policy of policies.toSorted(compareAge)) checkTargets(policy, owners, index, warn)
  }
  for (const policy of index.all('BackendTLSPolicy')) checkAuthorities(policy, index, warn)
}

/** Files have no age: then the order of names decides. */
function compareAge(a: Policy, b: Policy): number {
  const [first = '', second = ''] = [a, b].map(
    ({ metadata }) => `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`,
  )
  return first < second ? -1 : 1
}

function checkTargets(
  policy: Policy,
  owners: Map<string, Policy>,
  index: AnalysisIndex,
  warn: Warn,
): void {
  const { namespace } = policy.metadata
  for (const [position, target] of policy.spec.targetRefs.entries()) {
    const at = itemPath('spec.targetRefs', position)
    if (target.group !== '' || target.kind !== 'Service') {
      const message = `targets of kind ${target.kind} are not supported; name a Service`
      warn(policy, `${at}.kind`, 'missing-target', message)
      continue
    }
    const section = sectionOf(policy, position)
    const key = `${namespace}/${target.name}/${section}`
    const owner = owners.get(key)
    if (owner === undefined) owners.set(key, policy)
    else {
      const message = `${policy.kind} ${owner.metadata.namespace}/${owner.metadata.name} goes before it for Service ${target.name}; merge them`
      warn(policy, at, 'conflicting-policies', message)
    }
    if (!index.hasServices()) continue
    const service = index.find('Service', namespace, target.name)
    if (service === undefined) {
      const message = `there is no Service "${target.name}" in namespace ${namespace}; create it or correct the name`
      warn(policy, `${at}.name`, 'missing-target', message)
      continue
    }
    const names = (service.spec.ports ?? []).flatMap(({ name }) =>
      name === undefined ? [] : [name],
    )
    if (section === '' || names.includes(section)) continue
    const known = names.length === 0 ? 'its ports have no names' : `it has ${names.join(', ')}`
    const message = `Service "${target.name}" has no port named "${section}"; ${known}`
    warn(policy, `${at}.sectionName`, 'missing-port', message)
  }
}

/** Only one of the two kinds may mean a single port. */
function sectionOf(policy: Policy, position: number): string {
  if (policy.type !== 'BackendTLSPolicy') return ''
  return policy.spec.targetRefs[position]?.sectionName ?? ''
}

function checkAuthorities(
  policy: DocumentOf<'BackendTLSPolicy'>,
  index: AnalysisIndex,
  warn: Warn,
): void {
  const { namespace } = policy.metadata
  for (const [position, ref] of (policy.spec.validation.caCertificateRefs ?? []).entries()) {
    const at = `${itemPath('spec.validation.caCertificateRefs', position)}.name`
    if (ref.group !== '' || (ref.kind !== 'ConfigMap' && ref.kind !== 'Secret')) continue
    if (index.all(ref.kind).length === 0) continue
    const found = dataOf(index, ref.kind, namespace, ref.name)
    const what = `${ref.kind} ${namespace}/${ref.name}`
    if (found === undefined) {
      const message = `there is no ${what}; connections fail until it is created`
      warn(policy, at, 'missing-secret', message)
      continue
    }
    if (Object.hasOwn(found, 'ca.crt')) continue
    warn(policy, at, 'missing-secret', `${what} has no key ca.crt; put the CA there`)
  }
}

function dataOf(
  index: AnalysisIndex,
  kind: 'ConfigMap' | 'Secret',
  namespace: string,
  name: string,
): Readonly<Record<string, string>> | undefined {
  if (kind === 'ConfigMap') return index.find(kind, namespace, name)?.spec.data
  const secret = index.find(kind, namespace, name)
  return secret === undefined ? undefined : { ...secret.spec.data, ...secret.spec.stringData }
}
