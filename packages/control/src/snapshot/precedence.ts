/**
 * Which of two objects comes first when both claim the same: the older one, then
 * the one first by `namespace/name`. Objects from files have no age, so the
 * order in which they were written never matters.
 */
interface HasMetadata {
  readonly metadata: {
    readonly namespace: string
    readonly name: string
    readonly creationTimestamp?: string
  }
}

export function compareObjects(a: HasMetadata, b: HasMetadata): number {
  const ageA = a.metadata.creationTimestamp ?? ''
  const ageB = b.metadata.creationTimestamp ?? ''
  if (ageA !== ageB) return ageA < ageB ? -1 : 1
  return compareText(nameOf(a), nameOf(b))
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function nameOf({ metadata }: HasMetadata): string {
  return `${metadata.namespace}/${metadata.name}`
}
