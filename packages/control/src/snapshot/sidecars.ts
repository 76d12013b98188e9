/**
 * Which Sidecar holds for a workload: one of its namespace that selects it, else the
 * namespace's own, else that of the root namespace. The older of two holds.
 */
import type { DocumentOf } from '@weft/config'
import { selects } from '../registries/declared/workload-ref.ts'
import type { Condition } from '../status/object-status.ts'

export type SidecarDocument = DocumentOf<'Sidecar'>

/** @param sidecars In order of precedence. */
export function sidecarOf(
  sidecars: readonly SidecarDocument[],
  workload: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
  rootNamespace: string,
): SidecarDocument | undefined {
  const own = sidecars.filter(({ metadata }) => metadata.namespace === workload.namespace)
  return (
    own.find(({ spec }) => selects(spec.workloadSelector?.labels, workload.labels)) ??
    own.find(isForAll) ??
    sidecars.find((one) => one.metadata.namespace === rootNamespace && isForAll(one))
  )
}

function isForAll({ spec }: SidecarDocument): boolean {
  return Object.keys(spec.workloadSelector?.labels ?? {}).length === 0
}

/** Of several for all workloads of a namespace only the first is ever in force. */
export function sidecarConflicts(
  sidecars: readonly SidecarDocument[],
): ReadonlyMap<SidecarDocument, readonly Condition[]> {
  const conflicts = new Map<SidecarDocument, readonly Condition[]>()
  const first = new Map<string, SidecarDocument>()
  for (const sidecar of sidecars.filter(isForAll)) {
    const { namespace } = sidecar.metadata
    const holder = first.get(namespace)
    if (holder === undefined) {
      first.set(namespace, sidecar)
      continue
    }
    const message = `Sidecar ${namespace}/${holder.metadata.name} holds for all workloads of the namespace; merge them`
    conflicts.set(sidecar, [
      { type: 'Conflicted', status: true, reason: 'OverlappingSidecar', message },
    ])
  }
  return conflicts
}
