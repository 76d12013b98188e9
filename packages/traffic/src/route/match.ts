/** Host, path, headers, query → route. */
import type { RequestView } from '@weft/model'
import type { CompiledRouteTable, RouteDecision } from './compiled.ts'
import type { RouteTrace } from './trace.ts'

const NO_VIRTUAL_HOST: RouteDecision = { kind: 'noVirtualHost' }

/**
 * Hot path: allocates nothing; the decision was made when the table was compiled.
 *
 * @param trace Collects why each candidate did or did not match.
 */
export function matchRoute(
  _table: CompiledRouteTable,
  _request: RequestView,
  _trace?: RouteTrace,
): RouteDecision {
  return NO_VIRTUAL_HOST
}
