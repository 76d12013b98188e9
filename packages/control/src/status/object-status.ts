/**
 * What became of one object that somebody wrote: accepted or refused, resolved
 * or not, and by how many proxies it is applied. Plain data, as the admin API
 * and `weft status` show it.
 */
import type { Problem } from '@weft/config'

export interface ObjectStatus {
  readonly kind: string
  readonly apiVersion: string
  readonly namespace: string
  readonly name: string
  readonly file?: string
  readonly line?: number
  readonly conditions: readonly Condition[]
  /** Of Gateway API objects of ours: the `status` as Kubernetes keeps it. */
  readonly status?: Readonly<Record<string, unknown>>
  readonly problems: readonly Problem[]
  /** Absent for objects that no proxy's resources come from. */
  readonly applied?: AppliedSummary
  /** One line for people: `applied by 41 of 42 proxies; web-7 rejected it: …`. */
  readonly summary: string
}

export type ConditionType =
  | 'Accepted'
  | 'ResolvedRefs'
  | 'Programmed'
  | 'Conflicted'
  | 'PartiallyInvalid'
  | 'SupportedVersion'
  | 'InsecureFrontendValidationMode'
  | 'OverlappingTLSConfig'

/** Those whose `true` is bad news. */
export const NEGATIVE_CONDITIONS: ReadonlySet<ConditionType> = new Set([
  'Conflicted',
  'PartiallyInvalid',
  'InsecureFrontendValidationMode',
  'OverlappingTLSConfig',
])

/** As in Kubernetes. `where` names what it is about when that is a part: a listener, a parent. */
export interface Condition {
  readonly type: ConditionType
  readonly status: boolean
  readonly reason: string
  readonly message: string
  readonly where?: string
}

export interface AppliedSummary {
  /** Proxies that have resources made from the object. */
  readonly proxies: number
  readonly acknowledged: number
  /** Of `proxies` those that have accepted everything of the snapshot in force. */
  readonly current: number
  readonly rejected: readonly { readonly proxy: string; readonly message: string }[]
  /** Parts of the object whose port a proxy cannot bind; absent when there are none. */
  readonly unbound?: readonly UnboundPart[]
}

interface UnboundPart {
  /** Path inside the object, e.g. `spec.listeners[0]`. */
  readonly path: string
  readonly proxy: string
  /** What the proxy says, e.g. `cannot bind '0.0.0.0:80': Address already in use`. */
  readonly message: string
}
