/** PeerAuthentications that hold for nobody, or that an older one for the same workloads hides. */

import type { DocumentOf } from '../document.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'
import { checkTarget } from './security-targets.ts'

type Policy = DocumentOf<'PeerAuthentication'>

export function checkPeerAuthentications(index: AnalysisIndex, warn: Warn): void {
  const older: Policy[] = []
  for (const policy of index.all('PeerAuthentication').toSorted(compareAge)) {
    checkTarget(policy, index, warn)
    const rival = older.find((one) => isForTheSame(one, policy))
    older.push(policy)
    if (rival === undefined) continue
    const message = `PeerAuthentication ${rival.metadata.namespace}/${rival.metadata.name} is for the same workloads and older; that one holds: merge them`
    warn(policy, 'spec', 'conflicting-rules', message, 'IST0111')
  }
}

function compareAge(a: Policy, b: Policy): number {
  const [first, second] = [a, b].map(
    ({ metadata }) => `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`,
  )
  return (first ?? '') < (second ?? '') ? -1 : 1
}

function isForTheSame(a: Policy, b: Policy): boolean {
  const [first, second] = [a, b].map(({ metadata, spec }) =>
    JSON.stringify([
      metadata.namespace,
      Object.entries(spec.selector?.matchLabels ?? {}).toSorted(([x], [y]) => (x < y ? -1 : 1)),
    ]),
  )
  return first === second
}
