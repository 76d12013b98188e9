/**
 * The ordering rules of an xDS stream, each with its number in the design. They exist to be
 * on; the model test switches them off one by one to show that each is needed.
 */
import { TYPE_URLS } from '../type-urls.ts'

export interface StreamRules {
  /** R7: writing a cluster re-sends its endpoints and secrets, writing a listener its routes. */
  readonly replay: boolean
  /** R8: a cluster is not removed while a route or listener that the client may use names it. */
  readonly park: boolean
  /** R8b: nor on a fresh stream, before it is known what the client's routes name. */
  readonly parkFresh: boolean
  /** R11: a route or listener waits until the clusters that it names were written. */
  readonly clustersFirst: boolean
  /** R12: endpoints are always answered, with none if there are none. */
  readonly answerEndpoints: boolean
  /** R12a: while a cluster's removal waits, its last endpoints stay. */
  readonly keepEndpoints: boolean
  /** R13: a route waits for the answer to the clusters (Envoy only). */
  readonly routeGate: boolean
  /** Not a rule but the classic mistake: endpoints wait for the answer to the clusters. */
  readonly endpointsGate: boolean
}

export const ALL_RULES: StreamRules = {
  replay: true,
  park: true,
  parkFresh: true,
  clustersFirst: true,
  answerEndpoints: true,
  keepEndpoints: true,
  routeGate: true,
  endpointsGate: false,
}

/** How long the rules may hold something back, in milliseconds. */
export const PARK_MS = 10_000
export const FRESH_MS = 5_000
export const ROUTE_GATE_MS = 5_000

/** A response of several resources is cut here; what is left follows after the answer. */
export const MAX_RESPONSE_BYTES = 1_048_576

export const CDS = TYPE_URLS.cluster
export const EDS = TYPE_URLS.endpoints
export const SDS = TYPE_URLS.secret
export const LDS = TYPE_URLS.listener
export const RDS = TYPE_URLS.route
export const VHDS = 'type.googleapis.com/envoy.config.route.v3.VirtualHost'

/** Make before break: what is referred to goes before what refers to it. */
export const SEND_ORDER: readonly string[] = [CDS, EDS, SDS, LDS, RDS, VHDS]

/** In state-of-the-world these come whole: what is absent is deleted (P6). */
export function comesWhole(typeUrl: string): boolean {
  return typeUrl === CDS || typeUrl === LDS
}
