/** What the guards of filter chains look at, dimension by dimension, as patterns for whole texts. */
import type {
  FilterChain,
  HttpFilterConfig,
  Permission,
  Principal,
  RbacRules,
  StringMatch,
} from '@weft/model'
import { templatePattern } from '@weft/traffic'

export interface Matchers {
  readonly principals: Set<string>
  readonly methods: Set<string>
  readonly hosts: Set<string>
  readonly paths: Set<string>
  readonly serverNames: Set<string>
  /** Patterns by lower-case name; a header that only has to be there has none. */
  readonly headers: Map<string, Set<string>>
  /** By path inside the payload, as JSON. */
  readonly claims: Map<string, Set<string>>
  /** CIDR texts. */
  readonly sourceIps: Set<string>
  readonly remoteIps: Set<string>
  readonly destinationIps: Set<string>
  /** Tokens are looked at. */
  tokens: boolean
  /** What cannot be tried out. */
  readonly unknown: Set<string>
}

export function matchersOf(chains: readonly FilterChain[]): Matchers {
  const matchers: Matchers = {
    principals: new Set(),
    methods: new Set(),
    hosts: new Set(),
    paths: new Set(),
    serverNames: new Set(),
    headers: new Map(),
    claims: new Map(),
    sourceIps: new Set(),
    remoteIps: new Set(),
    destinationIps: new Set(),
    tokens: false,
    unknown: new Set(),
  }
  for (const { filter, rbac = [] } of chains) {
    for (const { rules } of rbac) collectRules(matchers, rules)
    if (filter.kind !== 'http') continue
    for (const one of filter.filters) collectFilter(matchers, one)
  }
  return matchers
}

function collectFilter(matchers: Matchers, filter: HttpFilterConfig): void {
  if (filter.kind === 'rbac') {
    collectRules(matchers, filter.rules)
    // Shadow rules say when a provider is asked.
    collectRules(matchers, filter.shadowRules)
  } else if (filter.kind === 'jwtAuthn') {
    matchers.tokens = true
    for (const { issuer, audiences } of filter.authentication.providers) {
      add(matchers.claims, '["iss"]', issuer === '' ? [] : [quote(issuer)])
      if (audiences.length > 0) add(matchers.claims, '["aud"]', audiences.map(quote))
    }
  }
}

function collectRules(matchers: Matchers, rules: RbacRules | undefined): void {
  for (const { permissions, principals } of rules?.policies ?? []) {
    for (const one of [...permissions, ...principals]) collect(matchers, one)
  }
}

function collect(matchers: Matchers, one: Permission | Principal): void {
  switch (one.kind) {
    case 'any':
    case 'destinationPort':
      return
    case 'allOf':
    case 'oneOf':
      for (const part of one.of) collect(matchers, part)
      return
    case 'not':
      collect(matchers, one.of)
      return
    case 'authenticated':
      if (one.name !== undefined) matchers.principals.add(patternOf(one.name))
      return
    case 'serverName':
      matchers.serverNames.add(patternOf(lowered(one.value)))
      return
    case 'path':
      matchers.paths.add(patternOf(one.value))
      return
    case 'pathTemplate':
      matchers.paths.add(templatePattern(one.template, 'policy diff'))
      return
    case 'sourceIp':
      matchers.sourceIps.add(one.range)
      return
    case 'remoteIp':
      matchers.remoteIps.add(one.range)
      return
    case 'destinationIp':
      matchers.destinationIps.add(one.range)
      return
    case 'header':
      collectHeader(matchers, one.match.name.toLowerCase(), one.match.value)
      return
    case 'claim':
      collectClaim(matchers, one)
      return
    case 'metadata':
      matchers.unknown.add(`metadata ${one.filter}`)
  }
}

type Wanted = StringMatch | { readonly kind: 'present' }

function collectHeader(matchers: Matchers, name: string, value: Wanted): void {
  const patterns = value.kind === 'present' ? [] : [value]
  if (name === ':method') for (const one of patterns) matchers.methods.add(patternOf(one))
  else if (name === ':authority' || name === 'host') {
    for (const one of patterns) matchers.hosts.add(patternOf(lowered(one)))
  } else add(matchers.headers, name, patterns.map(patternOf))
}

function collectClaim(
  matchers: Matchers,
  { issuer, path, value }: Extract<Permission, { kind: 'claim' }>,
): void {
  if (issuer !== undefined) add(matchers.claims, '["iss"]', [quote(issuer)])
  add(matchers.claims, JSON.stringify(path), value.kind === 'present' ? [] : [patternOf(value)])
}

function add(map: Map<string, Set<string>>, name: string, patterns: readonly string[]): void {
  map.set(name, new Set([...(map.get(name) ?? []), ...patterns]))
}

function lowered(match: StringMatch): StringMatch {
  return { ...match, value: match.kind === 'regex' ? match.value : match.value.toLowerCase() }
}

function patternOf(match: StringMatch): string {
  switch (match.kind) {
    case 'exact':
      return quote(match.value)
    case 'prefix':
      return `${quote(match.value)}.*`
    case 'suffix':
      return `.*${quote(match.value)}`
    case 'contains':
      return `.*${quote(match.value)}.*`
    case 'regex':
      return match.value
  }
}

/** Special characters as themselves. */
export function quote(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, '\\$&')
}
