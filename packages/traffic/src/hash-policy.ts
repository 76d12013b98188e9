/** What makes two requests belong to the same host: the hash of a route's hash policies. */
import type { HashPolicy, RequestView } from '@weft/model'
import { mixedHash } from './hash.ts'
import { readQuery } from './route/field-matcher.ts'
import { pathEnd } from './route/path-matcher.ts'

export interface HashFacts {
  readonly request: RequestView
  /** The client's address without port. */
  readonly sourceHost: string
  /** Value for a cookie that the proxy makes: unguessable, e.g. 16 hexadecimal digits. */
  createCookieValue(): string
}

export interface HashResult {
  /** Unsigned 32-bit; `undefined`: no policy yielded one, any host will do. */
  readonly hash: number | undefined
  /** `set-cookie` values for the response, so that the client comes back to the same host. */
  readonly setCookies: readonly string[]
}

const NO_HASH: HashResult = { hash: undefined, setCookies: [] }

export function hashRequest(policies: readonly HashPolicy[], facts: HashFacts): HashResult {
  if (policies.length === 0) return NO_HASH
  let hash: number | undefined
  const setCookies: string[] = []
  for (const policy of policies) {
    const value = readValue(policy, facts) ?? makeCookie(policy, facts, setCookies)
    if (value === undefined) continue
    // Rotated before the next one is mixed in, so that equal values do not cancel out (Envoy).
    hash = (hash === undefined ? mixedHash(value) : rotate(hash) ^ mixedHash(value)) >>> 0
    if (policy.terminal) break
  }
  return { hash, setCookies }
}

function readValue(policy: HashPolicy, { request, sourceHost }: HashFacts): string | undefined {
  switch (policy.kind) {
    case 'header':
      return request.header(policy.name.toLowerCase())
    case 'cookie':
      return readCookie(request.header('cookie'), policy.name)
    case 'query':
      return readQuery(request.path, pathEnd(request.path), policy.name)
    case 'sourceIp':
      return sourceHost
  }
}

function makeCookie(
  policy: HashPolicy,
  facts: HashFacts,
  setCookies: string[],
): string | undefined {
  if (policy.kind !== 'cookie' || policy.ttlMs === undefined) return undefined
  const value = facts.createCookieValue()
  const age = policy.ttlMs > 0 ? `; Max-Age=${Math.floor(policy.ttlMs / 1_000)}` : ''
  const path = policy.path === '' ? '' : `; Path=${policy.path}`
  setCookies.push(`${policy.name}="${value}"${age}${path}; HttpOnly`)
  return value
}

/** The value of the first cookie of that name (RFC 6265, section 4.2.1), without quotes. */
function readCookie(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined
  // Several `cookie` fields come joined by commas.
  for (const pair of header.split(/[;,]/)) {
    const equals = pair.indexOf('=')
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue
    const value = pair.slice(equals + 1).trim()
    return value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
  }
  return undefined
}

function rotate(hash: number): number {
  return (hash << 1) | (hash >>> 31)
}
