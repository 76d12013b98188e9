/**
 * Finds the first matching route of a long list without walking it. Worth its
 * memory above `INDEX_FROM` routes.
 *
 * Routes are kept in three places: by exact path; by prefix (plain and by
 * segments) in a radix tree; and the rest (regex, ignoring case, CONNECT) as a
 * list. All places that can hold a match for a path are looked at, each only up
 * to the best position so far, so the first match in the user's order wins as it
 * does in the list.
 */
import type { RequestView } from '@weft/model'
import { hasAt } from '../text/has-at.ts'
import type { CompiledRoute } from './compiled.ts'

/** Below this a walk over the list is as fast. */
export const INDEX_FROM = 24

export class RouteIndex {
  readonly #exact = new Map<string, CompiledRoute[]>()
  readonly #tree: RadixNode = new RadixNode('')
  readonly #rest: CompiledRoute[] = []

  constructor(routes: readonly CompiledRoute[]) {
    for (const route of routes) this.#place(route)
  }

  /** @param path Without query; `end` is where it ends in `target`. */
  find(request: RequestView, path: string, target: string, end: number): CompiledRoute | undefined {
    // Looking up an empty map still hashes the path.
    const exact = this.#exact.size > 0 ? this.#exact.get(path) : undefined
    let best = first(exact, undefined, request, path, target, end)
    let node: RadixNode | undefined = this.#tree
    let at = 0
    while (node !== undefined) {
      if (node.routes.length > 0) best = first(node.routes, best, request, path, target, end)
      node = node.next(path, at)
      if (node !== undefined) at += node.edge.length
    }
    return first(this.#rest, best, request, path, target, end)
  }

  #place(route: CompiledRoute): void {
    const match = route.path.source
    if (match.kind === 'connect' || match.kind === 'regex' || match.ignoreCase) {
      this.#rest.push(route)
    } else if (match.kind === 'exact') {
      const routes = this.#exact.get(match.value)
      if (routes === undefined) this.#exact.set(match.value, [route])
      else routes.push(route)
    } else {
      // The segment boundary is checked by the route's own matcher.
      const value = match.kind === 'segments' ? match.value.replace(/\/$/, '') : match.value
      this.#tree.at(value).routes.push(route)
    }
  }
}

/** The first of `routes` before `best` that matches, else `best`. */
function first(
  routes: readonly CompiledRoute[] | undefined,
  best: CompiledRoute | undefined,
  request: RequestView,
  path: string,
  target: string,
  end: number,
): CompiledRoute | undefined {
  if (routes === undefined) return best
  const limit = best === undefined ? Number.POSITIVE_INFINITY : best.position
  for (const route of routes) {
    if (route.position >= limit) return best
    if (routeMatches(route, request, path, target, end)) return route
  }
  return best
}

export function routeMatches(
  route: CompiledRoute,
  request: RequestView,
  path: string,
  target: string,
  end: number,
): boolean {
  if (!route.path.matches(path, request)) return false
  const { fields } = route
  for (let i = 0; i < fields.length; i++) {
    if (fields[i]?.matches(request, target, end) !== true) return false
  }
  return true
}

/** A tree of prefixes in which an edge carries as many characters as have no fork. */
class RadixNode {
  edge: string
  readonly routes: CompiledRoute[]
  #children: Map<number, RadixNode>

  constructor(edge: string, routes: CompiledRoute[] = [], children = new Map<number, RadixNode>()) {
    this.edge = edge
    this.routes = routes
    this.#children = children
  }

  next(path: string, at: number): RadixNode | undefined {
    const child = this.#children.get(path.charCodeAt(at))
    return child !== undefined && hasAt(path, at, child.edge) ? child : undefined
  }

  /** The node for `prefix` below this one, made when it is not there. */
  at(prefix: string): RadixNode {
    if (prefix === '') return this
    const key = prefix.charCodeAt(0)
    const child = this.#children.get(key)
    if (child === undefined) {
      const leaf = new RadixNode(prefix)
      this.#children.set(key, leaf)
      return leaf
    }
    const shared = sharedLength(child.edge, prefix)
    if (shared === child.edge.length) return child.at(prefix.slice(shared))
    const fork = new RadixNode(prefix.slice(0, shared))
    child.edge = child.edge.slice(shared)
    fork.#children.set(child.edge.charCodeAt(0), child)
    this.#children.set(key, fork)
    return fork.at(prefix.slice(shared))
  }
}

function sharedLength(a: string, b: string): number {
  const limit = Math.min(a.length, b.length)
  let i = 0
  while (i < limit && a.charCodeAt(i) === b.charCodeAt(i)) i++
  return i
}
