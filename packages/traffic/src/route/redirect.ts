/**
 * Where a redirect sends the client.
 *
 *     scheme   the action's, else the request's
 *     host     the action's, else the request's
 *     port     the action's; else none when the action names a host or changes
 *              the scheme; else the request's. The scheme's own is not written.
 *     path     rewritten, else the request's; the query stays unless stripped
 */
import type { RequestView } from '@weft/model'
import type { CompiledRedirect } from './compiled.ts'
import { portColon } from './domains.ts'

/** The `location` header's value: an absolute URL, or a path when the request names no host. */
export function redirectLocation(action: CompiledRedirect, request: RequestView): string {
  const { source } = action
  const path = locationPath(action, request.path)
  const scheme = source.scheme ?? request.scheme
  const colon = portColon(request.authority)
  const host = source.host ?? (colon < 0 ? request.authority : request.authority.slice(0, colon))
  if (host === '') return path
  const keepsPort = source.host === undefined && scheme === request.scheme && colon >= 0
  const port =
    source.port !== undefined ? `:${source.port}` : keepsPort ? request.authority.slice(colon) : ''
  const written = port === (scheme === 'http' ? ':80' : ':443') ? '' : port
  return `${scheme}://${host}${written}${path}`
}

function locationPath(action: CompiledRedirect, target: string): string {
  const { source, rewritePath } = action
  const query = target.indexOf('?')
  const kept = source.stripQuery && query >= 0 ? target.slice(0, query) : target
  const path = rewritePath === undefined ? kept : rewritePath(kept)
  // `OPTIONS *` and CONNECT have no path; a path rewrite may forget its slash.
  if (path.startsWith('/')) return path
  return path === '*' ? '/' : `/${path}`
}
