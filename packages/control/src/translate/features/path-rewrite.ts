/** `rewrite` of VirtualServices and the path part of URLRewrite and RequestRedirect. */
import type { HttpRouteFilter, HttpRouteRule } from '@weft/config'
import type { PathMatch, PathRewrite } from '@weft/model'

export function istioRewrite(
  rewrite: NonNullable<HttpRouteRule['rewrite']> | undefined,
): PathRewrite | undefined {
  const regex = rewrite?.uriRegexRewrite
  if (regex?.match !== undefined && regex.match !== '') {
    return { kind: 'regex', pattern: regex.match, substitution: regex.rewrite ?? '' }
  }
  // Of a prefix the matched part is replaced; of an exact or regex match that is the whole path.
  return rewrite?.uri === undefined || rewrite.uri === ''
    ? undefined
    : { kind: 'prefix', value: rewrite.uri }
}

type PathModifier = NonNullable<HttpRouteFilter['urlRewrite']>['path']

/**
 * Gateway API replaces whole path segments and never leaves two slashes: `/foo`
 * replaced by `/` turns `/foo/bar` into `/bar`, and `/foo` into `/`.
 */
export function pathModifier(modifier: PathModifier, path: PathMatch): PathRewrite | undefined {
  if (modifier === undefined) return undefined
  if (modifier.type === 'ReplaceFullPath') {
    return { kind: 'full', value: modifier.replaceFullPath || '/' }
  }
  const value = (modifier.replacePrefixMatch ?? '').replace(/\/+$/, '')
  const matched = path.kind === 'connect' ? '/' : path.value.replace(/\/+$/, '')
  if (matched !== '' && value !== '') return { kind: 'prefix', value }
  return {
    kind: 'regex',
    pattern: `^${escapeRegex(matched)}(/+|$)`,
    substitution: `${escapeSubstitution(value)}/`,
  }
}

function escapeRegex(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

function escapeSubstitution(text: string): string {
  return text.replaceAll('\\', '\\\\')
}
