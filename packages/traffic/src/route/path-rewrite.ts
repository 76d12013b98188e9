/**
 * Path rewrites of forwards and redirects. The query is never part of what is
 * rewritten and stays as it is.
 *
 * What `prefix` replaces depends on how the path was matched:
 *
 *     match               path          value     result
 *     prefix   /api/      /api/users    /v2/      /v2/users     characters, as Envoy and Istio do
 *     segments /api       /api/users    /v2       /v2/users     segments, one slash between
 *     segments /api       /api/users    /         /users        (Gateway API ReplacePrefixMatch)
 *     exact, regex        (any)         /v2       /v2           the whole path
 */
import type { PathMatch, PathRewrite } from '@weft/model'
import type { RE2JS } from 're2js'
import { ConfigError } from '../config-error.ts'
import { compileRegex } from '../text/regex.ts'
import { pathEnd } from './path-matcher.ts'

/** Path with query → path with query. */
export type RewriteTarget = (target: string) => string

/** @throws {ConfigError} On a bad regex or a substitution that names no group. */
export function buildPathRewrite(
  rewrite: PathRewrite | undefined,
  match: PathMatch,
  where: string,
): RewriteTarget | undefined {
  if (rewrite === undefined) return undefined
  const rewritePath = buildRewrite(rewrite, match, `${where}, path rewrite`)
  return (target) => {
    const end = pathEnd(target)
    const path = target.slice(0, end)
    const rewritten = rewritePath(path)
    if (rewritten === path) return target
    // A value that brings its own query replaces the request's (Envoy `path_redirect`).
    if (end < target.length && rewritten.includes('?')) return rewritten
    return rewritten + target.slice(end)
  }
}

function buildRewrite(rewrite: PathRewrite, match: PathMatch, where: string): RewriteTarget {
  const { kind } = rewrite
  switch (kind) {
    case 'full':
      return () => rewrite.value
    case 'prefix':
      return buildPrefixRewrite(rewrite.value, match)
    case 'regex':
      return buildRegexRewrite(rewrite.pattern, rewrite.substitution, where)
  }
}

function buildPrefixRewrite(value: string, match: PathMatch): RewriteTarget {
  switch (match.kind) {
    case 'prefix': {
      const { length } = match.value
      return (path) => value + path.slice(length)
    }
    case 'segments': {
      const { length } = withoutTrailingSlash(match.value)
      const base = withoutTrailingSlash(value)
      return (path) => {
        const rest = path.slice(length)
        return rest === '' ? value || '/' : base + rest
      }
    }
    default:
      return () => value
  }
}

function withoutTrailingSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path
}

/** Every match is replaced, as RE2's `GlobalReplace` does for Envoy's `regex_rewrite`. */
function buildRegexRewrite(pattern: string, substitution: string, where: string): RewriteTarget {
  const regex = compileRegex(pattern, false, where)
  const parts = parseSubstitution(substitution, regex, where)
  return (path) => {
    const matcher = regex.matcher(path)
    let text = ''
    let at = 0
    while (matcher.find()) {
      text += path.slice(at, matcher.start())
      for (const part of parts) {
        text += typeof part === 'string' ? part : (matcher.group(part) ?? '')
      }
      at = matcher.end()
    }
    return text + path.slice(at)
  }
}

/** `\0` to `\9` are groups, `\\` is a backslash: RE2's rewrite syntax. */
function parseSubstitution(
  substitution: string,
  regex: RE2JS,
  where: string,
): readonly (string | number)[] {
  const parts: (string | number)[] = []
  for (const [token] of substitution.matchAll(/[^\\]+|\\[\s\S]?/g)) {
    if (!token.startsWith('\\')) parts.push(token)
    else if (token === '\\\\') parts.push('\\')
    else parts.push(parseGroup(token, regex, where))
  }
  return parts
}

function parseGroup(token: string, regex: RE2JS, where: string): number {
  const group = /^\\\d$/.test(token) ? Number(token.slice(1)) : -1
  if (group < 0 || group > regex.groupCount()) {
    throw new ConfigError(
      where,
      `Cannot rewrite: need \\0 to \\${regex.groupCount()} or \\\\ in the substitution, got "${token}"`,
    )
  }
  return group
}
