/** What a request is counted by: entries that a route's actions read out of it. */

import { type Cidr, cidrContains, parseCidr, parseIp } from '@weft/base'
import {
  type DescriptorEntry,
  type HeaderMatch,
  type HitsAddend,
  LIMIT_UNITS,
  type LimitOverride,
  type LimitUnit,
  type QueryMatch,
  type RateLimitAction,
  type RateLimitActions,
  type RequestView,
} from '@weft/model'
import { TextMatcher } from '../text/text-matcher.ts'

/** The request, and what is known of its connection and its way. */
export interface DescriptorFacts {
  readonly request: RequestView
  readonly remoteHost: string
  /** The peer's SPIFFE id. */
  readonly principal: string | undefined
  readonly sourceCluster: string
  readonly destinationCluster: string
  /** What earlier filters left behind. */
  readonly metadata: FoundMetadata
}

/** Envoy's dynamic metadata, read-only. */
interface FoundMetadata {
  /** A value inside of what the filter of that name left behind; `undefined`: there is none. */
  valueAt(filter: string, path: readonly string[]): unknown
}

export type Descriptor = readonly DescriptorEntry[]

/** A descriptor, and what the request costs of its limit where that is not 1. */
export interface CountedDescriptor {
  readonly entries: Descriptor
  readonly hits?: number
  /** In place of the limit that the service knows. */
  readonly limit?: AskedLimit
}

interface AskedLimit {
  readonly requestsPerUnit: number
  readonly unit: LimitUnit
}

/** One descriptor per list of actions; a list of which one yields nothing has none. */
export function descriptorsOf(
  all: readonly RateLimitActions[],
  facts: DescriptorFacts,
): Descriptor[] {
  const found: Descriptor[] = []
  for (const { actions } of all) {
    const descriptor = descriptorOf(actions, facts)
    if (descriptor !== undefined && descriptor.length > 0) found.push(descriptor)
  }
  return found
}

/** The same, with what the request costs of each where that is not 1. */
export function countedDescriptorsOf(
  all: readonly RateLimitActions[],
  facts: DescriptorFacts,
): CountedDescriptor[] {
  const found: CountedDescriptor[] = []
  for (const { actions, hits, limit } of all) {
    const entries = descriptorOf(actions, facts)
    if (entries === undefined || entries.length === 0) continue
    const cost = hits === undefined ? undefined : costOf(hits, facts)
    const asked = limit === undefined ? undefined : askedLimit(limit, facts)
    found.push({
      entries,
      ...(cost === undefined ? {} : { hits: cost }),
      ...(asked === undefined ? {} : { limit: asked }),
    })
  }
  return found
}

/** What no filter left behind, or left in another form, changes nothing, as in Envoy. */
function askedLimit(limit: LimitOverride, { metadata }: DescriptorFacts): AskedLimit | undefined {
  if (limit.kind === 'fixed') return limit
  const found = metadata.valueAt(limit.filter, limit.path)
  if (typeof found !== 'object' || found === null) return undefined
  const { requests_per_unit: requests, unit } = found as Readonly<Record<string, unknown>>
  const known = LIMIT_UNITS.find((one) => one === unit)
  if (typeof requests !== 'number' || requests < 0 || known === undefined) return undefined
  return { requestsPerUnit: Math.min(Math.floor(requests), MAX_REQUESTS), unit: known }
}

const MAX_REQUESTS = 4_294_967_295
const MAX_HITS = 1_000_000_000

/** `undefined`: nothing that can be read. */
function costOf(hits: HitsAddend, { request, metadata }: DescriptorFacts): number | undefined {
  switch (hits.kind) {
    case 'fixed':
      return hits.hits
    case 'header':
      return wholeNumber(headerOf(request, hits.header))
    case 'metadata':
      return wholeNumber(metadata.valueAt(hits.filter, hits.path))
  }
}

function wholeNumber(value: unknown): number | undefined {
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text !== 'string' || !/^\d{1,10}$/.test(text)) return undefined
  return Math.min(Number(text), MAX_HITS)
}

function descriptorOf(
  actions: readonly RateLimitAction[],
  facts: DescriptorFacts,
): Descriptor | undefined {
  const entries: DescriptorEntry[] = []
  for (const action of actions) {
    const entry = entryOf(action, facts)
    if (entry === undefined) return undefined
    if (entry !== 'skip') entries.push(entry)
  }
  return entries
}

