/**
 * What AuthorizationPolicies mean, by enumeration: no compiler, no matcher of ours, only texts and
 * addresses. Tests hold the mesh to it.
 */

export interface Source {
  readonly principals?: readonly string[]
  readonly notPrincipals?: readonly string[]
  readonly namespaces?: readonly string[]
  readonly notNamespaces?: readonly string[]
  readonly serviceAccounts?: readonly string[]
  readonly trustDomains?: readonly string[]
  readonly ipBlocks?: readonly string[]
  readonly remoteIpBlocks?: readonly string[]
  readonly notRemoteIpBlocks?: readonly string[]
}

export interface Operation {
  readonly hosts?: readonly string[]
  readonly methods?: readonly string[]
  readonly notMethods?: readonly string[]
  readonly paths?: readonly string[]
  readonly notPaths?: readonly string[]
}

export interface Rule {
  readonly from?: readonly { readonly source: Source }[]
  readonly to?: readonly { readonly operation: Operation }[]
  readonly when?: readonly {
    readonly key: string
    readonly values?: readonly string[]
    readonly notValues?: readonly string[]
  }[]
}

export interface Policy {
  readonly action: 'ALLOW' | 'DENY'
  readonly rules?: readonly Rule[]
}

export interface Call {
  /** Absent: plaintext, or no certificate. */
  readonly identity?: {
    readonly domain: string
    readonly namespace: string
    readonly account: string
  }
  readonly method: string
  readonly host: string
  readonly path: string
  /** Each with its lines. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  readonly sourceIp: string
  readonly remoteIp: string
}

/** Of the policy's own namespace where a service account names none. */
const NAMESPACE = 'default'

export function isAllowed(policies: readonly Policy[], call: Call): boolean {
  const matching = (action: Policy['action']) =>
    policies
      .filter((policy) => policy.action === action)
      .some(({ rules = [] }) => rules.some((rule) => ruleMatches(rule, call, action)))
  if (matching('DENY')) return false
  return !policies.some(({ action }) => action === 'ALLOW') || matching('ALLOW')
}

function ruleMatches({ from, to, when = [] }: Rule, call: Call, action: Policy['action']): boolean {
  return (
    (from === undefined || from.some(({ source }) => sourceMatches(source, call))) &&
    (to === undefined || to.some(({ operation }) => operationMatches(operation, call))) &&
    when.every(({ key, values, notValues }) => {
      const has = (wanted: string, isNegated: boolean) =>
        conditionMatches(key, wanted, call, (action === 'ALLOW') !== isNegated)
      return (
        (values === undefined || values.some((one) => has(one, false))) &&
        !(notValues ?? []).some((one) => has(one, true))
      )
    })
  )
}

type Test = (wanted: string) => boolean

const some = (list: readonly string[] | undefined, test: Test) =>
  list === undefined || list.some(test)
const none = (list: readonly string[] | undefined, test: Test) => !(list ?? []).some(test)

function sourceMatches(source: Source, { identity, sourceIp, remoteIp }: Call): boolean {
  const isPrincipal: Test = (wanted) =>
    identity !== undefined &&
    isLike(`${identity.domain}/ns/${identity.namespace}/sa/${identity.account}`, wanted)
  const isNamespace: Test = (wanted) => identity !== undefined && isLike(identity.namespace, wanted)
  const isAccount: Test = (wanted) => {
    const [first = '', second] = wanted.split('/')
    const [namespace, account] = second === undefined ? [NAMESPACE, first] : [first, second]
    return identity?.namespace === namespace && identity.account === account
  }
  return (
    some(source.principals, isPrincipal) &&
    none(source.notPrincipals, isPrincipal) &&
    some(source.namespaces, isNamespace) &&
    none(source.notNamespaces, isNamespace) &&
    some(source.serviceAccounts, isAccount) &&
    some(source.trustDomains, (one) => identity !== undefined && isLike(identity.domain, one)) &&
    some(source.ipBlocks, (one) => isWithin(sourceIp, one)) &&
    some(source.remoteIpBlocks, (one) => isWithin(remoteIp, one)) &&
    none(source.notRemoteIpBlocks, (one) => isWithin(remoteIp, one))
  )
}

function operationMatches(operation: Operation, { method, host, path }: Call): boolean {
  const isPath: Test = (wanted) => pathIsLike(path.split('?')[0] ?? '', wanted)
  const isMethod: Test = (wanted) => isLike(method, wanted)
  return (
    some(operation.hosts, (one) => isLike(host.toLowerCase(), one.toLowerCase())) &&
    some(operation.methods, isMethod) &&
    none(operation.notMethods, isMethod) &&
    some(operation.paths, isPath) &&
    none(operation.notPaths, isPath)
  )
}

/** @param all Of a field with several lines each must be as wanted, so that none slips through. */
function conditionMatches(key: string, wanted: string, call: Call, all: boolean): boolean {
  const header = /^request\.headers\[(.*)\]$/.exec(key)?.[1]
  if (header !== undefined) {
    const lines = call.headers[header.toLowerCase()] ?? []
    if (wanted === '*') return lines.length > 0
    const isWanted = (line: string) => isLike(line, wanted)
    return lines.length > 0 && (all ? lines.every(isWanted) : lines.some(isWanted))
  }
  if (key === 'source.namespace') {
    return call.identity !== undefined && isLike(call.identity.namespace, wanted)
  }
  if (key === 'remote.ip') return isWithin(call.remoteIp, wanted)
  throw new Error(`the model does not know ${key}`)
}

/** Exact, prefix, suffix; a star alone is anything that is not empty. */
function isLike(text: string, wanted: string): boolean {
  if (wanted === '*') return text !== ''
  if (wanted.startsWith('*')) return text.endsWith(wanted.slice(1))
  if (wanted.endsWith('*')) return text.startsWith(wanted.slice(0, -1))
  return text === wanted
}

function pathIsLike(path: string, wanted: string): boolean {
  if (!wanted.includes('{*')) return isLike(path, wanted)
  return segmentsAreLike(path.split('/'), wanted.split('/'))
}

function segmentsAreLike(segments: readonly string[], wanted: readonly string[]): boolean {
  const [pattern, ...patterns] = wanted
  if (pattern === undefined) return segments.length === 0
  if (pattern === '{**}') {
    for (let taken = 1; taken <= segments.length; taken++) {
      if (segmentsAreLike(segments.slice(taken), patterns)) return true
    }
    return false
  }
  const [segment, ...rest] = segments
  if (segment === undefined) return false
  const fits = pattern === '{*}' ? segment !== '' : segment === pattern
  return fits && segmentsAreLike(rest, patterns)
}

function isWithin(ip: string, block: string): boolean {
  const [base = '', bits = '32'] = block.split('/')
  const number = (text: string) =>
    text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const size = 2 ** (32 - Number(bits))
  return Math.floor(number(ip) / size) === Math.floor(number(base) / size)
}
