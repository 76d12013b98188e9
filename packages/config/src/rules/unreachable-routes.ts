/** Routes of one VirtualService that no request can reach because an earlier one takes it. */

import type { HttpMatch, StringMatch } from '../kinds/virtual-service.ts'
import { itemPath } from '../text/places.ts'
import type { Findings } from './rules.ts'

interface RouteLike {
  readonly match?: readonly object[]
}

interface Seen {
  readonly match: object
  readonly path: string
}

/** @param path Of the list, e.g. `spec.http`. */
export function findUnreachable(
  path: string,
  routes: readonly RouteLike[],
  findings: Findings,
): void {
  let catchAll: string | undefined
  const seen = new Map<string, string>()
  const earlier: Seen[] = []
  for (const [index, { match = [] }] of routes.entries()) {
    const at = itemPath(path, index)
    if (catchAll !== undefined) {
      const message = `is never reached: ${catchAll} before it has no match and takes everything; move that to the end`
      findings.warning(at, 'unreachable-route', message, 'IST0130')
      continue
    }
    if (match.length === 0) catchAll = at
    const dead = match.filter((one, matchIndex) => {
      const matchAt = itemPath(`${at}.match`, matchIndex)
      const covering = coveringMatch(one, seen, earlier)
      if (covering !== undefined) {
        const message = `is never reached: ${covering} before it takes the same requests; remove it or move it up`
        findings.warning(matchAt, 'unreachable-match', message, 'IST0131')
      }
      seen.set(identityOf(one), seen.get(identityOf(one)) ?? matchAt)
      earlier.push({ match: one, path: matchAt })
      return covering !== undefined
    })
    if (match.length > 0 && dead.length === match.length) {
      const message = 'is never reached: earlier routes take all its matches'
      findings.warning(at, 'unreachable-route', message, 'IST0130')
    }
  }
}

function coveringMatch(
  match: object,
  seen: ReadonlyMap<string, string>,
  earlier: readonly Seen[],
): string | undefined {
  return seen.get(identityOf(match)) ?? earlier.find((one) => covers(one.match, match))?.path
}

function identityOf(match: object): string {
  const { name: _name, statPrefix: _statPrefix, ...conditions } = match as HttpMatch
  return JSON.stringify(sorted(conditions))
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.map(([key, item]) => [key, sorted(item)])
}

/**
 * Whether `wide`, which asks for a path by prefix, takes every request that
 * `narrow` takes: its prefix begins the other's path, and each further condition
 * of `wide` is one of `narrow` too, word for word.
 */
function covers(wide: HttpMatch, narrow: HttpMatch): boolean {
  const { uri: wideUri, name: _a, statPrefix: _b, ignoreUriCase, ...conditions } = wide
  const { prefix } = wideUri ?? {}
  const path = pathStart(narrow.uri)
  if (prefix === undefined || path === undefined) return false
  if (narrow.ignoreUriCase === true && ignoreUriCase !== true) return false
  const fits = ignoreUriCase
    ? path.toLowerCase().startsWith(prefix.toLowerCase())
    : path.startsWith(prefix)
  if (!fits) return false
  return Object.entries(conditions).every(([key, condition]) =>
    asksFor(narrow[key as keyof HttpMatch], condition),
  )
}

function pathStart(uri: StringMatch | undefined): string | undefined {
  return uri?.exact ?? uri?.prefix
}

/** Maps are conjunctions: the narrow one must have at least the wide one's entries. */
function asksFor(narrow: unknown, wide: unknown): boolean {
  if (isMapOfConditions(wide) && isMapOfConditions(narrow)) {
    return Object.entries(wide).every(
      ([key, condition]) =>
        JSON.stringify(sorted(narrow[key])) === JSON.stringify(sorted(condition)),
    )
  }
  return JSON.stringify(sorted(narrow)) === JSON.stringify(sorted(wide))
}

function isMapOfConditions(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
