/**
 * A route table in the form that requests are held against. Everything is
 * immutable and shared by all requests; a decision is a pointer into it.
 */
import type {
  ForwardAction,
  HostRewrite,
  RedirectAction,
  RespondAction,
  Route,
  RouteTable,
  VirtualHost,
  WeightedTarget,
} from '@weft/model'
import type { HeaderOp } from '../headers/header-ops.ts'
import type { DomainIndex } from './domains.ts'
import type { FieldMatcher } from './field-matcher.ts'
import type { PathMatcher } from './path-matcher.ts'
import type { RouteIndex } from './route-index.ts'

export interface CompiledRouteTable {
  readonly source: RouteTable
  readonly virtualHosts: readonly CompiledVirtualHost[]
  readonly domains: DomainIndex
}

export interface CompiledVirtualHost {
  readonly source: VirtualHost
  /** In the order of precedence: the first that matches wins. */
  readonly routes: readonly CompiledRoute[]
  /** Present above a few dozen routes, where walking the list costs more than an index. */
  readonly index: RouteIndex | undefined
  /** Answers plain text requests when `requireTls` is `all`. */
  readonly httpsRedirect: MatchedDecision | undefined
  readonly noRoute: NoRouteDecision
}

export interface CompiledRoute {
  readonly source: Route
  readonly virtualHost: CompiledVirtualHost
  /** Position in its virtual host; -1 for routes that no list holds (https redirect). */
  readonly position: number
  readonly path: PathMatcher
  /** Headers and query parameters; all must match. */
  readonly fields: readonly FieldMatcher[]
  readonly action: CompiledAction
  /** For answers the proxy makes by itself (redirect, respond): route's, then virtual host's. */
  readonly responseHeaders: readonly HeaderOp[]
  readonly decision: MatchedDecision
}

export type CompiledAction = CompiledForward | CompiledRedirect | CompiledRespond

export interface CompiledForward {
  readonly kind: 'forward'
  readonly source: ForwardAction
  readonly targets: readonly [CompiledTarget, ...CompiledTarget[]]
  /** Sum of the targets' weights. */
  readonly totalWeight: number
  /** Path with query → path with query; `undefined` leaves it. */
  readonly rewritePath: ((path: string) => string) | undefined
  /** Its retry policy repeats what an upstream may have seen. */
  readonly repeats: boolean
}

export interface CompiledRedirect {
  readonly kind: 'redirect'
  readonly source: RedirectAction
  readonly rewritePath: ((path: string) => string) | undefined
}

export interface CompiledRespond {
  readonly kind: 'respond'
  readonly source: RespondAction
}

/** One destination of a forward action with everything that follows from choosing it. */
export interface CompiledTarget {
  readonly source: WeightedTarget
  readonly cluster: string
  readonly weight: number
  /** Target, then route, then virtual host: Envoy's order. */
  readonly requestHeaders: readonly HeaderOp[]
  readonly responseHeaders: readonly HeaderOp[]
  /** The target's own, else the action's. */
  readonly hostRewrite: HostRewrite | undefined
}

export type RouteDecision = MatchedDecision | NoVirtualHostDecision | NoRouteDecision

export interface MatchedDecision {
  readonly kind: 'matched'
  readonly virtualHost: CompiledVirtualHost
  readonly route: CompiledRoute
}

export interface NoVirtualHostDecision {
  readonly kind: 'noVirtualHost'
}

export interface NoRouteDecision {
  readonly kind: 'noRoute'
  readonly virtualHost: CompiledVirtualHost
}
