/**
 * Session persistence (Envoy's stateful_session filter): a cookie or header names the endpoint
 * that served the client before, and the answer names the one that serves it now.
 */
import type {
  HttpConnectionManager,
  RequestView,
  SessionPersistence,
  SocketAddress,
} from '@weft/model'
import {
  type CompiledTarget,
  type Host,
  sessionAddressOf,
  sessionCookieValue,
  sessionHeaderValue,
} from '@weft/traffic'
import type { HttpRuntime } from '../exchange/contract.ts'
import { type EncodedHeaders, encodeStamps, joinEncoded } from '../exchange/encoded-headers.ts'
import type { Exchange } from '../exchange/exchange.ts'

/** Nearly every listener, and nearly always the same one as last. */
let lastWithoutSessions: HttpConnectionManager | undefined

/** Whether the listener keeps sessions at all. */
export function keepsSessions({ manager }: HttpRuntime): boolean {
  if (manager === lastWithoutSessions) return false
  if (manager.filters.some(({ kind }) => kind === 'statefulSession')) return true
  lastWithoutSessions = manager
  return false
}

/** How the session of the exchange's route is kept; `undefined`: not at all. */
export function sessionOf(x: Exchange): SessionPersistence | undefined {
  const own = x.route?.source.filters
  const shared = x.virtualHost?.filters
  for (const filter of x.runtime.manager.filters) {
    if (filter.kind !== 'statefulSession') continue
    const disabled = own?.disabled ?? shared?.disabled
    if (disabled?.includes('statefulSession') === true) return undefined
    const session = own?.session ?? shared?.session ?? filter.session
    return session !== undefined && isForPath(session, x.view.path) ? session : undefined
  }
  return undefined
}

/** The endpoint that the client asks for. */
export function preferredOf(
  session: SessionPersistence,
  request: RequestView,
  nowMs: number,
): SocketAddress | undefined {
  const value =
    session.kind === 'header'
      ? request.header(session.name)
      : cookieOf(request.header('cookie'), session.name)
  return value === undefined ? undefined : sessionAddressOf(value, nowMs)
}

/**
 * A session goes before weights: the target that has the endpoint which the client asks for, also
 * one whose weight is 0 by now. `undefined`: there is no session, or its endpoint is gone.
 */
export function targetOfSession(
  x: Exchange,
  targets: readonly CompiledTarget[],
): CompiledTarget | undefined {
  if (targets.length === 1 || !keepsSessions(x.runtime)) return undefined
  const session = sessionOf(x)
  const wanted = session && preferredOf(session, x.view, x.deps.clock.nowMs())
  if (wanted === undefined) return undefined
  return targets.find(({ cluster }) =>
    x.runtime.clusters
      .get(cluster)
      ?.hosts.some((host) => host.available && isSame(host.endpoint.address, wanted)),
  )
}

function isSame(one: SocketAddress, other: SocketAddress): boolean {
  return one.host === other.host && one.port === other.port
}

/** Tells the client which endpoint it has now. An attempt after another one replaces its word. */
export function keepSession(x: Exchange, session: SessionPersistence, host: Host): void {
  const { address } = host.endpoint
  if (session.kind === 'cookie') {
    const others = x.cookies.filter((cookie) => !cookie.startsWith(`${session.name}=`))
    x.cookies = [...others, cookieFor(session, address, x.deps.clock.nowMs())]
    return
  }
  const before = stamped.get(x)
  const base =
    before !== undefined && before.all === x.filterHeaders ? before.base : x.filterHeaders
  const own = encodeStamps([{ name: session.name, value: sessionHeaderValue(address) }])
  const all = joinEncoded(base, own)
  x.filterHeaders = all
  stamped.set(x, { base, all })
}

interface Stamped {
  readonly base: EncodedHeaders | undefined
  readonly all: EncodedHeaders | undefined
}

/** What an earlier attempt of the same exchange has put there. */
const stamped = new WeakMap<Exchange, Stamped>()

function cookieFor(
  { name, path, ttlMs }: Extract<SessionPersistence, { readonly kind: 'cookie' }>,
  address: SocketAddress,
  nowMs: number,
): string {
  const value = ttlMs > 0 ? sessionCookieValue(address, nowMs + ttlMs) : sessionCookieValue(address)
  const age = ttlMs > 0 ? `; Max-Age=${Math.ceil(ttlMs / 1_000)}` : ''
  return `${name}="${value}"${age}${path === '' ? '' : `; Path=${path}`}; HttpOnly`
}

/** A cookie is sent to its path and what is below it (RFC 6265, section 5.1.4). */
function isForPath(session: SessionPersistence, target: string): boolean {
  if (session.kind === 'header' || session.path === '') return true
  const { path } = session
  const [own = ''] = target.split(/[?#]/, 1)
  if (!own.startsWith(path)) return false
  return own.length === path.length || path.endsWith('/') || own[path.length] === '/'
}

function cookieOf(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined
  for (const pair of header.split(/[;,]/)) {
    const equals = pair.indexOf('=')
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue
    return pair
      .slice(equals + 1)
      .trim()
      .replace(/^"(.*)"$/, '$1')
  }
  return undefined
}
