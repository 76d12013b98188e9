/**
 * Fields and conditions of an AuthorizationPolicy → predicates, value by value. Texts may be exact,
 * `prefix*`, `*suffix` or `*`; the last means "there is one".
 */
import type { AuthorizationOperation, AuthorizationSource } from '@weft/config'
import type { ClaimPredicate, MetadataValue, Permission, Principal, StringMatch } from '@weft/model'
import { aliasedPrincipal, aliasedTrustDomain } from './trust-domains.ts'

/** Where a policy is translated for. */
export interface AuthorizationContext {
  readonly action: 'allow' | 'deny' | 'log'
  /** There are connections only, and no requests. */
  readonly forTcp: boolean
  /** Of the policy. */
  readonly namespace: string
  /** The mesh's own first, then its aliases. */
  readonly trustDomains: readonly string[]
  /** By which the port is known that all connections come in on; absent: it is looked at. */
  readonly ports?: readonly number[]
}

/** Of a field, one of `values` and none of `notValues` must match. */
export interface FieldTest<T> {
  readonly values: readonly string[]
  readonly notValues: readonly string[]
  /** A connection alone cannot answer. */
  readonly isHttpOnly?: true
  predicate(value: string): T
}

const SPIFFE = 'spiffe://'

export function sourceTests(
  source: AuthorizationSource,
  context: AuthorizationContext,
): readonly FieldTest<Principal>[] {
  return [
    {
      ...both(source.principals, source.notPrincipals),
      predicate: (value) => principal(value, context),
    },
    {
      ...both(source.requestPrincipals, source.notRequestPrincipals),
      isHttpOnly: true,
      predicate: requestPrincipal,
    },
    {
      ...both(source.serviceAccounts, source.notServiceAccounts),
      predicate: (value) => serviceAccount(value, context.namespace),
    },
    { ...both(source.namespaces, source.notNamespaces), predicate: sourceNamespace },
    {
      ...both(source.trustDomains, source.notTrustDomains),
      predicate: (value) => trustDomain(value, context),
    },
    {
      ...both(source.remoteIpBlocks, source.notRemoteIpBlocks),
      predicate: (range) => ({ kind: 'remoteIp', range }),
    },
    {
      ...both(source.ipBlocks, source.notIpBlocks),
      predicate: (range) => ({ kind: 'sourceIp', range }),
    },
  ]
}

export function operationTests(
  operation: AuthorizationOperation,
  context: AuthorizationContext,
): readonly FieldTest<Permission>[] {
  return [
    { ...both(operation.hosts, operation.notHosts), isHttpOnly: true, predicate: host },
    {
      ...both(operation.methods, operation.notMethods),
      isHttpOnly: true,
      predicate: (value) => header(':method', value),
    },
    { ...both(operation.paths, operation.notPaths), isHttpOnly: true, predicate: path },
    {
      ...both(operation.ports, operation.notPorts),
      predicate: (value) => destinationPort(value, context),
    },
  ]
}

/** `when`: some attributes belong to what is called, the others to who calls. */
export type ConditionTest =
  | { readonly side: 'permission'; readonly test: FieldTest<Permission> }
  | { readonly side: 'principal'; readonly test: FieldTest<Principal> }

interface Condition {
  readonly key: string
  readonly values?: readonly string[]
  readonly notValues?: readonly string[]
}

/** @throws {Error} For a key that is not known; admission refuses it. */
export function conditionTest(
  { key, values, notValues }: Condition,
  context: AuthorizationContext,
): ConditionTest {
  const lists = both(values, notValues)
  const permission = (predicate: FieldTest<Permission>['predicate']): ConditionTest => ({
    side: 'permission',
    test: { ...lists, predicate },
  })
  const principals = (predicate: FieldTest<Principal>['predicate']): ConditionTest => ({
    side: 'principal',
    test: { ...lists, predicate },
  })
  const ofRequest = (predicate: FieldTest<Principal>['predicate']): ConditionTest => ({
    side: 'principal',
    test: { ...lists, isHttpOnly: true, predicate },
  })
  switch (key) {
    case 'destination.ip':
      return permission((range) => ({ kind: 'destinationIp', range }))
    case 'destination.port':
      return permission((value) => destinationPort(value, context))
    case 'connection.sni':
      return permission((value) => ({ kind: 'serverName', value: textMatch(value) }))
    case 'source.ip':
      return principals((range) => ({ kind: 'sourceIp', range }))
    case 'remote.ip':
      return principals((range) => ({ kind: 'remoteIp', range }))
    case 'source.namespace':
      return principals(sourceNamespace)
    case 'source.principal':
      return principals((value) => principal(value, context))
    case 'source.serviceAccount':
      return principals((value) => serviceAccount(value, context.namespace))
    case 'request.auth.principal':
      return ofRequest(requestPrincipal)
    case 'request.auth.audiences':
      return ofRequest((value) => claim(['aud'], value))
    case 'request.auth.presenter':
      return ofRequest((value) => claim(['azp'], value))
  }
  const names = [...key.matchAll(/\[([^[\]]+)\]/g)].map((match) => match[1] ?? '')
  const [name = ''] = names
  if (key.startsWith('request.headers[')) return ofRequest((value) => header(name, value))
  if (key.startsWith('request.auth.claims[')) return ofRequest((value) => claim(names, value))
  if (key.startsWith('experimental.envoy.filters.')) {
    const filter = key.slice('experimental.'.length, key.indexOf('['))
    return permission((value) => ({ kind: 'metadata', filter, path: [name], value: listed(value) }))
  }
  throw new Error(`Cannot translate condition: "${key}" is not known`)
}

