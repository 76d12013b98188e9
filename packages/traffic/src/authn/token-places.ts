/** Where tokens are in a request, and the request without them. */
import type { JwtTokenSource, RequestView } from '@weft/model'
import type { FieldChanges } from '../headers/field-changes.ts'

/** Characters of a token in its compact form. */
const TOKEN = /[A-Za-z0-9_\-.=+/]+/y
/** More of them are an attack on our time. */
const MAX_TOKENS = 8

/** A request as far as tokens may be in it. */
export interface TokenCall {
  readonly request: RequestView
  /** Every line of a field by its lower-case name. */
  fieldLines(name: string): readonly string[]
}

/** Tokens in one place, in the order of their lines. */
export function tokensAt(source: JwtTokenSource, call: TokenCall): readonly string[] {
  switch (source.kind) {
    case 'header':
      return call
        .fieldLines(source.name)
        .flatMap((line) => afterPrefix(line, source.prefix))
        .slice(0, MAX_TOKENS)
    case 'query':
      return queryPairs(call.request.path)
        .flatMap(([name, value]) => (decoded(name) === source.name ? [decoded(value)] : []))
        .filter((token) => token !== '')
        .slice(0, MAX_TOKENS)
    case 'cookie':
      return cookiesOf(call)
        .flatMap(([name, value]) => (name === source.name ? [value] : []))
        .filter((token) => token !== '')
        .slice(0, MAX_TOKENS)
  }
}

/** Envoy's way: the prefix may stand behind something else, and what is no token's character ends one. */
function afterPrefix(line: string, prefix: string): readonly string[] {
  // The scheme's case does not matter (RFC 9110, section 11.1); a backend would take it too.
  const at = line.toLowerCase().indexOf(prefix.toLowerCase())
  if (at < 0) return []
  TOKEN.lastIndex = at + prefix.length
  while (line[TOKEN.lastIndex] === ' ') TOKEN.lastIndex++
  const found = TOKEN.exec(line)
  return found === null ? [] : [found[0]]
}

function queryPairs(path: string): readonly (readonly [string, string])[] {
  const question = path.indexOf('?')
  if (question < 0) return []
  return path
    .slice(question + 1)
    .split('&')
    .map((pair) => {
      const equals = pair.indexOf('=')
      return equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
    })
}

function decoded(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

function cookiesOf({ fieldLines }: TokenCall): readonly (readonly [string, string])[] {
  return fieldLines('cookie').flatMap((line) =>
    line.split(';').map((pair) => {
      const equals = pair.indexOf('=')
      const value = pair.slice(equals + 1).trim()
      const bare = /^".*"$/.test(value) ? value.slice(1, -1) : value
      return equals < 0
        ? ([pair.trim(), ''] as const)
        : ([pair.slice(0, equals).trim(), bare] as const)
    }),
  )
}

/** The request without what is in these places. */
export function without(sources: readonly JwtTokenSource[], call: TokenCall): FieldChanges {
  const found = sources.filter((source) => tokensAt(source, call).length > 0)
  const names = (kind: JwtTokenSource['kind']) =>
    new Set(found.flatMap((source) => (source.kind === kind ? [source.name] : [])))
  const headers = [...names('header')]
  const cookies = names('cookie')
  const kept = cookiesOf(call).filter(([name]) => name !== '' && !cookies.has(name))
  const query = names('query')
  const remove = [...headers, ...(cookies.size > 0 && kept.length === 0 ? ['cookie'] : [])]
  return {
    remove,
    ...(cookies.size > 0 && kept.length > 0
      ? { set: [{ name: 'cookie', value: kept.map((pair) => pair.join('=')).join('; ') }] }
      : {}),
    ...(query.size > 0 ? { path: pathWithout(call.request.path, query) } : {}),
  }
}

function pathWithout(path: string, names: ReadonlySet<string>): string {
  const kept = queryPairs(path).filter(([name]) => !names.has(decoded(name)))
  const base = path.slice(0, path.indexOf('?'))
  if (kept.length === 0) return base
  const pairs = path
    .slice(base.length + 1)
    .split('&')
    .filter((pair) => !names.has(decoded(pair.split('=', 1)[0] ?? '')))
  return `${base}?${pairs.join('&')}`
}
