/**
 * What Gateway API says about who may attach to whom, worked out once per
 * snapshot: which listeners are served, and which routes each of them took.
 */
import type { DocumentOf } from '@weft/config'

type ListenerSpec = DocumentOf<'KubernetesGateway'>['spec']['listeners'][number]

/** A listener of a Gateway API gateway that this control plane serves. */
export interface ServedListener {
  readonly gateway: DocumentOf<'KubernetesGateway'>
  readonly index: number
  readonly spec: ListenerSpec
  /** Names of secrets (`kubernetes://…`) to terminate TLS with. */
  readonly certificates: readonly string[]
}

export interface HttpRouteAttachment {
  readonly document: DocumentOf<'HTTPRoute'>
  readonly parents: readonly AcceptedParent[]
}

export type AcceptedParent =
  | {
      readonly kind: 'gateway'
      readonly listener: ServedListener
      /** Intersection of the route's and the listener's host names; `*` for all. */
      readonly hosts: readonly string[]
    }
  /** A mesh route (GAMMA). */
  | {
      readonly kind: 'service'
      /** Fully qualified. */
      readonly host: string
      /** Absent: all ports. */
      readonly port?: number
      /** `producer` routes bind every caller, `consumer` ones the callers of the route's namespace. */
      readonly scope: 'producer' | 'consumer'
    }
