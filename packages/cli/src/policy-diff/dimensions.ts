/**
 * Everything that calls can differ in as far as policies look at it: for each dimension one value
 * for every combination of matchers that some value can have.
 */
import { cidrContains, type IpOctets, parseCidr, parseIp } from '@weft/base'
import type { Call } from '../simulate/call.ts'
import { type DistinctText, distinctTexts } from './distinct-texts.ts'
import { LazyDfa } from './lazy-dfa.ts'
import { type Matchers, quote } from './matchers.ts'

/** A value of a call; `undefined`: the call has none. */
type Value = string | readonly string[] | undefined

interface ValueClass {
  readonly value: Value
  /** For people, e.g. `/admin*`. */
  readonly label: string
}

export interface Dimension {
  /** `from`, `path`, `header x-tier`, `claim group` … */
  readonly name: string
  readonly classes: readonly ValueClass[]
  /** Which class a value is of; -1: nobody asks that of this dimension. */
  indexOf(value: Value): number
  with(call: Call, value: Value): Call
}

export interface Dimensions {
  readonly all: readonly Dimension[]
  /** Why not everything was tried; empty: it was. */
  readonly gaps: readonly string[]
}

const SEGMENT = '[A-Za-z0-9._\\-]+'
const PLAIN = "[A-Za-z0-9_~!$&'()*+,;=:@\\-]"
const PATH_SEGMENT = `((\\.|\\.\\.)?${PLAIN}(${PLAIN}|\\.)*|\\.\\.\\.(${PLAIN}|\\.)*)`
const LANGUAGES = {
  method: '[A-Z]+',
  host: '[a-z0-9]([a-z0-9.\\-]*[a-z0-9])?(:[0-9]+)?',
  text: '[ -~]+',
  serverName: '[a-z0-9]([a-z0-9.\\-]*[a-z0-9])?',
}

/** @param trustDomains Of the mesh: nobody else gets as far as to a policy. */
export function dimensionsOf(
  matchers: Matchers,
  trustDomains: readonly string[],
  isHttp: boolean,
): Dimensions {
  const gaps = [...matchers.unknown].map((one) => `${one} cannot be tried out`)
  const texts = (
    patterns: Iterable<string>,
    language: string,
    mark?: string,
  ): { readonly list: readonly string[]; readonly texts: readonly DistinctText[] } => {
    const list = [...new Set(patterns)]
    const { texts: found, isComplete } = distinctTexts(list, language, mark)
    if (!isComplete) gaps.push(`${list.length} patterns have too many combinations`)
    return { list, texts: found }
  }
  const domains = trustDomains.map(quote).join('|')
  const principals = texts(matchers.principals, `spiffe://(${domains})/ns/${SEGMENT}/sa/${SEGMENT}`)
  const all: Dimension[] = [
    single('from', principals, 'no identity', (call, principal) =>
      principal === undefined
        ? withoutIdentity(call)
        : { ...call, source: { ...call.source, principal } },
    ),
    addresses('source ip', matchers.sourceIps, matchers.remoteIps, (call, ip) => ({
      ...call,
      sourceIp: ip ?? call.sourceIp,
    })),
  ]
  if (matchers.destinationIps.size > 0) {
    all.push(
      addresses('destination ip', matchers.destinationIps, new Set(), (call, ip) => ({
        ...call,
        destination: { ...call.destination, ...(ip === undefined ? {} : { ip }) },
      })),
    )
  }
  if (matchers.serverNames.size > 0) {
    const names = texts(matchers.serverNames, LANGUAGES.serverName)
    all.push(single('server name', names, 'no server name', withServerName))
  }
  if (isHttp) all.push(...requestDimensions(matchers, texts))
  return { all: all.filter(({ classes }) => classes.length > 1), gaps }
}

type TextsOf = (
  patterns: Iterable<string>,
  language: string,
  mark?: string,
) => { readonly list: readonly string[]; readonly texts: readonly DistinctText[] }

