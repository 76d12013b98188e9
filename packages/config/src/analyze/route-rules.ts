/**
 * Rules of Gateway API's routes that no request can reach: another rule with the
 * very same match, for the same host and parent, goes before them.
 */

import type { DocumentOf } from '../document.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

const TYPES = ['HTTPRoute', 'GRPCRoute'] as const
type RouteDocument = { [T in (typeof TYPES)[number]]: DocumentOf<T> }[(typeof TYPES)[number]]

interface Place {
  readonly document: RouteDocument
  readonly path: string
}

export function checkRouteRules(index: AnalysisIndex, warn: Warn): void {
  for (const type of TYPES) {
    const seen = new Map<string, Place>()
    const routes = index.all(type) as unknown as readonly RouteDocument[]
    for (const document of routes.toSorted(compareAge)) checkRules(document, seen, warn)
  }
}

function compareAge(a: RouteDocument, b: RouteDocument): number {
  const [first = '', second = ''] = [a, b].map(
    ({ metadata }) => `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`,
  )
  return first < second ? -1 : 1
}

/** A match is lost only when it is taken for every parent and every host that the route has. */
function checkRules(document: RouteDocument, seen: Map<string, Place>, warn: Warn): void {
  const places = placesOf(document)
  for (const { match, path } of matchesOf(document)) {
    const keys = places.map((place) => `${place} ${canonical(match)}`)
    const taken = keys.map((key) => seen.get(key))
    const [first] = taken
    if (first !== undefined && taken.every((one) => one !== undefined)) {
      const { namespace, name } = first.document.metadata
      const whose = first.document === document ? '' : `${document.kind} ${namespace}/${name} `
      const message = `${whose}${first.path} has the same match and goes before it, so that no request comes here; change or remove one`
      warn(document, path, 'unreachable-match', message)
    }
    for (const key of keys) if (!seen.has(key)) seen.set(key, { document, path })
  }
}

/** A rule without matches takes everything. */
function matchesOf({
  spec,
}: RouteDocument): readonly { readonly match: object; readonly path: string }[] {
  return (spec.rules ?? []).flatMap((rule, i) => {
    const at = itemPath('spec.rules', i)
    const matches: readonly object[] = rule.matches ?? []
    if (matches.length === 0) return [{ match: {}, path: at }]
    return matches.map((match, j) => ({ match, path: itemPath(`${at}.matches`, j) }))
  })
}

/** Every parent with every host name. */
function placesOf({ metadata, spec }: RouteDocument): readonly string[] {
  const parents = (spec.parentRefs ?? []).map(
    ({ group, kind, name, namespace = metadata.namespace, sectionName = '', port = 0 }) =>
      // Consumers see routes of their own namespace only.
      [
        group,
        kind,
        namespace,
        name,
        sectionName,
        port,
        group === '' ? metadata.namespace : '',
      ].join('/'),
  )
  const hosts = (spec.hostnames ?? []).length === 0 ? ['*'] : (spec.hostnames ?? [])
  return parents.flatMap((parent) => hosts.map((host) => `${parent} ${host.toLowerCase()}`))
}

/** Equal for matches that ask for the same in another order. */
function canonical(match: object): string {
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) {
      return value.map(sorted).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
    }
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value)
        .map(([key, one]) => [key, sorted(one)] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    )
  }
  return JSON.stringify(sorted(match))
}