function both(
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
): { readonly values: readonly string[]; readonly notValues: readonly string[] } {
  return { values: values ?? [], notValues: notValues ?? [] }
}

function textMatch(value: string, ignoreCase = false): StringMatch {
  if (value === '*') return { kind: 'regex', value: '.+' }
  if (value.startsWith('*')) return { kind: 'suffix', value: value.slice(1), ignoreCase }
  if (value.endsWith('*')) return { kind: 'prefix', value: value.slice(0, -1), ignoreCase }
  return { kind: 'exact', value, ignoreCase }
}

function header(name: string, value: string, ignoreCase = false) {
  const wanted = value === '*' ? ({ kind: 'present' } as const) : textMatch(value, ignoreCase)
  return {
    kind: 'header',
    match: { name: name.toLowerCase(), value: wanted, invert: false },
  } as const
}

/** Names of hosts have no case (RFC 9110, section 4.2.3). */
function host(value: string): Permission {
  return header(':authority', value, true)
}

function path(value: string): Permission {
  return value.includes('{*}') || value.includes('{**}')
    ? { kind: 'pathTemplate', template: value }
    : { kind: 'path', value: textMatch(value) }
}

const NEVER = { kind: 'not', of: { kind: 'any' } } as const

function destinationPort(value: string, { ports }: AuthorizationContext): Permission {
  const port = Number(value)
  if (ports === undefined) return { kind: 'destinationPort', from: port, to: port }
  return ports.includes(port) ? { kind: 'any' } : NEVER
}

/** `*` is anybody whose certificate names a workload. */
function principal(value: string, { trustDomains }: AuthorizationContext): Principal {
  const names = aliasedPrincipal(value, trustDomains).map((one): Principal => {
    if (one === '*') return named({ kind: 'regex', value: '.+' })
    if (one.startsWith('*')) {
      return named({ kind: 'regex', value: `${SPIFFE}.*${quote(one.slice(1))}` })
    }
    const match = textMatch(one)
    return named({ ...match, value: `${SPIFFE}${match.value}` })
  })
  const [first = NEVER, ...more] = names
  return more.length === 0 ? first : { kind: 'oneOf', of: names }
}

function named(name: StringMatch): Principal {
  return { kind: 'authenticated', name }
}

/** A star may stand anywhere; it does not reach beyond the namespace's name. */
function sourceNamespace(value: string): Principal {
  return named({ kind: 'regex', value: `${SPIFFE}[^/]+/ns/${glob(value)}/.*` })
}

function serviceAccount(value: string, own: string): Principal {
  const slash = value.indexOf('/')
  const namespace = slash === -1 ? own : value.slice(0, slash)
  const account = value.slice(slash + 1)
  return named({
    kind: 'regex',
    value: `${SPIFFE}[^/]+/ns/${quote(namespace)}/(.+/)?sa/${quote(account)}(/.+)?`,
  })
}

function trustDomain(value: string, { trustDomains }: AuthorizationContext): Principal {
  const [first = value, ...more] = aliasedTrustDomain(value, trustDomains).map(glob)
  const domain = more.length === 0 ? first : `(${[first, ...more].join('|')})`
  return named({ kind: 'regex', value: `${SPIFFE}${domain}(/.*)?` })
}

/** `<issuer>/<subject>`; issuers may have slashes of their own. */
function requestPrincipal(value: string): Principal {
  const slash = value.lastIndexOf('/')
  const [issuer, subject] =
    slash === -1 ? [value, ''] : [value.slice(0, slash), value.slice(slash + 1)]
  if (value === '*') return issuedBy('*', '*')
  if (value.startsWith('*')) {
    return slash === -1 ? issuedBy('*', value) : issuedBy(issuer, literal(subject))
  }
  if (value.endsWith('*')) {
    return slash === -1 ? issuedBy(value, '*') : issuedBy(literal(issuer), subject)
  }
  return issuedBy(literal(issuer), literal(subject))
}

type Written = string | { readonly literal: string }

function literal(text: string): Written {
  return { literal: text }
}

function writtenMatch(written: Written): StringMatch {
  return typeof written === 'string'
    ? textMatch(written)
    : { kind: 'exact', value: written.literal, ignoreCase: false }
}

function issuedBy(issuer: Written, subject: Written): Principal {
  const iss = writtenMatch(issuer)
  const sub: ClaimPredicate = { kind: 'claim', path: ['sub'], value: writtenMatch(subject) }
  return iss.kind === 'exact'
    ? { ...sub, issuer: iss.value }
    : { kind: 'allOf', of: [{ kind: 'claim', path: ['iss'], value: iss }, sub] }
}

function claim(names: readonly string[], value: string): ClaimPredicate {
  return { kind: 'claim', path: names, value: textMatch(value) }
}

/** `[v]`: one of a list is `v`. */
function listed(value: string): MetadataValue {
  return value.startsWith('[') && value.endsWith(']')
    ? { kind: 'listed', match: textMatch(value.slice(1, -1)) }
    : { kind: 'text', match: textMatch(value) }
}

function glob(value: string): string {
  return value.split('*').map(quote).join('[^/]*')
}

/** RE2's special characters as themselves. */
function quote(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, '\\$&')
}
