/** Which virtual host answers for an authority. */
import type { RouteTable } from '@weft/model'
import type { CompiledVirtualHost } from './compiled.ts'

export interface DomainIndex {
  find(authority: string, scheme: 'http' | 'https'): CompiledVirtualHost | undefined
  /** The same, with the domain that decided. */
  explain(authority: string, scheme: 'http' | 'https'): DomainMatch | undefined
}

export interface DomainMatch {
  readonly virtualHost: CompiledVirtualHost
  /** As written in the configuration. */
  readonly domain: string
}

/** @throws {ConfigError} When two virtual hosts claim the same domain. */
export function buildDomainIndex(
  _table: RouteTable,
  _virtualHosts: readonly CompiledVirtualHost[],
): DomainIndex {
  return { find: () => undefined, explain: () => undefined }
}
