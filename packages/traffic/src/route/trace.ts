/**
 * Why a request went where it went: filled by `matchRoute` on demand, shown by
 * `weft simulate` and `weft why`.
 */
import { type Origin, renderOrigin } from '@weft/model'

/** Mutable: `matchRoute` fills it. One trace serves one request. */
export interface RouteTrace {
  /** As sent. */
  authority: string
  path: string
  /** Absent: no domain of the table matches. */
  virtualHost:
    | { readonly name: string; readonly domain: string; readonly origins: readonly Origin[] }
    | undefined
  /** The virtual host wants TLS and the request came without. */
  redirectsToHttps: boolean
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
  return {
    authority: '',
    path: '',
    virtualHost: undefined,
    redirectsToHttps: false,
    candidates: [],
    runnerUp: undefined,
  }
}

/**
 * One line per fact, in the order in which they were decided. Routes after the
 * winner are left out but for the runner-up.
 */
export function renderRouteTrace(trace: RouteTrace): readonly string[] {
  if (trace.virtualHost === undefined) {
    return [`host "${trace.authority}": no virtual host has a domain for it`]
  }
  const { name, domain, origins } = trace.virtualHost
  const lines = [
    `host "${trace.authority}": virtual host "${name}" by domain "${domain}"${from(origins)}`,
  ]
  if (trace.redirectsToHttps) lines.push(`virtual host "${name}" wants TLS: redirect to https`)
  let decided = false
  for (const candidate of trace.candidates) {
    if (!decided || candidate.outcome === 'shadowed') lines.push(renderCandidate(candidate))
    if (candidate.outcome === 'shadowed') break
    decided ||= candidate.outcome === 'matched'
  }
  if (!trace.redirectsToHttps && trace.candidates.every(({ outcome }) => outcome === 'failed')) {
    lines.push(`no route of virtual host "${name}" matches`)
  }
  return lines
}

function renderCandidate(candidate: CandidateTrace): string {
  const { route, outcome, predicates, origins } = candidate
  if (outcome === 'failed') {
    const last = predicates.at(-1)
    return `route "${route}" does not match: ${last?.rule}, found ${last?.found}${from(origins)}`
  }
  const why = predicates.map(({ rule }) => rule).join(', ')
  const verb = outcome === 'matched' ? 'matches' : 'would be next'
  return `route "${route}" ${verb}: ${why}${from(origins)}`
}

function from(origins: readonly Origin[]): string {
  return origins.length === 0 ? '' : `, from ${origins.map(renderOrigin).join(' and ')}`
}
