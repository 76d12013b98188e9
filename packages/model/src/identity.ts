/**
 * SPIFFE IDs: the names that certificates and policies give to workloads
 * (SPIFFE-ID specification, section 2).
 *
 *     spiffe://cluster.local/ns/shop/sa/cart
 *              trust domain  path
 *
 * Read by a list of allowed bytes, never by a URL parser: what a parser "repairs"
 * (escapes, dots, case) makes two names of one or one of two (CVE-2021-27099).
 */

export interface SpiffeId {
  readonly trustDomain: string
  /** Empty for the trust domain itself; else segments, each with its `/` in front. */
  readonly path: string
}

export type ParsedSpiffeId =
  | { readonly ok: true; readonly id: SpiffeId }
  | { readonly ok: false; readonly problem: string }

const SCHEME = 'spiffe://'
const MAX_LENGTH = 2_048
const MAX_TRUST_DOMAIN = 255
const TRUST_DOMAIN = /^[a-z0-9._-]+$/
const SEGMENT = /^[A-Za-z0-9._-]+$/

export function parseSpiffeId(text: string): ParsedSpiffeId {
  if (!text.startsWith(SCHEME)) return refused(`must begin with ${SCHEME}`)
  if (text.length > MAX_LENGTH) return refused(`must have at most ${MAX_LENGTH} bytes`)
  const rest = text.slice(SCHEME.length)
  const slash = rest.indexOf('/')
  const trustDomain = slash === -1 ? rest : rest.slice(0, slash)
  const path = slash === -1 ? '' : rest.slice(slash)
  const problem = trustDomainProblem(trustDomain) ?? pathProblem(path)
  return problem === undefined ? { ok: true, id: { trustDomain, path } } : refused(problem)
}

function refused(problem: string): ParsedSpiffeId {
  return { ok: false, problem }
}

/** What is wrong with a trust domain's name; `undefined` when nothing is. */
export function trustDomainProblem(name: string): string | undefined {
  if (name === '') return 'the trust domain must not be empty'
  if (name.length > MAX_TRUST_DOMAIN) {
    return `the trust domain must have at most ${MAX_TRUST_DOMAIN} bytes`
  }
  if (TRUST_DOMAIN.test(name)) return undefined
  return 'the trust domain may have lower-case letters, digits, dots, dashes and underscores only'
}

function pathProblem(path: string): string | undefined {
  if (path === '') return undefined
  for (const segment of path.slice(1).split('/')) {
    if (segment === '') return 'the path must not have empty segments or end with /'
    if (segment === '.' || segment === '..') return 'the path must not have the segments . or ..'
    if (!SEGMENT.test(segment)) {
      return 'path segments may have letters, digits, dots, dashes and underscores only'
    }
  }
  return undefined
}

export function renderSpiffeId({ trustDomain, path }: SpiffeId): string {
  return `${SCHEME}${trustDomain}${path}`
}

/** The identity of what runs under a service account, in Istio's form. */
export function serviceAccountId(
  trustDomain: string,
  namespace: string,
  serviceAccount: string,
): SpiffeId {
  return { trustDomain, path: `/ns/${namespace}/sa/${serviceAccount}` }
}

export interface ServiceAccountRef {
  readonly namespace: string
  readonly serviceAccount: string
}

/** `undefined`: a valid identity, but not of a service account. */
export function serviceAccountOf({ path }: SpiffeId): ServiceAccountRef | undefined {
  const [empty, ns, namespace, sa, serviceAccount, ...more] = path.split('/')
  const isOne = empty === '' && ns === 'ns' && sa === 'sa' && more.length === 0
  if (!isOne || namespace === undefined || serviceAccount === undefined) return undefined
  return { namespace, serviceAccount }
}
