/** Kubernetes' label selectors (`metav1.LabelSelector`): all requirements must hold; an empty one selects everything. */

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

function selectsLabels(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key]
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value)
        case 'NotIn':
          return value === undefined || !values.includes(value)
        case 'Exists':
          return value !== undefined
        case 'DoesNotExist':
          return value === undefined
        default:
          return false
      }
    })
  )
}

/** Every namespace carries its own name as a label, whether written down or not. */
export function selectsNamespace(
  selector: LabelSelector | undefined,
  namespace: string,
  labels: ReadonlyMap<string, Readonly<Record<string, string>>>,
): boolean {
  const own = { 'kubernetes.io/metadata.name': namespace, ...labels.get(namespace) }
  return selector !== undefined && selectsLabels(selector, own)
}
