/** Rows that several descriptions share. */
import type { ObjectStatus } from '@weft/control'
import type { Route } from '@weft/model'
import type { Destination } from '../access/destination.ts'
import { whereOf } from '../access/destination.ts'
import type { MeshView } from '../access/mesh-view.ts'
import type { Row } from './description.ts'

/** What descriptions are made from. */
export interface Described {
  readonly mesh: MeshView
  /** Of a running mesh: whoever is connected, in the place of what documents say. */
  readonly connected?: readonly Destination[]
  /** What was found wrong, with the object's `kind namespace/name`. */
  readonly problems: readonly { readonly object: string; readonly text: string }[]
  /** What the control plane says of its objects; absent without one. */
  readonly objects?: readonly Pick<ObjectStatus, 'kind' | 'namespace' | 'name' | 'conditions'>[]
}

export function distinct(rows: readonly Row[]): readonly Row[] {
  return [...new Map(rows.map((one) => [JSON.stringify(one), one])).values()]
}

/** @param fallback Where the rule is from when it does not say. */
export function ruleRow(
  { name, match, action, origins, fault }: Route,
  fallback: string | null,
): Row {
  const { path, headers } = match
  const what = path.kind === 'connect' ? 'CONNECT' : `${path.kind} ${path.value}`
  const asks = headers.map((one) => ` ${one.name}`).join('')
  const [origin] = origins
  return {
    route: name || '-',
    match: `${what}${asks === '' ? '' : `, header${asks}`}`,
    does: `${actionText(action)}${fault === undefined ? '' : ', with a fault'}`,
    where: origin === undefined ? fallback : (whereOf(origin) ?? null),
  }
}

function actionText(action: Route['action']): string {
  switch (action.kind) {
    case 'forward':
      return action.targets
        .map(({ cluster, weight }) =>
          action.targets.length === 1 ? cluster : `${weight} ${cluster}`,
        )
        .join(' + ')
    case 'redirect':
      return `redirect ${action.status}`
    case 'respond':
      return `answer ${action.status}`
  }
}

/** What validation said of the objects in these rows. */
export function problemsOf({ problems }: Described, rows: readonly Row[]): readonly string[] {
  const names = new Set(rows.map(({ kind, name }) => `${kind} ${name}`))
  return problems.filter(({ object }) => names.has(object)).map(({ text }) => text)
}
