/**
 * Which virtual host answers for an authority (Envoy `VirtualHost.domains`):
 *
 *     1  exact            api.example.com      api.example.com:8443
 *     2  suffix wildcard  *.example.com        longest first
 *     3  prefix wildcard  api.*                longest first
 *     4  everything       *
 *
 * A wildcard stands for at least one character. Hosts compare without case and
 * without the root's trailing dot. A port is part of the name, with two
 * exceptions: the scheme's own port is the same as none (RFC 9110, section
 * 4.2.3), and a table may say that ports do not matter (`ignorePort`). The
 * authority as sent is tried first in every rank.
 */
import type { RouteTable } from '@weft/model'
import { ConfigError } from '../config-error.ts'
import { asciiLower } from '../text/text-matcher.ts'
import type { CompiledVirtualHost } from './compiled.ts'

/** Authorities that are remembered per table and scheme: clients choose them, so there is a bound. */
const MEMO_ENTRIES = 1_024
const MEMO_AUTHORITY_LENGTH = 256

export interface DomainMatch {
  readonly virtualHost: CompiledVirtualHost
  /** As written in the configuration. */
  readonly domain: string
}

export class DomainIndex {
  readonly #ignorePort: boolean
  readonly #exact = new Map<string, DomainMatch>()
  readonly #suffixes = new WildcardRank('suffix')
  readonly #prefixes = new WildcardRank('prefix')
  #everything: DomainMatch | undefined
  readonly #httpMemo = new Map<string, DomainMatch | null>()
  readonly #httpsMemo = new Map<string, DomainMatch | null>()

  /** @throws {ConfigError} When a domain is there twice or no domain at all. */
  constructor(table: RouteTable, virtualHosts: readonly CompiledVirtualHost[]) {
    this.#ignorePort = table.ignorePort ?? false
    const owners = new Map<string, string>()
    for (const virtualHost of virtualHosts) {
      for (const domain of virtualHost.source.domains) {
        claim(owners, domain, virtualHost.source.name)
        this.#add(domain, virtualHost)
      }
    }
  }

  /** Hot path: one map lookup for an authority that was seen before. */
  find(authority: string, scheme: 'http' | 'https'): DomainMatch | undefined {
    const memo = scheme === 'http' ? this.#httpMemo : this.#httpsMemo
    const known = memo.get(authority)
    if (known !== undefined) return known ?? undefined
    const found = this.#search(authority, scheme)
    if (authority.length <= MEMO_AUTHORITY_LENGTH) {
      if (memo.size >= MEMO_ENTRIES) memo.clear()
      memo.set(authority, found ?? null)
    }
    return found
  }

  #add(domain: string, virtualHost: CompiledVirtualHost): void {
    const match = { virtualHost, domain }
    const name = normalizeHost(domain)
    if (name === '*') this.#everything = match
    else if (name.startsWith('*')) this.#suffixes.add(name.slice(1), match)
    else if (name.endsWith('*')) this.#prefixes.add(name.slice(0, -1), match)
    // `a.com` and `a.com.` may both be written, as Istio does; the first is as good as the second.
    else if (!this.#exact.has(name)) this.#exact.set(name, match)
  }

  #search(authority: string, scheme: 'http' | 'https'): DomainMatch | undefined {
    const host = normalizeHost(authority)
    const bare = this.#withoutPort(host, scheme)
    return (
      this.#exact.get(host) ??
      this.#exact.get(bare) ??
      this.#suffixes.find(host) ??
      this.#suffixes.find(bare) ??
      this.#prefixes.find(host) ??
      this.#prefixes.find(bare) ??
      this.#everything
    )
  }

  #withoutPort(host: string, scheme: 'http' | 'https'): string {
    const colon = portColon(host)
    if (colon < 0) return host
    const isDefault = host.slice(colon) === (scheme === 'http' ? ':80' : ':443')
    return isDefault || this.#ignorePort ? host.slice(0, colon) : host
  }
}

/** Wildcards of one kind: a map per length, longest first, as few lengths are in use. */
class WildcardRank {
  readonly #side: 'suffix' | 'prefix'
  readonly #byLength = new Map<number, Map<string, DomainMatch>>()
  #lengths: readonly number[] = []

  constructor(side: 'suffix' | 'prefix') {
    this.#side = side
  }

  add(text: string, match: DomainMatch): void {
    const ofLength = this.#byLength.get(text.length) ?? new Map<string, DomainMatch>()
    if (!ofLength.has(text)) ofLength.set(text, match)
    this.#byLength.set(text.length, ofLength)
    this.#lengths = [...this.#byLength.keys()].sort((a, b) => b - a)
  }

  find(host: string): DomainMatch | undefined {
    for (const length of this.#lengths) {
      if (length >= host.length) continue
      const part = this.#side === 'suffix' ? host.slice(-length) : host.slice(0, length)
      const match = this.#byLength.get(length)?.get(part)
      if (match !== undefined) return match
    }
    return undefined
  }
}

function claim(owners: Map<string, string>, domain: string, name: string): void {
  const where = `virtual host "${name}"`
  if (domain === '') throw new ConfigError(where, 'Cannot route: need a domain, got ""')
  const key = asciiLower(domain)
  const owner = owners.get(key)
  if (owner !== undefined) {
    throw new ConfigError(
      where,
      `Cannot route: need domains that are unique in the table, got "${domain}" also in "${owner}"`,
    )
  }
  owners.set(key, name)
}

/** Lower case, without the trailing dot of a fully qualified name. */
function normalizeHost(authority: string): string {
  const lower = asciiLower(authority)
  const colon = portColon(lower)
  const end = colon < 0 ? lower.length : colon
  if (end < 2 || lower.charCodeAt(end - 1) !== 0x2e) return lower
  return lower.slice(0, end - 1) + lower.slice(end)
}

/** Where `:port` begins; -1 without one. The colons of a bare or bracketed IPv6 address are none. */
export function portColon(authority: string): number {
  const colon = authority.lastIndexOf(':')
  if (colon < 0) return -1
  const bracket = authority.lastIndexOf(']')
  if (bracket >= 0) return colon > bracket ? colon : -1
  return authority.indexOf(':') === colon ? colon : -1
}
