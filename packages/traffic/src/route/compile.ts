/** Turns a route table into the form that requests are held against. */
import type { RouteTable } from '@weft/model'
import type { CompiledRouteTable } from './compiled.ts'
import { buildDomainIndex } from './domains.ts'

/**
 * @throws {ConfigError} Naming virtual host and route: bad regex, duplicate
 * domain, weights that sum to 0, unknown `%…%` substitution.
 */
export function compileRouteTable(table: RouteTable): CompiledRouteTable {
  return { source: table, virtualHosts: [], domains: buildDomainIndex(table, []) }
}
