/** `redirect` of VirtualServices and RequestRedirect of HTTPRoutes. */
import type { HttpRouteFilter, HttpRouteRule } from '@weft/config'
import type { PathMatch, RedirectAction } from '@weft/model'
import { pathModifier } from './path-rewrite.ts'

const STATUSES = [301, 302, 303, 307, 308] as const

export function istioRedirect(
  redirect: NonNullable<HttpRouteRule['redirect']>,
  port: number,
): RedirectAction {
  const { host, port: authorityPort } = splitAuthority(redirect.authority)
  const explicit =
    redirect.derivePort === 'FROM_REQUEST_PORT' ? port : (redirect.port ?? authorityPort)
  return {
    kind: 'redirect',
    status: statusOf(redirect.redirectCode, 301),
    stripQuery: false,
    ...schemeOf(redirect.scheme),
    ...(host === undefined ? {} : { host }),
    ...(explicit === undefined || explicit === 0 ? {} : { port: explicit }),
    ...pathOf(redirect),
  }
}

function pathOf(
  redirect: NonNullable<HttpRouteRule['redirect']>,
): Pick<RedirectAction, 'path'> | Record<string, never> {
  if (redirect.uri !== undefined && redirect.uri !== '') {
    return { path: { kind: 'full', value: redirect.uri } }
  }
  if (redirect.prefixRewrite !== undefined && redirect.prefixRewrite !== '') {
    return { path: { kind: 'prefix', value: redirect.prefixRewrite } }
  }
  return {}
}

/**
 * Without a port Gateway API wants the scheme's own one when a scheme is given,
 * else the listener's. The request's port is kept for a listener on its
 * protocol's own port, because what clients dial may be mapped to it.
 */
export function gatewayRedirect(
  redirect: NonNullable<HttpRouteFilter['requestRedirect']>,
  path: PathMatch,
  listenerPort: number,
): RedirectAction {
  const rewrite = pathModifier(redirect.path, path)
  return {
    kind: 'redirect',
    status: statusOf(redirect.statusCode, 302),
    stripQuery: false,
    ...schemeOf(redirect.scheme),
    ...(redirect.hostname === undefined ? {} : { host: redirect.hostname }),
    ...redirectPort(redirect, listenerPort),
    ...(rewrite === undefined ? {} : { path: rewrite }),
  }
}

function redirectPort(
  { port, scheme }: NonNullable<HttpRouteFilter['requestRedirect']>,
  listenerPort: number,
): Pick<RedirectAction, 'port'> | Record<string, never> {
  if (port !== undefined) return { port }
  if (scheme !== undefined) return { port: scheme === 'https' ? 443 : 80 }
  return listenerPort === 80 || listenerPort === 443 ? {} : { port: listenerPort }
}

function schemeOf(
  scheme: string | undefined,
): Pick<RedirectAction, 'scheme'> | Record<string, never> {
  return scheme === 'http' || scheme === 'https' ? { scheme } : {}
}

function statusOf(code: number | undefined, fallback: 301 | 302): RedirectAction['status'] {
  return STATUSES.find((status) => status === code) ?? fallback
}

function splitAuthority(authority: string | undefined): { host?: string; port?: number } {
  if (authority === undefined || authority === '') return {}
  const parts = /^(.+):(\d+)$/.exec(authority)
  if (parts?.[1] === undefined || (parts[1].includes(':') && !parts[1].endsWith(']'))) {
    return { host: authority }
  }
  return { host: parts[1], port: Number(parts[2]) }
}
