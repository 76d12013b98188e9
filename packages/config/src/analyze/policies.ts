/** RateLimits and TrafficPolicies whose target does not exist, or that say the same for one target. */

import type { DocumentOf, DocumentType } from '../document.ts'
import type { PolicyTarget } from '../kinds/policy-target.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

type PolicyType = 'RateLimit' | 'TrafficPolicy'
type Policy = { [T in PolicyType]: DocumentOf<T> }[PolicyType]

export function checkPolicies(index: AnalysisIndex, warn: Warn): void {
  for (const type of ['RateLimit', 'TrafficPolicy'] as const) {
    const byTarget = new Map<string, Policy>()
    const policies = [...(index.all(type) as unknown as readonly Policy[])].sort((a, b) =>
      ageOf(a) === ageOf(b) ? 0 : ageOf(a) < ageOf(b) ? -1 : 1,
    )
    for (const document of policies) {
      for (const [position, target] of document.spec.targetRefs.entries()) {
        const at = itemPath('spec.targetRefs', position)
        checkExists(document, target, at, index, warn)
        const { namespace } = document.metadata
        const key = [namespace, target.group, target.kind, target.name, target.sectionName].join(
          ' ',
        )
        const first = byTarget.get(key)
        if (first === undefined) byTarget.set(key, document)
        else if (isConflict(first, document)) {
          const other = `${first.metadata.namespace}/${first.metadata.name}`
          const message = `${type} ${other} is older and has this target too; it holds where both say something`
          warn(document, at, 'conflicting-policies', message)
        }
      }
    }
  }
}

/** Files have no age: then the order of names decides, last of all. */
function ageOf({ metadata }: Policy): string {
  return `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`
}

/** Two TrafficPolicies with different fields complete each other. */
function isConflict(a: Policy, b: Policy): boolean {
  if (a.type === 'RateLimit') return true
  const fields = (one: Policy) =>
    Object.keys(one.spec).filter((key) => key !== 'targetRefs' && key !== 'selector')
  const others = new Set(fields(b))
  return fields(a).some((key) => others.has(key))
}

function checkExists(
  document: Policy,
  { group, kind, name, sectionName }: PolicyTarget,
  path: string,
  index: AnalysisIndex,
  warn: Warn,
): void {
  const { namespace } = document.metadata
  const types = typesOf(kind, group)
  const found = types.flatMap((type) => index.find(type, namespace, name) ?? [])
  if (found.length === 0) {
    // Services may also register themselves: without any written down, nothing can be said.
    if (kind === 'Service' && !index.hasServices()) return
    const message = `there is no ${kind} "${name}" in namespace ${namespace}; create it or correct the name`
    warn(document, `${path}.name`, 'missing-target', message)
    return
  }
  if (sectionName === undefined) return
  const sections = found.flatMap(sectionsOf)
  if (sections.includes(sectionName)) return
  const known = sections.length === 0 ? 'it has none' : `it has ${sections.join(', ')}`
  const message = `${kind} "${name}" has no section "${sectionName}"; ${known}`
  warn(document, `${path}.sectionName`, 'missing-target', message)
}

const TYPES = ['Service', 'HTTPRoute', 'GRPCRoute', 'VirtualService'] as const
type TargetType = (typeof TYPES)[number] | 'IstioGateway' | 'KubernetesGateway'

function typesOf(kind: PolicyTarget['kind'], group: string | undefined): readonly TargetType[] {
  if (kind !== 'Gateway') return [kind satisfies DocumentType]
  if (group === 'networking.istio.io') return ['IstioGateway']
  if (group === 'gateway.networking.k8s.io') return ['KubernetesGateway']
  return ['KubernetesGateway', 'IstioGateway']
}

function sectionsOf(document: DocumentOf<TargetType>): readonly string[] {
  const names = (list: readonly { readonly name?: string }[] | undefined) =>
    (list ?? []).flatMap(({ name }) => name ?? [])
  const { type, spec } = document as { [T in TargetType]: DocumentOf<T> }[TargetType]
  switch (type) {
    case 'Service':
      return names(spec.ports)
    case 'VirtualService':
      return names(spec.http)
    case 'KubernetesGateway':
      return names(spec.listeners)
    case 'IstioGateway':
      return (spec.servers ?? []).flatMap(({ name, port }) => [name ?? '', port.name])
    case 'HTTPRoute':
    case 'GRPCRoute':
      return names(spec.rules)
  }
}
