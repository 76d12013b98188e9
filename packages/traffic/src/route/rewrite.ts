/** What a forwarded request says instead of what it said: path and host. */
import type { CompiledForward, CompiledTarget } from './compiled.ts'

/** Path with query as the upstream gets it; returns `path` itself when nothing changes. */
export function rewritePath(action: CompiledForward, path: string): string {
  return action.rewritePath === undefined ? path : action.rewritePath(path)
}

/**
 * The authority that the upstream gets.
 *
 * @param endpointHost Host name of the chosen endpoint, for `endpoint` rewrites.
 */
export function rewriteAuthority(
  target: CompiledTarget,
  authority: string,
  endpointHost: string,
): string {
  const { hostRewrite } = target
  if (hostRewrite === undefined) return authority
  return hostRewrite.kind === 'literal' ? hostRewrite.value : endpointHost
}
