/**
 * Who may do what on the admin port of a data plane. On loopback everybody of this machine may look, as
 * with Envoy: keys, tokens and other secrets are in none of the answers. To change something takes
 * the token of the proxy; and on an address that others reach, everything but `/ready` does.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import type { SocketAddress } from '@weft/model'

const PREFIX = 'wpt_'
const TOKEN_BYTES = 32
const MIN_LENGTH = 16
const BEARER = /^Bearer +([\x21-\x7e]{1,4096})$/i
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/

export class AdminAccess {
  readonly token: string
  readonly #isLocal: boolean

  /**
   * @param token Absent: one is made, which is enough on loopback only: from elsewhere nobody can know it.
   * @throws {Error} When others reach the address and nobody chose a token, or a short one.
   */
  constructor({ host }: SocketAddress, token: string | undefined) {
    this.#isLocal = LOOPBACK.test(host)
    if (token === undefined && !this.#isLocal) {
      throw new Error(
        `Cannot open the admin port on ${host} without a token: others reach it. ` +
          'Leave it on loopback, or say who may use it (--admin-token-file)',
      )
    }
    if (token !== undefined && token.length < MIN_LENGTH) {
      throw new Error(`Cannot take the admin token: it must have ${MIN_LENGTH} characters at least`)
    }
    this.token = token ?? `${PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`
  }

  /** Why a call is not answered, or `undefined` when it is. */
  refusal(method: string, path: string, authorization: string | undefined): string | undefined {
    const isLook = method === 'GET' || method === 'HEAD'
    // Probes have no token.
    if (isLook && (this.#isLocal || path === '/ready')) return undefined
    const given = BEARER.exec(authorization ?? '')?.[1]
    if (given !== undefined && isSame(given, this.token)) return undefined
    return given === undefined
      ? 'this takes the token of the proxy: Authorization: Bearer TOKEN'
      : 'the token is not that of this proxy'
  }
}

function isSame(a: string, b: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(a), hash(b))
}

/** R77: nothing on an admin port is a page, and nothing there may be part of one. */
export const ADMIN_HEADERS = {
  'cache-control': 'no-cache, max-age=0',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
} as const

export interface ForeignCall {
  readonly status: 421 | 403
  readonly problem: string
}

/**
 * Why a call must not be answered at all. A browser on the same machine is the way around a port on
 * loopback: a `Host` that is a name may be a page's own that was made to point here (DNS rebinding),
 * and other headers tell that a page of another origin asks.
 *
 * @param header By lower-case name.
 */
export function foreignCall(header: (name: string) => string | undefined): ForeignCall | undefined {
  const host = header('host')
  if (host !== undefined && !isLocalHost(host)) {
    const problem = 'the Host header must be an address or localhost: names can lead anywhere'
    return { status: 421, problem }
  }
  const origin = header('origin')
  const site = header('sec-fetch-site')
  const isElsewhere = origin !== undefined && origin !== `http://${host}`
  if (isElsewhere || site === 'cross-site' || site === 'same-site') {
    return { status: 403, problem: 'pages of another origin may not talk to this port' }
  }
  return undefined
}

function isLocalHost(host: string): boolean {
  const name = host.replace(/:\d+$/, '')
  if (name.startsWith('[') && name.endsWith(']')) return isIP(name.slice(1, -1)) === 6
  return name === '' || isIP(name) === 4 || /^(?:[^.]+\.)*localhost$/i.test(name)
}
