/** Names, labels and annotations of every object, as Kubernetes' API server wants them. */

import type { ObjectMeta } from '../document.ts'
import { childPath } from '../text/places.ts'
import { checkLabels } from './istio-common.ts'
import { isKubernetesLabel, isKubernetesSubdomain, labelKeyProblem } from './names.ts'
import type { Findings } from './rules.ts'

const MAX_ANNOTATION_CHARS = 256 * 1024

export function checkMetadata(
  metadata: ObjectMeta,
  isNamespaced: boolean,
  findings: Findings,
): void {
  const { name, namespace, labels, annotations } = metadata
  if (name === '') {
    findings.error('metadata.name', 'missing-field', 'is required but missing')
  } else if (!isKubernetesSubdomain(name)) {
    const message = `must be lower-case letters, digits, "-" and ".", at most 253, got "${name}"`
    findings.error('metadata.name', 'bad-name', message)
  }
  if (isNamespaced && !isKubernetesLabel(namespace)) {
    const message = `must be the name of a namespace, got "${namespace}"`
    findings.error('metadata.namespace', 'bad-name', message)
  }
  checkLabels(labels, 'metadata.labels', findings)
  let chars = 0
  for (const [key, value] of Object.entries(annotations)) {
    const problem = labelKeyProblem(key.toLowerCase())
    if (problem !== undefined) {
      findings.error(childPath('metadata.annotations', key), 'bad-label', problem)
    }
    chars += key.length + value.length
  }
  if (chars > MAX_ANNOTATION_CHARS) {
    const message = `must hold at most ${MAX_ANNOTATION_CHARS} characters together, got ${chars}`
    findings.error('metadata.annotations', 'out-of-range', message)
  }
}