function entryOf(
  action: RateLimitAction,
  facts: DescriptorFacts,
): DescriptorEntry | 'skip' | undefined {
  const { request } = facts
  switch (action.kind) {
    case 'genericKey':
      return { key: action.key, value: action.value }
    case 'header':
      return optional(action, headerOf(request, action.header))
    case 'query':
      return optional(action, queryOf(request.path, action.name))
    case 'remoteAddress':
      return { key: 'remote_address', value: facts.remoteHost }
    case 'maskedRemoteAddress':
      return {
        key: 'masked_remote_address',
        value: masked(facts.remoteHost, action.v4Bits, action.v6Bits),
      }
    case 'remoteAddressMatch': {
      const address = parseIp(facts.remoteHost)
      const isIn =
        address !== undefined && rangesOf(action).some((one) => cidrContains(one, address))
      return isIn === action.invert ? undefined : { key: action.key, value: action.value }
    }
    case 'sourceCluster':
      return { key: 'source_cluster', value: facts.sourceCluster }
    case 'destinationCluster':
      return { key: 'destination_cluster', value: facts.destinationCluster }
    case 'path':
      return { key: 'path', value: request.path }
    case 'method':
      return { key: 'method', value: request.method }
    case 'sourcePrincipal':
      return facts.principal === undefined
        ? undefined
        : { key: 'source_principal', value: facts.principal }
    case 'metadata': {
      const value = facts.metadata.valueAt(action.filter, action.path)
      const text = typeof value === 'string' && value !== '' ? value : action.defaultValue
      return optional(action, text)
    }
    case 'headerValueMatch':
      return action.headers.every((match) => matches(match, request)) === action.expectMatch
        ? { key: action.key, value: action.value }
        : undefined
    case 'queryValueMatch':
      return action.query.every((match) => matchesQuery(match, request)) === action.expectMatch
        ? { key: action.key, value: action.value }
        : undefined
  }
}

type AddressMatch = Extract<RateLimitAction, { readonly kind: 'remoteAddressMatch' }>

const ranges = new WeakMap<AddressMatch, readonly Cidr[]>()

function rangesOf(action: AddressMatch): readonly Cidr[] {
  const known = ranges.get(action)
  if (known !== undefined) return known
  const parsed = action.ranges.flatMap((range) => parseCidr(range) ?? [])
  ranges.set(action, parsed)
  return parsed
}

function optional(
  { key, skipIfAbsent }: { readonly key: string; readonly skipIfAbsent: boolean },
  value: string | undefined,
): DescriptorEntry | 'skip' | undefined {
  if (value !== undefined) return { key, value }
  return skipIfAbsent ? 'skip' : undefined
}

function headerOf(request: RequestView, name: string): string | undefined {
  switch (name) {
    case ':method':
      return request.method
    case ':path':
      return request.path
    case ':scheme':
      return request.scheme
    case ':authority':
    case 'host':
      return request.authority
    default:
      return request.header(name)
  }
}

function queryOf(path: string, name: string): string | undefined {
  const query = path.indexOf('?')
  if (query < 0) return undefined
  return new URLSearchParams(path.slice(query + 1)).get(name) ?? undefined
}

function matches(match: HeaderMatch, request: RequestView): boolean {
  const value = headerOf(request, match.name)
  if (value === undefined) return match.invert
  if (match.value.kind === 'present') return !match.invert
  return matcherOf(match, match.value).matches(value) !== match.invert
}

function matchesQuery(match: QueryMatch, { path }: RequestView): boolean {
  const value = queryOf(path, match.name)
  if (value === undefined || match.value.kind === 'present') return value !== undefined
  return matcherOf(match, match.value).matches(value)
}

const matchers = new WeakMap<HeaderMatch | QueryMatch, TextMatcher>()

function matcherOf(
  match: HeaderMatch | QueryMatch,
  text: ConstructorParameters<typeof TextMatcher>[0],
): TextMatcher {
  const known = matchers.get(match)
  if (known !== undefined) return known
  const matcher = new TextMatcher(text, `rate limit, "${match.name}"`)
  matchers.set(match, matcher)
  return matcher
}

/** `10.1.2.3` with 16 bits is `10.1.0.0/16`. */
function masked(host: string, v4Bits: number, v6Bits: number): string {
  if (!host.includes(':')) {
    const octets = host.split('.').map(Number)
    return `${maskBytes(octets, v4Bits, 8).join('.')}/${v4Bits}`
  }
  const groups = maskBytes(groupsOf(host), v6Bits, 16).map((group) => group.toString(16))
  return `${shortest(groups)}/${v6Bits}`
}

function maskBytes(parts: readonly number[], bits: number, width: number): number[] {
  return parts.map((part, index) => {
    const kept = Math.min(width, Math.max(0, bits - index * width))
    return part & ((0xffff << (width - kept)) & (2 ** width - 1))
  })
}

function groupsOf(host: string): number[] {
  const [head = '', tail] = host.split('%')[0]?.split('::') ?? []
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const gap = tail === undefined ? 0 : 8 - left.length - right.length
  const all = [...left, ...Array<string>(Math.max(0, gap)).fill('0'), ...right]
  return all.map((group) => Number.parseInt(group, 16))
}

/** RFC 5952: the longest run of zeros becomes `::`. */
function shortest(groups: readonly string[]): string {
  const text = groups.join(':')
  const runs = [...text.matchAll(/(?:^|:)(0(?::0)+)(?=:|$)/g)]
  const longest = runs.toSorted((a, b) => (b[1]?.length ?? 0) - (a[1]?.length ?? 0))[0]
  if (longest === undefined) return text
  const before = text.slice(0, longest.index)
  const after = text.slice(longest.index + longest[0].length).replace(/^:/, '')
  return `${before}::${after}`
}
