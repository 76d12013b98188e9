/**
 * Path rewrites ⇄ Envoy's `prefix_rewrite` and `regex_rewrite`.
 *
 * Envoy has no "replace the whole path" for forwarded requests: that is a regular expression
 * which matches everything. And its prefix rewrite joins texts: `/a` → `/` turns `/a/b` into `//b`, and
 * an empty replacement means "none". Both become a regular expression that takes the slashes along;
 * the model's text travels in the route's metadata.
 */
import type { JsonObject } from '@bufbuild/protobuf'
import type { PathMatch, PathRewrite, RouteMatch } from '@weft/model'
import type { RegexMatchAndSubstituteSchema } from '../gen/envoy/type/matcher/v3/regex_pb.js'
import { type Init, textOf } from './values.ts'

const WHOLE_PATH = '^.*$'

type Regex = Init<typeof RegexMatchAndSubstituteSchema>

export type EncodedRewrite =
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: Regex; readonly prefixText?: string }

export function encodeRewrite(rewrite: PathRewrite, match: RouteMatch): EncodedRewrite {
  switch (rewrite.kind) {
    case 'full':
      return regexRewrite(WHOLE_PATH, literal(rewrite.value))
    case 'regex':
      return regexRewrite(rewrite.pattern, rewrite.substitution)
    case 'prefix': {
      const { path } = match
      const joins =
        rewrite.value === '' || (path.kind === 'segments' && rewrite.value.endsWith('/'))
      if (!joins) return { kind: 'prefix', value: rewrite.value }
      const value = regexRewrite(
        matchedPart(path),
        literal(rewrite.value === '' ? '/' : rewrite.value),
      )
      return { ...value, prefixText: rewrite.value }
    }
  }
}

/** What Envoy's prefix rewrite would replace, with the slashes that follow it. */
function matchedPart(path: PathMatch): string {
  if (path.kind === 'connect' || path.kind === 'regex') return WHOLE_PATH
  const flags = path.ignoreCase ? '(?i)' : ''
  return `${flags}^${escapeRegex(path.value.replace(/\/+$/, ''))}/*`
}

function regexRewrite(regex: string, substitution: string): EncodedRewrite & { kind: 'regex' } {
  return { kind: 'regex', value: { pattern: { regex }, substitution } }
}

/** In a substitution a backslash starts a group reference. */
function literal(text: string): string {
  return text.replaceAll('\\', '\\\\')
}

function escapeRegex(text: string): string {
  return text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')
}

export function decodeRegexRewrite(
  proto: {
    readonly pattern?: { readonly regex: string } | undefined
    readonly substitution: string
  },
  extras: JsonObject,
): PathRewrite {
  if ('rewritePrefix' in extras) return { kind: 'prefix', value: textOf(extras.rewritePrefix) }
  const pattern = proto.pattern?.regex ?? ''
  const { substitution } = proto
  if (pattern === WHOLE_PATH && !/\\[0-9]/.test(substitution.replaceAll('\\\\', ''))) {
    return { kind: 'full', value: substitution.replaceAll('\\\\', '\\') }
  }
  return { kind: 'regex', pattern, substitution }
}
