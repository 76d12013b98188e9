/**
 * A path in the one form that policy, routes, logs and the upstream agree on
 * (RFC 3986, section 6.2.2): escapes of unreserved characters decoded, dot
 * segments resolved and, if asked, slashes merged. What else is escaped stays so,
 * `%2F` above all: decoding it would change which segments there are.
 */

const ESCAPE = /%([0-9a-fA-F]{2})/g
const UNRESERVED = /[A-Za-z0-9\-._~]/

/** @param target Path with query; the query is not touched. */
export function canonicalPath(
  target: string,
  options: { readonly normalize: boolean; readonly mergeSlashes: boolean },
): string {
  const question = target.indexOf('?')
  const query = question < 0 ? '' : target.slice(question)
  let path = question < 0 ? target : target.slice(0, question)
  if (options.normalize) path = removeDotSegments(decodeUnreserved(path))
  if (options.mergeSlashes) path = path.replaceAll(/\/{2,}/g, '/')
  return path + query
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