function requestDimensions(matchers: Matchers, texts: TextsOf): readonly Dimension[] {
  const paths = [...matchers.paths]
  const escapes = [...new Set(paths.flatMap((one) => one.match(/%[0-9A-F]{2}/g) ?? []))]
  const part = escapes.length === 0 ? PATH_SEGMENT : `(${PATH_SEGMENT}|${escapes.join('|')})+`
  const headers = [...matchers.headers].map(([name, patterns]) =>
    several(`header ${name}`, texts(patterns, LANGUAGES.text), (call, lines) => ({
      ...call,
      fieldLines: new Map([...call.fieldLines, [name, lines]]),
    })),
  )
  const claims = matchers.tokens
    ? [
        tokens(
          issuer(texts(matchers.claims.get('["iss"]') ?? [], LANGUAGES.text)),
          [...matchers.claims].flatMap(([key, patterns]) =>
            key === '["iss"]' ? [] : [claim(key, texts(patterns, LANGUAGES.text))],
          ),
        ),
      ]
    : []
  const remote =
    matchers.remoteIps.size === 0
      ? []
      : [
          addresses('client ip', matchers.remoteIps, new Set(), (call, ip) =>
            ip === undefined
              ? call
              : { ...call, fieldLines: new Map([...call.fieldLines, ['x-forwarded-for', [ip]]]) },
          ),
        ]
  return [
    single('method', texts(matchers.methods, LANGUAGES.method), undefined, (call, method) => ({
      ...call,
      method: method ?? 'GET',
    })),
    single('path', texts(paths, `/|(/${part})+/?`), undefined, (call, path) => ({
      ...call,
      path: path ?? '/',
    })),
    single('host', texts(matchers.hosts, LANGUAGES.host, ':'), undefined, (call, host) => ({
      ...call,
      host: host ?? call.host,
    })),
    ...remote,
    ...headers,
    ...claims,
  ]
}

function withoutIdentity({ source, ...call }: Call): Call {
  const { principal, namespace, ...rest } = source ?? {}
  void principal
  void namespace
  return Object.keys(rest).length === 0 ? call : { ...call, source: rest }
}

function withServerName(call: Call, sni: string | undefined): Call {
  return sni === undefined ? call : { ...call, sni, written: { ...call.written, sni: true } }
}

interface Texts {
  readonly list: readonly string[]
  readonly texts: readonly DistinctText[]
}

/** One text, or none where `absent` says what that is. */
function single(
  name: string,
  { list, texts }: Texts,
  absent: string | undefined,
  change: (call: Call, text: string | undefined) => Call,
): Dimension {
  const classes: ValueClass[] = [
    ...(absent === undefined ? [] : [{ value: undefined, label: absent }]),
    ...texts.map((one) => ({ value: one.text, label: labelOf(one, texts, list) })),
  ]
  const vectors = new Map(classes.map(({ value }, i) => [vectorOf(name, list, value), i]))
  return {
    name,
    classes,
    indexOf: (value) => vectors.get(vectorOf(name, list, value)) ?? -1,
    with: (call, value) => change(call, typeof value === 'string' ? value : undefined),
  }
}

const MAX_ALONE = 5

/** Several texts: their lines, or the values of a list. Alone, in pairs, and all of a few. */
function several(
  name: string,
  { list, texts }: Texts,
  change: (call: Call, lines: readonly string[]) => Call,
): Dimension {
  const base: ValueClass[] = texts.map((one) => ({
    value: [one.text],
    label: labelOf(one, texts, list),
  }))
  const classes = new Map<string, ValueClass>([['', { value: undefined, label: 'none' }]])
  const add = (members: readonly ValueClass[]) => {
    const value = members.flatMap((one) => one.value ?? [])
    const key = spreadOf(list, value)
    if (!classes.has(key)) {
      classes.set(key, { value, label: members.map(({ label }) => label).join(' and ') })
    }
  }
  for (const one of base) add([one])
  for (const [i, one] of base.entries()) for (const other of base.slice(i + 1)) add([one, other])
  if (base.length <= MAX_ALONE) for (const set of subsets(base)) if (set.length > 2) add(set)
  const keys = [...classes.keys()]
  return {
    name,
    classes: [...classes.values()],
    indexOf: (value) =>
      keys.indexOf(
        value === undefined ? '' : spreadOf(list, typeof value === 'string' ? [value] : value),
      ),
    with: (call, value) => (Array.isArray(value) ? change(call, value) : call),
  }
}

