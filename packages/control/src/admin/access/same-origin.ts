/**
 * What a browser may be made to ask (R71). A page can make its own name lead here (DNS rebinding),
 * and can send requests across origins; it cannot choose `Host`, `Origin` or `Sec-Fetch-Site`.
 */
import { isIP } from 'node:net'

export interface Asked {
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** As sent; absent in HTTP/1.0, which no browser speaks. */
  readonly host: string | undefined
  readonly origin: string | undefined
  readonly fetchSite: string | undefined
  /** Proved by a cookie, which browsers send by themselves. */
  readonly hasCookie: boolean
}

export interface Refusal {
  /** 421 for a Host, 403 for an Origin. */
  readonly status: 421 | 403
  readonly problem: string
}

/** @param hosts Names beside `localhost` and addresses; lower case. */
export function originProblem(asked: Asked, hosts: ReadonlySet<string>): Refusal | undefined {
  const { method, scheme, host, origin, fetchSite, hasCookie } = asked
  if (host !== undefined && !isOurs(host, hosts)) {
    return {
      status: 421,
      problem: 'the Host header must be localhost, an IP address or a name that was allowed',
    }
  }
  if (origin !== undefined && origin.toLowerCase() !== `${scheme}://${host?.toLowerCase()}`) {
    return { status: 403, problem: 'requests of other origins are refused' }
  }
  const isForeign = fetchSite === 'cross-site' || fetchSite === 'same-site'
  // A link on another page, or in a mail, may lead here; nothing is changed by following it.
  if (isForeign && (method !== 'GET' || hasCookie)) {
    return { status: 403, problem: 'requests of other sites are refused' }
  }
  if (hasCookie && method !== 'GET' && method !== 'HEAD' && origin === undefined) {
    return { status: 403, problem: 'a change that a cookie vouches for must say its Origin' }
  }
  return undefined
}

function isOurs(host: string, hosts: ReadonlySet<string>): boolean {
  const name = host.replace(/:\d{1,5}$/, '').toLowerCase()
  if (name.startsWith('[')) return name.endsWith(']') && isIP(name.slice(1, -1)) === 6
  return name === 'localhost' || isIP(name) === 4 || hosts.has(name)
}
