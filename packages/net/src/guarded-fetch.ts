/**
 * GET of a small text from an address that somebody's configuration names. Whoever may write
 * configuration must not be able to make us ask what only we can reach (R61, R76): metadata
 * services of clouds, admin ports on loopback.
 *
 *     https only, unless the host is allowed by name ── redirects are refused
 *     every address that the name has is checked ── the one that was checked is connected to
 */
import type { Agent, IncomingMessage } from 'node:http'
import { isIP, type LookupFunction } from 'node:net'
import type { PeerCertificate } from 'node:tls'
import { type Cidr, type Clock, cidrContains, parseCidr, parseIp } from '@weft/base'
import { type Resolve, resolveHost } from './resolve.ts'

export interface FetchRules {
  readonly clock: Clock
  /** In milliseconds, > 0; for everything together. */
  readonly timeoutMs: number
  readonly maxBytes: number
  /** Hosts that may be asked in plaintext, and whose addresses are not checked: an operator says so. */
  readonly allowedHosts: readonly string[]
  /** Where the operator says that the host is; absent: where its name leads. */
  readonly endpoint?: { readonly host: string; readonly port: number }
  /** Connects to `endpoint` for plain http: over the mutual TLS of a mesh. Absent: over TCP. */
  readonly agent?: Agent
  readonly resolve?: Resolve
  /** PEM; absent: what the system trusts. */
  readonly ca?: string | readonly string[]
  /** Who the server must be; absent: whom the URL names. As `node:tls` has it. */
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined
}

export type Fetched =
  | {
      readonly ok: true
      readonly body: string
      /** `max-age` of the answer, in milliseconds. */
      readonly maxAgeMs: number | undefined
    }
  | { readonly ok: false; readonly problem: string }

const REFUSED_RANGES: readonly Cidr[] = [
  ...['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32'],
  // Metadata of Alibaba Cloud and Oracle Cloud outside of the link-local range.
  ...['100.100.100.200/32', '192.0.0.192/32'],
  ...['::/128', '::1/128', 'fe80::/10', 'ff00::/8', 'fd00:ec2::/32', 'fd20:ce::/32'],
  // What is translated to IPv4 on the way (RFC 6052, RFC 3056) would hide all of the above.
  ...['64:ff9b::/96', '64:ff9b:1::/48', '2002::/16'],
].flatMap((text) => parseCidr(text) ?? [])

/** Never throws, and never follows. */
export async function guardedFetch(text: string, rules: FetchRules): Promise<Fetched> {
  const url = parseUrl(text)
  if (url === undefined) return problem('the URL is not one of http or https without user')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const isAllowed = rules.allowedHosts.includes(host) || rules.endpoint !== undefined
  if (url.protocol !== 'https:' && !isAllowed) {
    return problem(`${host} may not be asked over plain http`)
  }
  const found = await addressesOf(host, rules, isAllowed)
  return typeof found === 'string' ? problem(found) : await get(url, host, found, rules)
}

function problem(text: string): Fetched {
  return { ok: false, problem: text }
}

function parseUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  const isHttp = url.protocol === 'https:' || url.protocol === 'http:'
  return isHttp && url.username === '' && url.password === '' ? url : undefined
}

/** A text says why not. */
async function addressesOf(
  host: string,
  { endpoint, resolve = resolveHost, clock, timeoutMs }: FetchRules,
  isAllowed: boolean,
): Promise<readonly string[] | string> {
  const name = endpoint?.host ?? host
  let addresses: readonly string[]
  try {
    addresses = await Promise.race([resolve(name), late(clock, timeoutMs)])
  } catch (error) {
    return `${name} does not resolve: ${error instanceof Error ? error.message : String(error)}`
  }
  if (addresses.length === 0) return `${name} has no address`
  // One bad address spoils the name: it would be a matter of luck which is taken.
  const bad = isAllowed ? undefined : addresses.find(isRefused)
  return bad === undefined ? addresses : `${name} leads to ${bad}, which may not be asked`
}

function late(clock: Clock, timeoutMs: number): Promise<never> {
  return new Promise((_resolve, reject) => {
    clock.after(timeoutMs, () => reject(new Error('timeout')))
  })
}

function isRefused(address: string): boolean {
  const octets = parseIp(address)
  return octets === undefined || REFUSED_RANGES.some((range) => cidrContains(range, octets))
}

function get(
  url: URL,
  host: string,
  addresses: readonly string[],
  rules: FetchRules,
): Promise<Fetched> {
  const { clock, timeoutMs, maxBytes, endpoint, agent, ca, checkServerIdentity } = rules
  const isTls = url.protocol === 'https:'
  return new Promise((resolve) => {
    const end = (result: Fetched): void => {
      cancelTimer()
      resolve(result)
      sent.destroy()
    }
    const options = {
      agent: false,
      method: 'GET',
      headers: { host: url.host, accept: 'application/json, application/jwk-set+json' },
      path: `${url.pathname}${url.search}`,
      host,
      port: endpoint?.port ?? (url.port === '' ? (isTls ? 443 : 80) : Number(url.port)),
      lookup: pinned(addresses),
    } as const
    const take = (answer: IncomingMessage) => readAnswer(answer, maxBytes, end)
    const secure = {
      ...options,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(ca === undefined ? {} : { ca: [ca].flat() }),
      ...(checkServerIdentity === undefined ? {} : { checkServerIdentity }),
    }
    // Loaded by the first fetch: most proxies make none, and as modules they bring undici.
    const sent = isTls
      ? process
          .getBuiltinModule('node:https')
          .request({ ...secure, host: endpoint?.host ?? host }, take)
      : process
          .getBuiltinModule('node:http')
          .request({ ...options, agent: agent ?? false, host: endpoint?.host ?? host }, take)
    const cancelTimer = clock.after(timeoutMs, () => end(problem(`no answer in ${timeoutMs} ms`)))
    sent.on('error', (error) => end(problem(error.message)))
    sent.end()
  })
}

/** The addresses that were checked, whatever the name leads to by now. */
function pinned(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }))
  return (_name, options, done) => {
    const [first] = all
    if (options.all === true) done(null, all)
    else if (first === undefined) done(new Error('no address'), '', 0)
    else done(null, first.address, first.family)
  }
}

function readAnswer(
  answer: IncomingMessage,
  maxBytes: number,
  end: (result: Fetched) => void,
): void {
  const { statusCode = 0, headers } = answer
  if (statusCode >= 300 && statusCode < 400) {
    end(problem(`the answer is a redirect (${statusCode}); write where it leads`))
    return
  }
  if (statusCode !== 200) {
    end(problem(`the answer has status ${statusCode}`))
    return
  }
  const parts: Buffer[] = []
  let length = 0
  answer.on('data', (part: Buffer) => {
    length += part.length
    if (length > maxBytes) end(problem(`the answer has more than ${maxBytes} bytes`))
    else parts.push(part)
  })
  answer.on('error', (error) => end(problem(error.message)))
  answer.on('aborted', () => end(problem('the answer was cut off')))
  answer.on('end', () => {
    const body = Buffer.concat(parts).toString('utf8')
    end({ ok: true, body, maxAgeMs: maxAgeOf(headers['cache-control']) })
  })
}

function maxAgeOf(cacheControl: string | undefined): number | undefined {
  const found = /(?:^|,)\s*max-age=(\d{1,9})\s*(?:,|$)/i.exec(cacheControl ?? '')
  return found === null ? undefined : Number(found[1]) * 1_000
}