function subsets<T>(list: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: 2 ** list.length }, (_, set) =>
    list.filter((_one, i) => (set >> i) % 2 === 1),
  )
}

/** Which patterns match all of the texts, and which one of them. */
function spreadOf(list: readonly string[], values: readonly string[]): string {
  const vectors = values.map((value) => list.map((pattern) => matches(pattern, value)))
  const all = list.map((_, i) => vectors.every((vector) => vector[i]))
  const any = list.map((_, i) => vectors.some((vector) => vector[i]))
  return `${values.length > 0 ? 'some' : ''} ${all.join()} ${any.join()}`
}

function issuer(issuers: Texts): Dimension {
  return single('token', issuers, 'no token', (call, iss) =>
    iss === undefined ? call : { ...call, claims: { ...call.claims, iss } },
  )
}

function claim(key: string, texts: Texts): Dimension {
  const path = JSON.parse(key) as readonly string[]
  return several(`claim ${path.join('.')}`, texts, (call, values) => ({
    ...call,
    claims: withClaim(call.claims ?? {}, path, values),
  }))
}

/** A token is one thing, and has all of its claims or is not there. */
function tokens(issuers: Dimension, claims: readonly Dimension[]): Dimension {
  const changes: ((call: Call) => Call)[] = []
  const classes: ValueClass[] = []
  const add = (label: string, change: (call: Call) => Call): void => {
    classes.push({ value: classes.length === 0 ? undefined : String(changes.length), label })
    changes.push(change)
  }
  const visit = (label: string, change: (call: Call) => Call, at: number): void => {
    const dimension = claims[at]
    if (dimension === undefined) add(label, change)
    for (const one of dimension?.classes ?? []) {
      const said = one.value === undefined ? '' : `, ${dimension?.name.slice(6)} ${one.label}`
      visit(`${label}${said}`, (call) => dimension?.with(change(call), one.value) ?? call, at + 1)
    }
  }
  for (const { value, label } of issuers.classes) {
    if (value === undefined) add(label, (call) => call)
    else visit(label, (call) => issuers.with(call, value), 0)
  }
  return {
    name: 'token',
    classes,
    indexOf: (value) => (value === undefined ? 0 : -1),
    with: (call, value) => changes[Number(value ?? 0)]?.(call) ?? call,
  }
}

function withClaim(
  claims: Readonly<Record<string, unknown>>,
  [first = '', ...rest]: readonly string[],
  values: readonly string[],
): Readonly<Record<string, unknown>> {
  if (rest.length === 0) {
    return { ...claims, [first]: values.length === 1 ? values[0] : values }
  }
  const inner = claims[first]
  const known = typeof inner === 'object' && inner !== null ? inner : {}
  return { ...claims, [first]: withClaim(known as Record<string, unknown>, rest, values) }
}

const automata = new Map<string, LazyDfa>()

function matches(pattern: string, text: string): boolean {
  const dfa = automata.get(pattern) ?? new LazyDfa(pattern)
  automata.set(pattern, dfa)
  let state = dfa.start
  for (const char of text) state = dfa.step(state, char)
  return dfa.accepts(state)
}

function vectorOf(name: string, list: readonly string[], value: Value): string {
  if (typeof value !== 'string') return 'none'
  const vector = list.map((pattern) => matches(pattern, value)).join()
  const colon = name === 'host' ? value.indexOf(':') : -1
  if (colon === -1) return vector
  return `${vector} ${list.map((pattern) => matches(pattern, value.slice(0, colon))).join()}`
}

