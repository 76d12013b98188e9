/**
 * One permission or principal, compiled.
 *
 * A header may come several times with different values. Then the reading that refuses wins: to be
 * allowed by a header, all its values must match; to be denied by one, a single value is enough.
 * Under a `not` it is the other way round (R53; CVE-2026-26308 was the joined reading).
 */
import { cidrContains, parseCidr, parseIp, unreachable } from '@weft/base'
import type {
  ClaimPredicate,
  HeaderMatch,
  MetadataPredicate,
  MetadataValue,
  Permission,
  Principal,
  StringMatch,
} from '@weft/model'
import { ConfigError } from '../config-error.ts'
import { asciiLower, TextMatcher } from '../text/text-matcher.ts'
import type { Caller, CallerRequest } from './caller.ts'
import { templatePattern } from './path-template.ts'

export interface Predicate {
  /** For a person, e.g. `method is "GET"`. */
  readonly rule: string
  test(caller: Caller): boolean
  /** What the caller has there, for a person. */
  found(caller: Caller): string
  /** Of `allOf`, `oneOf` and `not`. */
  readonly parts: readonly Predicate[]
}

/** What stands for "several values": all of them must match, or one. */
type Reading = 'all' | 'any'

interface Scope {
  readonly where: string
  readonly reading: Reading
}

/**
 * @param action Of the rules: it says which reading of several values refuses.
 * @throws {ConfigError} Naming `where`.
 */
export function compilePredicate(
  source: Permission | Principal,
  action: 'allow' | 'deny' | 'log',
  where: string,
): Predicate {
  return compile(source, { where, reading: action === 'allow' ? 'all' : 'any' })
}

function compile(source: Permission | Principal, scope: Scope): Predicate {
  switch (source.kind) {
    case 'any':
      return leaf(
        'anybody',
        () => true,
        () => 'anything',
      )
    case 'allOf': {
      const parts = source.of.map((part) => compile(part, scope))
      return group('all of', parts, (caller) => parts.every((part) => part.test(caller)))
    }
    case 'oneOf': {
      const parts = source.of.map((part) => compile(part, scope))
      return group('one of', parts, (caller) => parts.some((part) => part.test(caller)))
    }
    case 'not': {
      const reading = scope.reading === 'all' ? 'any' : 'all'
      const part = compile(source.of, { ...scope, reading })
      return group('not', [part], (caller) => !part.test(caller))
    }
    case 'header':
      return header(source.match, scope)
    case 'path':
      return pathText(`path ${ruleOf(source.value)}`, new TextMatcher(source.value, scope.where))
    case 'pathTemplate': {
      const value = templatePattern(source.template, scope.where)
      const matcher = new TextMatcher({ kind: 'regex', value }, scope.where)
      return pathText(`path is like "${source.template}"`, matcher)
    }
    case 'claim':
      return claim(source, scope)
    case 'metadata':
      return metadata(source, scope)
    case 'destinationIp':
      return range('destination address', source.range, scope, (caller) => caller.destinationIp)
    case 'sourceIp':
      return range('source address', source.range, scope, (caller) => caller.sourceIp)
    case 'remoteIp':
      return range('remote address', source.range, scope, (caller) => caller.remoteIp)
    case 'destinationPort': {
      const { from, to } = source
      return leaf(
        `destination port ${from === to ? `is ${from}` : `is ${from} to ${to}`}`,
        ({ destinationPort }) => destinationPort >= from && destinationPort <= to,
        ({ destinationPort }) => `${destinationPort}`,
      )
    }
    case 'serverName':
      return serverName(source.value, scope)
    case 'authenticated':
      return authenticated(source.name, scope)
    default:
      return unreachable(source)
  }
}

function leaf(
  rule: string,
  test: (caller: Caller) => boolean,
  found: (caller: Caller) => string,
): Predicate {
  return { rule, test, found, parts: [] }
}

function group(
  rule: string,
  parts: readonly Predicate[],
  test: (caller: Caller) => boolean,
): Predicate {
  return { rule, test, found: () => '', parts }
}

/** A predicate on the request; a bare connection never satisfies it. */
function ofRequest(
  rule: string,
  test: (request: CallerRequest) => boolean,
  found: (request: CallerRequest) => string,
): Predicate {
  return leaf(
    rule,
    ({ request }) => request !== undefined && test(request),
    ({ request }) => (request === undefined ? 'a connection without a request' : found(request)),
  )
}

function pathText(rule: string, matcher: TextMatcher): Predicate {
  return ofRequest(
    rule,
    ({ path }) => matcher.matches(withoutQuery(path)),
    ({ path }) => quoted(withoutQuery(path)),
  )
}

