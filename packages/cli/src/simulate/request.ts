/** What a route makes of a request: which headers, host and path the upstream gets. */
import type { RequestView } from '@weft/model'
import {
  type CompiledForward,
  type CompiledTarget,
  type HeaderContext,
  type HeaderOp,
  renderTemplate,
  rewriteAuthority,
  rewritePath,
} from '@weft/traffic'
import type { Call } from './call.ts'
import type { Rewritten } from './result.ts'

export function requestViewOf(call: Call): RequestView {
  return {
    method: call.method,
    scheme: call.tls === 'plaintext' ? 'http' : 'https',
    authority: call.host,
    path: call.path,
    header: (name) => call.headers.get(name),
  }
}

/** @param routeName For `%ROUTE_NAME%`. */
export function rewrittenBy(
  action: CompiledForward,
  target: CompiledTarget,
  call: Call,
  routeName: string,
): Rewritten | null {
  const request = requestViewOf(call)
  const path = rewritePath(action, call.path)
  const authority = rewriteAuthority(target, call.host, call.host)
  const context = contextOf(call, request, routeName, target.cluster)
  const headers = changedHeaders(call.headers, target.requestHeaders, context)
  const responseHeaders = responseChanges(target.responseHeaders, context)
  const rewritten: Rewritten = {
    ...(authority === call.host ? {} : { host: authority, authority }),
    ...(path === call.path ? {} : { path }),
    ...(headers === undefined ? {} : { headers }),
    ...(responseHeaders === undefined ? {} : { responseHeaders }),
  }
  return Object.keys(rewritten).length === 0 ? null : rewritten
}

function changedHeaders(
  sent: ReadonlyMap<string, string>,
  ops: readonly HeaderOp[],
  context: HeaderContext,
): Record<string, string> | undefined {
  if (ops.length === 0) return undefined
  const headers = new Map(sent)
  for (const op of ops) {
    if (op.kind === 'remove') {
      headers.delete(op.name)
      continue
    }
    const value = renderTemplate(op.value, context)
    const before = headers.get(op.name)
    headers.set(op.name, op.kind === 'add' && before !== undefined ? `${before},${value}` : value)
  }
  return Object.fromEntries(headers)
}

function responseChanges(
  ops: readonly HeaderOp[],
  context: HeaderContext,
): Rewritten['responseHeaders'] {
  if (ops.length === 0) return undefined
  const changes = {
    set: {} as Record<string, string>,
    add: {} as Record<string, string>,
    remove: [] as string[],
  }
  for (const op of ops) {
    if (op.kind === 'remove') changes.remove.push(op.name)
    else changes[op.kind][op.name] = renderTemplate(op.value, context)
  }
  return changes
}

function contextOf(
  call: Call,
  request: RequestView,
  routeName: string,
  clusterName: string,
): HeaderContext {
  return {
    request,
    downstreamRemoteHost: call.sourceIp,
    downstreamRemotePort: 0,
    downstreamDirectRemoteHost: call.sourceIp,
    downstreamDirectRemotePort: 0,
    downstreamLocalHost: call.address,
    downstreamLocalPort: call.port,
    protocol: call.protocol === 'http2' ? 'HTTP/2' : 'HTTP/1.1',
    startTimeMs: 0,
    routeName,
    clusterName,
    upstreamRemoteHost: undefined,
    upstreamRemotePort: undefined,
    downstreamPeerUriSan: undefined,
    requestedServerName: call.sni === '' ? undefined : call.sni,
    responseCode: undefined,
    responseHeader: () => undefined,
  }
}
