/**
 * A path in the one form that policy, routes, logs and the upstream agree on
 * (RFC 3986, section 6.2.2): escapes of unreserved characters decoded, dot
 * segments resolved and, if asked, slashes merged. What else is escaped stays so
 * unless the listener says what to do with escaped slashes: decoding them changes
 * which segments there are, and some applications do it.
 */
import type { HttpConnectionManager } from '@weft/model'

const ESCAPE = /%([0-9a-fA-F]{2})/g
const UNRESERVED = /[A-Za-z0-9\-._~]/
/** Some applications read `\` as `/`. */
const ESCAPED_SLASH = /%(2f|5c)/gi
/** Longer forms of characters than UTF-8 has, which careless decoders take (RFC 3629, section 10). */
const OVERLONG = /%(c[01]|e0%[89]|f0%8)/i
/** `/..;a=b/`: some applications cut parameters off before they resolve dots. */
const DOTS_WITH_PARAMETERS = /\/\.{1,2};/

export type PathRules = Pick<
  HttpConnectionManager,
  'normalizePath' | 'mergeSlashes' | 'escapedSlashes'
>

/**
 * @param target Path with query; the query is not touched.
 * @returns `undefined`: the listener refuses such paths, as applications read them in several ways.
 */
export function canonicalPath(target: string, rules: PathRules): string | undefined {
  const { normalizePath, mergeSlashes, escapedSlashes } = rules
  const question = target.indexOf('?')
  const query = question < 0 ? '' : target.slice(question)
  let path = question < 0 ? target : target.slice(0, question)
  if (escapedSlashes === 'decode') path = path.replaceAll(ESCAPED_SLASH, '/')
  if (normalizePath) path = removeDotSegments(decodeUnreserved(path))
  if (mergeSlashes) path = path.replaceAll(/\/{2,}/g, '/')
  if (escapedSlashes === 'reject' && isAmbiguous(path)) return undefined
  return path + query
}

function isAmbiguous(path: string): boolean {
  ESCAPED_SLASH.lastIndex = 0
  return ESCAPED_SLASH.test(path) || OVERLONG.test(path) || DOTS_WITH_PARAMETERS.test(path)
}

function decodeUnreserved(path: string): string {
  return path.replaceAll(ESCAPE, (escaped, hex: string) => {
    const character = String.fromCharCode(Number(`0x${hex}`))
    return UNRESERVED.test(character) ? character : escaped.toUpperCase()
  })
}

/** RFC 3986, section 5.2.4, on an absolute path; `..` above the root stays at the root. */
function removeDotSegments(path: string): string {
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  for (const [i, segment] of segments.entries()) {
    const last = i === segments.length - 1
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
    if (last && (segment === '.' || segment === '..')) kept.push('')
  }
  return `/${kept.join('/')}`
}
