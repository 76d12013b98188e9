/** How a workload is called in metrics: name, canonical app and version, from its labels. */
import type { WorkloadRef } from '@weft/model'

type Labels = Readonly<Record<string, string>>

export function workloadRef(
  name: string,
  namespace: string,
  labels: Labels,
  cluster: string,
): WorkloadRef {
  return {
    name,
    namespace,
    app:
      labels['service.istio.io/canonical-name'] ??
      labels['app.kubernetes.io/name'] ??
      labels.app ??
      name,
    version:
      labels['service.istio.io/canonical-revision'] ??
      labels['app.kubernetes.io/version'] ??
      labels.version ??
      'latest',
    cluster,
  }
}

/**
 * The name of what made a pod: Deployments and StatefulSets name their pods
 * after themselves, and the labels say which part of the name is theirs.
 */
export function workloadNameOfPod(podName: string, labels: Labels): string {
  const hash = labels['pod-template-hash']
  if (hash !== undefined) {
    const at = podName.lastIndexOf(`-${hash}-`)
    if (at > 0) return podName.slice(0, at)
  }
  if (labels['statefulset.kubernetes.io/pod-name'] === podName) {
    return podName.replace(/-\d+$/, '')
  }
  return podName
}

/** Every label of `selector` is there with its value. An empty selector selects nothing. */
export function selects(selector: Labels | undefined, labels: Labels): boolean {
  if (selector === undefined) return false
  const wanted = Object.entries(selector)
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value)
}