function withoutQuery(path: string): string {
  const end = path.search(/[?#]/)
  return end === -1 ? path : path.slice(0, end)
}

function header({ name, value, invert }: HeaderMatch, { where, reading }: Scope): Predicate {
  const lower = name.toLowerCase()
  const read = readerOf(lower)
  const matcher = value.kind === 'present' ? undefined : new TextMatcher(value, where)
  const matches = (text: string) => matcher === undefined || matcher.matches(text)
  // Host names have two spellings, with and without port: either is the name.
  const isEither = lower === ':authority' || lower === 'host' || (reading === 'any') !== invert
  const what = value.kind === 'present' ? 'is there' : ruleOf(value)
  return ofRequest(
    `${titleOf(lower)} ${invert ? 'not: ' : ''}${what}`,
    (request) => {
      const values = read(request)
      if (values.length === 0) return invert
      return (isEither ? values.some(matches) : values.every(matches)) !== invert
    },
    (request) => {
      const values = read(request)
      return values.length === 0 ? 'nothing' : values.map(quoted).join(', ')
    },
  )
}

function readerOf(name: string): (request: CallerRequest) => readonly string[] {
  switch (name) {
    case ':method':
      return ({ method }) => [method]
    case ':scheme':
      return ({ scheme }) => [scheme]
    case ':path':
      return ({ path }) => [path]
    case ':authority':
    case 'host':
      return ({ authority }) => hostForms(authority)
    default:
      return (request) => request.headerValues(name)
  }
}

/** A host in any case, with or without the root's dot and the port, is the same host (R49). */
function hostForms(authority: string): readonly string[] {
  const lower = asciiLower(authority)
  const port = /:\d*$/.exec(lower)?.[0] ?? ''
  const name = lower.slice(0, lower.length - port.length).replace(/\.$/, '')
  return port === '' ? [name] : [`${name}${port}`, name]
}

const TITLES: Readonly<Record<string, string>> = {
  ':method': 'method',
  ':scheme': 'scheme',
  ':path': 'path with query',
  ':authority': 'host',
}

function titleOf(name: string): string {
  return TITLES[name] ?? `header ${name}`
}

function claim({ issuer, path, value }: ClaimPredicate, { where }: Scope): Predicate {
  const matcher = value.kind === 'present' ? undefined : new TextMatcher(value, where)
  const name = path.map((part) => `[${part}]`).join('')
  const read = (request: CallerRequest) =>
    request.tokens
      .filter((token) => issuer === undefined || token.issuer === issuer)
      .flatMap(({ payload }) => textsAt(payload, path))
  return ofRequest(
    `claim ${name} ${value.kind === 'present' ? 'is there' : ruleOf(value)}`,
    (request) => read(request).some((text) => matcher === undefined || matcher.matches(text)),
    (request) => {
      const texts = read(request)
      return texts.length === 0 ? 'nothing' : texts.map(quoted).join(', ')
    },
  )
}

function metadata({ filter, path, value }: MetadataPredicate, { where }: Scope): Predicate {
  const test = valueTest(value, where)
  const name = `${filter}${path.map((part) => `[${part}]`).join('')}`
  const read = (request: CallerRequest) => valueAt(request.metadata?.(filter), path)
  return ofRequest(
    `metadata ${name} ${describeValue(value)}`,
    (request) => test(read(request)),
    (request) => JSON.stringify(read(request)) ?? 'nothing',
  )
}

function valueTest(value: MetadataValue, where: string): (found: unknown) => boolean {
  switch (value.kind) {
    case 'present':
      return (found) => found !== undefined && found !== null
    case 'text': {
      const matcher = new TextMatcher(value.match, where)
      return (found) => typeof found === 'string' && matcher.matches(found)
    }
    case 'listed': {
      const matcher = new TextMatcher(value.match, where)
      return (found) =>
        Array.isArray(found) && found.some((one) => typeof one === 'string' && matcher.matches(one))
    }
    case 'oneOf': {
      const tests = value.of.map((one) => valueTest(one, where))
      return (found) => tests.some((test) => test(found))
    }
    default:
      return unreachable(value)
  }
}

function describeValue(value: MetadataValue): string {
  if (value.kind === 'present') return 'is there'
  if (value.kind === 'oneOf') return value.of.map(describeValue).join(' or ')
  return value.kind === 'text' ? ruleOf(value.match) : `has one that ${ruleOf(value.match)}`
}

/** The texts at a place of a token: one, or those of a list. Other values are no texts. */
function textsAt(payload: unknown, path: readonly string[]): readonly string[] {
  const value = valueAt(payload, path)
  const values = Array.isArray(value) ? value : [value]
  return values.filter((each) => typeof each === 'string')
}

function valueAt(from: unknown, path: readonly string[]): unknown {
  let value = from
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Readonly<Record<string, unknown>>)[part]
  }
  return value
}

function range(
  what: string,
  text: string,
  { where }: Scope,
  read: (caller: Caller) => string,
): Predicate {
  const cidr = parseCidr(text)
  if (cidr === undefined) {
    throw new ConfigError(where, `Cannot use ${what}: must be an address or a range, got "${text}"`)
  }
  return leaf(
    `${what} is in ${text}`,
    (caller) => {
      const address = parseIp(read(caller))
      return address !== undefined && cidrContains(cidr, address)
    },
    (caller) => read(caller) || 'nothing',
  )
}

function serverName(value: StringMatch, { where }: Scope): Predicate {
  const matcher = new TextMatcher(value, where)
  return leaf(
    `server name ${ruleOf(value)}`,
    (caller) => caller.serverName !== undefined && matcher.matches(asciiLower(caller.serverName)),
    (caller) => (caller.serverName === undefined ? 'nothing' : quoted(caller.serverName)),
  )
}

function authenticated(name: StringMatch | undefined, { where }: Scope): Predicate {
  const matcher = name === undefined ? undefined : new TextMatcher(name, where)
  return leaf(
    name === undefined ? 'caller has a certificate' : `principal ${ruleOf(name)}`,
    // Who has no identity is nobody, never the empty name.
    ({ principals }) =>
      principals !== undefined &&
      (matcher === undefined || principals.some((principal) => matcher.matches(principal))),
    ({ principals }) =>
      principals === undefined ? 'no certificate' : principals.map(quoted).join(', '),
  )
}

function ruleOf(match: StringMatch): string {
  const { kind, value } = match
  const relation = {
    exact: 'is',
    prefix: 'begins with',
    suffix: 'ends with',
    contains: 'contains',
    regex: 'is like',
  }[kind]
  return `${relation} "${value}"`
}

function quoted(text: string): string {
  return JSON.stringify(text)
}
