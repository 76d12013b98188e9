/**
 * Why a request went where it went: filled by `matchRoute` on demand, shown by
 * `weft simulate` and `weft why`.
 */
import type { Origin } from '@weft/model'

export interface RouteTrace {
  /** As sent. */
  authority: string
  virtualHost:
    | { readonly name: string; readonly domain: string; readonly origins: readonly Origin[] }
    | undefined
  /** Every route of the virtual host, in order. */
  readonly candidates: CandidateTrace[]
  /** Name of the route that would have been next, had the winner not matched. */
  runnerUp: string | undefined
}

export interface CandidateTrace {
  readonly route: string
  readonly position: number
  /** `shadowed`: would match, but an earlier one did. */
  readonly outcome: 'matched' | 'failed' | 'shadowed'
  /** The predicates as far as they were looked at; the last one decided. */
  readonly predicates: readonly PredicateTrace[]
  readonly origins: readonly Origin[]
}

export interface PredicateTrace {
  /** For a person, e.g. `header end-user is "jason"`. */
  readonly rule: string
  /** What the request had, e.g. `absent`, `"/reviews/1"`. */
  readonly found: string
  readonly matched: boolean
}

export function createRouteTrace(): RouteTrace {
  return { authority: '', virtualHost: undefined, candidates: [], runnerUp: undefined }
}

/** One line per fact, in the order in which they were decided. */
export function renderRouteTrace(_trace: RouteTrace): readonly string[] {
  return []
}