/** By what matches; where that is not all of it, also by what does not. */
function labelOf(
  { text, matched }: DistinctText,
  all: readonly DistinctText[],
  list: readonly string[],
): string {
  const positive = list.filter((_, i) => matched[i])
  const exact = positive.find((one) => one.replaceAll(/\\(.)/g, '$1') === text)
  if (exact !== undefined) return text
  const within = all.filter(
    (other) => other.matched !== matched && list.every((_, i) => !matched[i] || other.matched[i]),
  )
  const negative = list.filter((_, i) => !matched[i] && within.some((other) => other.matched[i]))
  if (positive.length === 0) return negative.length === 0 ? 'any' : 'any other'
  const shown = mostSpecific(positive, all, list).map(readable).join(' and ')
  return negative.length === 0 ? shown : `${shown} but not ${negative.map(readable).join(', ')}`
}

/** `/x/public*` says `/x*` as well. */
function mostSpecific(
  patterns: readonly string[],
  all: readonly DistinctText[],
  list: readonly string[],
): readonly string[] {
  const isWithin = (one: string, other: string) =>
    all.every(({ matched }) => !matched[list.indexOf(one)] || matched[list.indexOf(other)])
  return patterns.filter(
    (pattern, i) =>
      !patterns.some(
        (other, j) =>
          other !== pattern && isWithin(other, pattern) && (!isWithin(pattern, other) || j < i),
      ),
  )
}

function readable(pattern: string): string {
  return pattern
    .replaceAll(/\(\.\+\/\)\?|\(\/\.\+\)\?|\(\/\.\*\)\?/g, '')
    .replaceAll(/\[\^\/\][+*]|\.[*+]/g, '*')
    .replaceAll(/\\(.)/g, '$1')
    .replace(/^spiffe:\/\//, '')
}

/** One address of every piece that the ranges cut the address space into. */
function addresses(
  name: string,
  ranges: ReadonlySet<string>,
  others: ReadonlySet<string>,
  change: (call: Call, ip: string | undefined) => Call,
): Dimension {
  const list = [...new Set([...ranges, ...others])]
  const parsed = list.flatMap((text) => parseCidr(text) ?? [])
  const candidates = ['192.0.2.1', '2001:db8::1', ...list.flatMap(edgesOf)]
  const classes = new Map<string, ValueClass>()
  const keyOf = (ip: string) => {
    const octets = parseIp(ip)
    return parsed.map((cidr) => octets !== undefined && cidrContains(cidr, octets)).join()
  }
  for (const ip of candidates) {
    const key = keyOf(ip)
    const inside = list.filter((text) => isIn(text, ip))
    if (classes.has(key)) continue
    classes.set(key, { value: ip, label: inside.length === 0 ? 'any other' : inside.join(' and ') })
  }
  const keys = [...classes.keys()]
  const isClient = name === 'client ip'
  const all = [...classes.values()]
  return {
    name,
    classes: isClient ? [{ value: undefined, label: 'as the peer' }, ...all] : all,
    indexOf: (value) => {
      const at = typeof value === 'string' ? keys.indexOf(keyOf(value)) : -1
      return isClient ? at + 1 : at
    },
    with: (call, value) => change(call, typeof value === 'string' ? value : undefined),
  }
}

function isIn(range: string, ip: string): boolean {
  const cidr = parseCidr(range)
  const octets = parseIp(ip)
  return cidr !== undefined && octets !== undefined && cidrContains(cidr, octets)
}

/** First and last address of a range, and those just outside of it. */
function edgesOf(range: string): readonly string[] {
  const cidr = parseCidr(range)
  if (cidr === undefined) return []
  const { network, bits } = cidr
  const first = toNumber(network)
  const size = 1n << BigInt(network.length * 8 - bits)
  const limit = 1n << BigInt(network.length * 8)
  return [first, first + size - 1n, first + size, first - 1n]
    .filter((one) => one >= 0n && one < limit)
    .map((one) => toText(one, network.length))
}

function toNumber(octets: IpOctets): bigint {
  return octets.reduce((sum, octet) => sum * 256n + BigInt(octet), 0n)
}

function toText(number: bigint, length: number): string {
  const octets = Array.from({ length }, (_, i) =>
    Number((number >> BigInt((length - 1 - i) * 8)) & 255n),
  )
  if (length === 4) return octets.join('.')
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((octets[i * 2] ?? 0) << 8) | (octets[i * 2 + 1] ?? 0)).toString(16),
  )
  return groups.join(':')
}
