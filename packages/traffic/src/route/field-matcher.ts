/** One header or query predicate of a route, compiled. */
import type { ClaimMatch, HeaderMatch, QueryMatch, RequestView } from '@weft/model'
import { TextMatcher } from '../text/text-matcher.ts'

const HEADER = 0
const QUERY = 1
const METHOD = 2
const AUTHORITY = 3
const SCHEME = 4
const PATH = 5
const CLAIM = 6

const PSEUDO_HEADERS: Readonly<Record<string, number>> = {
  ':method': METHOD,
  ':authority': AUTHORITY,
  host: AUTHORITY,
  ':scheme': SCHEME,
  ':path': PATH,
}

export class FieldMatcher {
  readonly source: HeaderMatch | QueryMatch | ClaimMatch
  readonly #kind: number
  readonly #name: string
  /** `undefined`: it is enough to be there. */
  readonly #value: TextMatcher | undefined
  readonly #invert: boolean

  private constructor(
    source: HeaderMatch | QueryMatch | ClaimMatch,
    kind: number,
    name: string,
    where: string,
    invert: boolean,
  ) {
    this.source = source
    this.#kind = kind
    this.#name = name
    this.#value = source.value.kind === 'present' ? undefined : new TextMatcher(source.value, where)
    this.#invert = invert
  }

  /** @throws {ConfigError} On a bad regex, naming `where`. */
  static header(match: HeaderMatch, where: string): FieldMatcher {
    const name = match.name.toLowerCase()
    const kind = PSEUDO_HEADERS[name] ?? HEADER
    return new FieldMatcher(match, kind, name, `${where}, header "${name}"`, match.invert)
  }

  /** @throws {ConfigError} On a bad regex, naming `where`. */
  static query(match: QueryMatch, where: string): FieldMatcher {
    return new FieldMatcher(match, QUERY, match.name, `${where}, query "${match.name}"`, false)
  }

  /** @throws {ConfigError} On a bad regex, naming `where`. */
  static claim(match: ClaimMatch, where: string): FieldMatcher {
    const name = `claim ${match.path.join('.')}`
    return new FieldMatcher(match, CLAIM, name, `${where}, ${name}`, match.invert)
  }

  get isQuery(): boolean {
    return this.#kind === QUERY
  }

  /**
   * @param target Path with query.
   * @param end Where the path ends in it.
   */
  matches(request: RequestView, target: string, end: number): boolean {
    if (this.#kind === CLAIM) return this.#matchesClaim(request)
    const found = this.read(request, target, end)
    // What is not there matches no value; inverted, that is what was asked for.
    if (found === undefined) return this.#invert
    const value = this.#value
    return (value === undefined || value.matches(found)) !== this.#invert
  }

  /** Of a list, one value is enough. */
  #matchesClaim(request: RequestView): boolean {
    const texts = this.#claimTexts(request)
    const value = this.#value
    const matches = texts.some((text) => value === undefined || value.matches(text))
    return matches !== this.#invert
  }

  #claimTexts(request: RequestView): readonly string[] {
    return 'path' in this.source ? (request.claimTexts?.(this.source.path) ?? []) : []
  }

  /** What the request has in this place; `undefined` when nothing. */
  read(request: RequestView, target: string, end: number): string | undefined {
    switch (this.#kind) {
      case HEADER:
        return request.header(this.#name)
      case QUERY:
        return readQuery(target, end, this.#name)
      case METHOD:
        return request.method
      case AUTHORITY:
        return request.authority
      case SCHEME:
        return request.scheme
      case CLAIM: {
        const texts = this.#claimTexts(request)
        return texts.length === 0 ? undefined : texts.join(',')
      }
      default:
        return target
    }
  }
}

/**
 * The first value of a query parameter, as sent: Envoy compares without decoding,
 * and Gateway API leaves repeated names to the implementation ("first" is usual).
 */
export function readQuery(target: string, end: number, name: string): string | undefined {
  if (target.charCodeAt(end) !== 0x3f) return undefined
  const fragment = target.indexOf('#', end)
  const stop = fragment < 0 ? target.length : fragment
  let at = end + 1
  while (at <= stop) {
    const ampersand = target.indexOf('&', at)
    const next = ampersand < 0 || ampersand > stop ? stop : ampersand
    const after = at + name.length
    if (after <= next && target.startsWith(name, at)) {
      if (after === next) return ''
      if (target.charCodeAt(after) === 0x3d) return target.slice(after + 1, next)
    }
    at = next + 1
  }
  return undefined
}
